"""Convolutional encoders and decoders, for dense latents or for maps of codes."""

import math

import keras
from keras import layers

from keras_vae.networks.dense import dense

# Shapes are (height, width, channels) here, whatever Keras's image_data_format says.
_CONV = {"padding": "same", "data_format": "channels_last"}
# Beside a linear map the network begins at zero, and the map itself is not trained.
_ZERO = {"kernel_initializer": "zeros"}
_FIXED = {**_ZERO, "trainable": False, "name": "linear"}
_HALVES = ("mean", "log_var")


def conv_encoder(
    input_shape, width, *, filters, hidden_units, blocks, stem, kernel_size, activation, linear
):
    """Strided convolutions, each with residual blocks, then dense layers.

    Returns `(n, width)`; or, if a linear map stands beside the network, its two halves, of which
    that map is added to the first.
    """
    inputs = keras.Input(input_shape)
    x = _downsample(inputs, filters, kernel_size, activation, blocks, stem)
    x = layers.Flatten("channels_last")(x)
    for units in hidden_units:
        x = dense(x, units, activation)
    if not linear:
        return keras.Model(inputs, layers.Dense(width)(x), name="encoder")
    mean, log_var = (layers.Dense(width // 2, **_ZERO, name=name)(x) for name in _HALVES)
    beside = layers.Dense(width // 2, **_FIXED)(layers.Flatten("channels_last")(inputs))
    return keras.Model(inputs, [layers.Add()([mean, beside]), log_var], name="encoder")


def conv_decoder(
    output_shape,
    latent_dim,
    *,
    filters,
    hidden_units,
    blocks,
    stem,
    kernel_size,
    activation,
    linear,
):
    """`conv_encoder` mirrored: dense layers, then transposed convolutions of stride 2.

    If a linear map stands beside the network, their outputs are added.
    """
    z = inputs = keras.Input((latent_dim,))
    for units in reversed(hidden_units):
        z = dense(z, units, activation)
    small = (*sizes_of(output_shape, filters)[-1], filters[-1])
    z = layers.Dense(math.prod(small), activation=None if blocks else activation)(z)
    z = layers.Reshape(small)(z)
    z = _upsample(z, output_shape, filters, kernel_size, activation, blocks, stem)
    if linear:
        z = _conv(output_shape[-1], 1, **_ZERO)(z)
        beside = layers.Dense(math.prod(output_shape), **_FIXED)(inputs)
        z = layers.Add()([z, layers.Reshape(output_shape)(beside)])
    return keras.Model(inputs, z, name="decoder")


def code_encoder(input_shape, code_dim, *, filters, blocks, kernel_size, activation):
    """Strided convolutions and residual blocks; returns `(n, height, width, code_dim)`."""
    inputs = keras.Input(input_shape)
    x = _downsample(inputs, filters, kernel_size, activation)
    for _ in range(blocks):
        x = _residual(x, activation)
    return keras.Model(inputs, _conv(code_dim, 1)(x), name="encoder")


def code_decoder(output_shape, code_dim, *, filters, blocks, kernel_size, activation):
    """`code_encoder` mirrored."""
    z = inputs = keras.Input((*sizes_of(output_shape, filters)[-1], code_dim))
    z = _conv(filters[-1], 3, activation=activation)(z)
    for _ in range(blocks):
        z = _residual(z, activation)
    return keras.Model(
        inputs, _upsample(z, output_shape, filters, kernel_size, activation), name="decoder"
    )


def _conv(filters, kernel_size, **arguments):
    return layers.Conv2D(filters, kernel_size, **_CONV, **arguments)


def sizes_of(shape, filters):
    """(height, width) of the input and after every stride of 2, rounded up; None stays None."""
    sizes = [tuple(shape[:2])]
    for _ in filters:
        sizes.append(tuple(size and math.ceil(size / 2) for size in sizes[-1]))
    return sizes


def _downsample(x, filters, kernel_size, activation, blocks=0, stem=0):
    """Halves the size once for each of `filters`, followed each time by residual blocks.

    A stem adds a convolution of that width and as many blocks at full size, before the rest.
    """
    linear = {"activation": None if blocks else activation}
    if stem:
        x = _residuals(_conv(stem, 3, **linear)(x), blocks, activation)
    for width in filters:
        x = _residuals(_conv(width, kernel_size, strides=2, **linear)(x), blocks, activation)
    return x


def _upsample(z, output_shape, filters, kernel_size, activation, blocks=0, stem=0):
    """Doubles the size as often as it was halved, and crops where halving rounded up.

    Residual blocks come before every doubling. The last doubling computes the outputs; without
    blocks, or after the blocks of a stem, one more convolution computes them.
    """
    sizes, channels = sizes_of(output_shape, filters), output_shape[-1]
    conv = {"strides": 2, "activation": None if blocks else activation}
    widths = [*reversed(filters[:-1]), stem or (channels if blocks else filters[0])]
    for width, target, size in zip(widths, sizes[-2::-1], sizes[:0:-1]):
        z = _residuals(z, blocks, activation)
        z = layers.Conv2DTranspose(width, kernel_size, **_CONV, **conv)(z)
        excess = tuple((0, 2 * have - want if want else 0) for have, want in zip(size, target))
        if excess != ((0, 0), (0, 0)):
            z = layers.Cropping2D(excess, "channels_last")(z)
    if stem:
        return _conv(channels, 3)(_residuals(z, blocks, activation))
    return z if blocks else _conv(channels, kernel_size)(z)


def _residuals(x, blocks, activation):
    for _ in range(blocks):
        x = _residual(x, activation)
    return layers.Activation(activation)(x) if blocks else x


def _residual(x, activation):
    """x + f(x), where f is a 3x3 and a 1x1 convolution (van den Oord et al. 2017, section 4.1)."""
    width = x.shape[-1]
    y = layers.Activation(activation)(x)
    y = _conv(width, 3, activation=activation)(y)
    return layers.Add()([x, _conv(width, 1)(y)])
