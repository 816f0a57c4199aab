"""JAX: jit for inference, and transposed convolutions that are fast on a CPU."""

import types

import jax
import keras
from keras import ops

from keras_vae.backends.jax_arrays import OrderedBatches as ordered_batches  # noqa: F401
from keras_vae.backends.jax_arrays import pipe_arrays as pipe_arrays
from keras_vae.backends.jax_arrays import steps_of_dispatch as steps_of_dispatch
from keras_vae.backends.jax_dispatch import join_steps as join_steps


def accelerator():
    """Returns the name of the accelerator, or None on a CPU."""
    device = jax.local_devices()[0]
    return None if device.platform == "cpu" else device.device_kind


def compile_method(function, layer):
    """Compiles `function`, a function of tensors that uses the variables of `layer`."""

    @jax.jit
    def pure(values, *arguments):
        with keras.StatelessScope(state_mapping=list(zip(layer.variables, values))):
            return function(*arguments)

    return lambda *arguments: pure([v.value for v in layer.variables], *arguments)


def transposed_convolution(filters, kernel_size, *, strides, **arguments):
    """A Conv2DTranspose of stride 2 that avoids XLA's slow gradient of the kernel on a CPU.

    It is Keras's own layer, with the same weights and config; only its computation differs.
    """
    layer = keras.layers.Conv2DTranspose(filters, kernel_size, strides=strides, **arguments)
    if jax.default_backend() == "cpu":
        layer.call = types.MethodType(_depth_to_space, layer)
    return layer


def _depth_to_space(self, inputs):
    """Computes the four output pixels of each input pixel as channels of one plain convolution.

    In one dimension: output 2i + r takes tap k = r + before - 2o of the kernel from input i + o.
    """
    size = self.kernel_size[0]
    before = max(size - 2, 0) // 2
    low, high = (size - 1 - before) // 2, (1 + before) // 2  # -low <= o <= high
    taps = low + high + 1
    front = 2 * high - before
    pad = (front, 2 * taps - front - size)
    kernel = ops.pad(self.kernel, (pad, pad, (0, 0), (0, 0)))
    depth, width = kernel.shape[2:]
    # (-o, r, -o, r, out, in) -> (o, o, in, r, r, out)
    kernel = ops.flip(ops.reshape(kernel, (taps, 2, taps, 2, depth, width)), axis=(0, 2))
    kernel = ops.reshape(ops.transpose(kernel, (0, 2, 5, 1, 3, 4)), (taps, taps, width, -1))
    x = ops.pad(inputs, ((0, 0), (low, high), (low, high), (0, 0)))
    x = ops.conv(x, kernel, padding="valid", data_format="channels_last")
    n, rows, columns = ops.shape(x)[:3]
    x = ops.reshape(x, (n, rows, columns, 2, 2, depth))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (n, 2 * rows, 2 * columns, depth))
    return self.activation(x + self.bias)
