"""What tests of likelihoods share: tensors, and gradients on each backend."""

import keras
import numpy as np
from keras import ops


def numpy(t):
    return ops.convert_to_numpy(t)


def tensor(a):
    return ops.convert_to_tensor(np.asarray(a, "float32"))


def ask(method, *arrays):
    """What a method says of some arrays; on JAX compiled as a whole, which is faster."""
    if keras.backend.backend() == "jax":
        import jax

        method = jax.jit(method)
    return numpy(method(*map(tensor, arrays)))


def gradients(function, x):
    """The gradient of a function of a tensor to a number, by the backend's own differentiation."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        x = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return tape.gradient(value, x).numpy()
    if backend == "jax":
        import jax

        return np.asarray(jax.jit(jax.grad(function))(x))
    import torch

    x = torch.tensor(x, requires_grad=True)
    return torch.autograd.grad(function(x), x)[0].numpy()
