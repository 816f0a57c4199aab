"""The textbook VAE step, written by hand for each backend: what the package is held against.

Nothing here uses the package or Keras's layers. The networks are dense layers with relu between
them, their weights a flat list [kernel, bias, kernel, bias, ...]; `halves` says how many of them
are the encoder's.
"""

import math

import keras
import numpy as np


def gradients(weights, halves, x, noise, beta, squared_error):
    """Loss and gradients of mean(-log p(x|z) or ||x - D(z)||^2, plus beta KL), as NumPy."""
    return _STEPS[keras.backend.backend()](weights, halves, x, noise, beta, squared_error)


def gradient(function, array):
    """Gradient of sum(function(t)) at t = array; `function` is written in keras.ops."""
    return _GRADIENTS[keras.backend.backend()](function, array)


def sgd(weights, grads, state, learning_rate):
    return [w - learning_rate * g for w, g in zip(weights, grads)], state


def adam(weights, grads, state, learning_rate, b1=0.9, b2=0.999, epsilon=1e-7):
    """Kingma & Ba 2015, the efficient form at the end of their section 2."""
    t, m, v = state or (0, [0 * w for w in weights], [0 * w for w in weights])
    t += 1
    m = [b1 * a + (1 - b1) * g for a, g in zip(m, grads)]
    v = [b2 * a + (1 - b2) * g**2 for a, g in zip(v, grads)]
    rate = learning_rate * math.sqrt(1 - b2**t) / (1 - b1**t)
    weights = [w - rate * a / (np.sqrt(b) + epsilon) for w, a, b in zip(weights, m, v)]
    return weights, (t, m, v)


def _tensorflow_step(weights, halves, x, noise, beta, squared_error):
    import tensorflow as tf

    def dense(h, layers):
        for i in range(0, len(layers), 2):
            h = tf.matmul(tf.nn.relu(h) if i else h, layers[i]) + layers[i + 1]
        return h

    weights = [tf.Variable(w) for w in weights]
    with tf.GradientTape() as tape:
        mean, log_var = tf.split(dense(x, weights[:halves]), 2, axis=-1)
        z = mean + tf.exp(log_var / 2) * noise
        outputs = dense(tf.reshape(z, (-1, z.shape[-1])), weights[halves:])
        outputs = tf.reshape(outputs, (noise.shape[0], *x.shape))
        if squared_error:
            distortion = tf.reduce_sum((x - outputs) ** 2, axis=-1)
        else:
            labels = tf.broadcast_to(x, outputs.shape)
            entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=outputs)
            distortion = tf.reduce_sum(entropy, axis=-1)
        kl = 0.5 * tf.reduce_sum(mean**2 + tf.exp(log_var) - log_var - 1, axis=-1)
        loss = tf.reduce_mean(tf.reduce_mean(distortion, axis=0) + beta * kl)
    return loss.numpy(), [g.numpy() for g in tape.gradient(loss, weights)]


def _jax_step(weights, halves, x, noise, beta, squared_error):
    import jax
    import jax.numpy as jnp

    def dense(h, layers):
        for i in range(0, len(layers), 2):
            h = (jax.nn.relu(h) if i else h) @ layers[i] + layers[i + 1]
        return h

    def loss(weights):
        mean, log_var = jnp.split(dense(x, weights[:halves]), 2, axis=-1)
        z = mean + jnp.exp(log_var / 2) * noise
        outputs = dense(z, weights[halves:])
        if squared_error:
            distortion = ((x - outputs) ** 2).sum(-1)
        else:
            p = jax.nn.log_sigmoid(outputs), jax.nn.log_sigmoid(-outputs)
            distortion = -(x * p[0] + (1 - x) * p[1]).sum(-1)
        kl = 0.5 * (mean**2 + jnp.exp(log_var) - log_var - 1).sum(-1)
        return (distortion.mean(0) + beta * kl).mean()

    value, grads = jax.jit(jax.value_and_grad(loss))([jnp.asarray(w) for w in weights])
    return np.asarray(value), [np.asarray(g) for g in grads]


def _torch_step(weights, halves, x, noise, beta, squared_error):
    import torch
    from torch.nn import functional

    def dense(h, layers):
        for i in range(0, len(layers), 2):
            h = (torch.relu(h) if i else h) @ layers[i] + layers[i + 1]
        return h

    x, noise = torch.tensor(x), torch.tensor(noise)
    weights = [torch.tensor(w, requires_grad=True) for w in weights]
    mean, log_var = dense(x, weights[:halves]).chunk(2, dim=-1)
    z = mean + torch.exp(log_var / 2) * noise
    outputs = dense(z, weights[halves:])
    if squared_error:
        distortion = ((x - outputs) ** 2).sum(-1)
    else:
        labels = x.expand(outputs.shape)
        entropy = functional.binary_cross_entropy_with_logits(outputs, labels, reduction="none")
        distortion = entropy.sum(-1)
    kl = 0.5 * (mean**2 + torch.exp(log_var) - log_var - 1).sum(-1)
    loss = (distortion.mean(0) + beta * kl).mean()
    loss.backward()
    return loss.detach().numpy(), [w.grad.numpy() for w in weights]


def _tensorflow_gradient(function, array):
    import tensorflow as tf

    t = tf.Variable(array)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(function(tf.convert_to_tensor(t)))
    return tape.gradient(total, t).numpy()


def _jax_gradient(function, array):
    import jax
    import jax.numpy as jnp

    # At once: else each operation is compiled by itself.
    return np.asarray(jax.jit(jax.grad(lambda t: function(t).sum()))(jnp.asarray(array)))


def _torch_gradient(function, array):
    import torch

    t = torch.tensor(array, requires_grad=True)
    function(t).sum().backward()
    return t.grad.numpy()


_STEPS = {"tensorflow": _tensorflow_step, "jax": _jax_step, "torch": _torch_step}
_GRADIENTS = {"tensorflow": _tensorflow_gradient, "jax": _jax_gradient, "torch": _torch_gradient}

# Keras 3.15 has no steps_per_execution on torch.
HAS_STEPS_PER_EXECUTION = keras.backend.backend() != "torch"

# torch.compile takes half a minute for the smallest model.
HAS_QUICK_COMPILER = keras.backend.backend() != "torch"
