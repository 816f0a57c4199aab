"""TensorFlow: the gradient of a convolution to few channels, which is slow on a CPU."""

import keras
import tensorflow as tf

_MOST_COLUMNS = 32  # height x width x filters of a kernel; with more, TensorFlow's is the faster


def speed_up_layer(layer):
    """Has a convolution to few channels compute its gradient in less time on a CPU.

    Such a one makes images of a decoder's features. Outputs are the same to the last bit.
    """
    if type(layer) is not keras.layers.Conv2D or tf.config.list_physical_devices("GPU"):
        return
    plain = {"padding": "same", "data_format": "channels_last", "groups": 1}
    plain |= {"strides": (1, 1), "dilation_rate": (1, 1)}
    columns = layer.kernel_size[0] * layer.kernel_size[1] * layer.filters
    if columns <= _MOST_COLUMNS and all(getattr(layer, name) == plain[name] for name in plain):
        layer.convolution_op = _convolve


def _convolve(x, kernel):
    x, kernel = tf.convert_to_tensor(x), tf.convert_to_tensor(kernel)
    if x.dtype != tf.float32:  # sums over many images
        return tf.nn.conv2d(x, kernel, 1, "SAME")
    return _convolve_tensors(x, kernel)


@tf.custom_gradient
def _convolve_tensors(x, kernel):
    """A convolution whose gradient is two products of matrices.

    Their columns are the gradient of the outputs, shifted to each position of the kernel.
    """

    def gradients(of_outputs):
        rows, columns, width, filters = kernel.shape
        before, after = zip(*((size // 2, (size - 1) // 2) for size in (rows, columns)))
        padded = tf.pad(of_outputs, ((0, 0), *zip(before, after), (0, 0)))
        height, length = tf.shape(x)[1], tf.shape(x)[2]
        shifted = tf.concat(
            [
                padded[:, rows - 1 - i :][:, :height, columns - 1 - j :][:, :, :length]
                for i in range(rows)
                for j in range(columns)
            ],
            axis=-1,
        )
        shape = (width, rows * columns * filters)
        flat = tf.reshape(tf.transpose(kernel, (2, 0, 1, 3)), shape)
        of_inputs = tf.matmul(shifted, flat, transpose_b=True)
        of_kernel = tf.matmul(
            tf.reshape(x, (-1, shape[0])), tf.reshape(shifted, (-1, shape[1])), transpose_a=True
        )
        of_kernel = tf.reshape(of_kernel, (width, rows, columns, filters))
        return of_inputs, tf.transpose(of_kernel, (1, 2, 0, 3))

    return tf.nn.conv2d(x, kernel, 1, "SAME"), gradients
