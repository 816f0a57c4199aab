"""Convolutional encoders and decoders, for latents that are vectors or maps, or for maps of codes.

Data are `(time, channels)`, `(height, width, channels)` or `(depth, height, width, channels)`,
whatever Keras's image_data_format says.
"""

import math

import keras
from keras import layers

from keras_vae.networks.attention import attention
from keras_vae.networks.dense import dense

_CONV = {"padding": "same", "data_format": "channels_last"}
# By the number of axes besides that of the channels.
_CONVOLUTION = {1: layers.Conv1D, 2: layers.Conv2D, 3: layers.Conv3D}
_TRANSPOSED = {1: layers.Conv1DTranspose, 2: layers.Conv2DTranspose, 3: layers.Conv3DTranspose}
_GROUPS = 8  # of channels that are normalised together
# Beside a linear map the network begins at zero, and the map itself is not trained.
_ZERO = {"kernel_initializer": "zeros"}
_FIXED = {**_ZERO, "trainable": False, "name": "linear"}
_HALVES = ("mean", "log_var")


def conv_encoder(input_shape, latent_shape, *, filters, hidden_units, linear, attend, **options):
    """Strided convolutions, each with residual blocks, then dense layers.

    Latents on a map have no dense layers but those of each of its places.

    Returns the mean and log_var of the latents in one tensor, `(n, *sizes, 2 * width)`; or, if a
    linear map stands beside the network, as two, of which that map is added to the first. For
    latents on a map it is one of patches, which the strides must divide the data into.
    """
    net, width = _Network(input_shape, **options), latent_shape[-1]
    inputs = keras.Input(input_shape)
    x = net.down(inputs, filters)
    x = net.attend(x) if attend else x
    if len(latent_shape) == 1:
        x = layers.Flatten("channels_last")(x)
    for units in hidden_units:
        x = dense(x, units, net.activation)
    if not linear:
        return keras.Model(inputs, layers.Dense(2 * width)(x), name="encoder")
    mean, log_var = (layers.Dense(width, **_ZERO, name=name)(x) for name in _HALVES)
    if len(latent_shape) == 1:
        beside = layers.Dense(width, **_FIXED)(layers.Flatten("channels_last")(inputs))
    else:
        beside = net.of_patches(width, filters)(inputs)
    return keras.Model(inputs, [layers.Add()([mean, beside]), log_var], name="encoder")


def conv_decoder(
    output_shape, latent_shape, channels, *, filters, hidden_units, linear, attend, **options
):
    """`conv_encoder` mirrored: dense layers, then transposed convolutions of stride 2.

    If a linear map stands beside the network, their outputs are added. That map makes the data's
    `channels`; if there are other numbers of outputs, a second one makes these from them.
    """
    net = _Network(output_shape, **options)
    z = inputs = keras.Input(latent_shape)
    for units in reversed(hidden_units):
        z = dense(z, units, net.activation)
    small = (*sizes_of(output_shape, filters)[-1], filters[-1])
    units = math.prod(small) if len(latent_shape) == 1 else filters[-1]
    z = layers.Dense(units, activation=None if net.blocks else net.activation)(z)
    if len(latent_shape) == 1:
        z = layers.Reshape(small)(z)
    z = net.attend(z) if attend else z
    z = net.up(z, output_shape, filters)
    if linear:
        if len(latent_shape) == 1:
            data_shape = (*output_shape[:-1], channels)
            beside = layers.Dense(math.prod(data_shape), **_FIXED)(inputs)
            beside = layers.Reshape(data_shape)(beside)
        else:
            beside = net.of_patches(channels, filters, _TRANSPOSED)(inputs)
        z = net.outputs_beside(z, beside)
    return keras.Model(inputs, z, name="decoder")


def code_encoder(input_shape, code_dim, *, filters, blocks, linear, attend, **options):
    """Strided convolutions and residual blocks; returns `(n, *sizes, code_dim)`.

    If a linear map of patches stands beside the network, their outputs are added; the layer "codes"
    makes those of the network.
    """
    net = _Network(input_shape, **options)
    inputs = keras.Input(input_shape)
    x = net.down(inputs, filters)
    for _ in range(blocks):
        x = net.residual(x)
    x = net.attend(x) if attend else x
    x = net.conv(code_dim, 1, name="codes" if linear else None)(x)
    if linear:
        x = layers.Add()([x, net.of_patches(code_dim, filters)(inputs)])
    return keras.Model(inputs, x, name="encoder")


def code_decoder(output_shape, code_dim, channels, *, filters, blocks, linear, attend, **options):
    """`code_encoder` mirrored; with `last_conv` a convolution at full size computes the outputs.

    A linear map to the data's `channels` may stand beside the network, as in `conv_decoder`.
    """
    net = _Network(output_shape, **options)
    z = inputs = keras.Input((*sizes_of(output_shape, filters)[-1], code_dim))
    z = net.activated_conv(z, filters[-1], 3)
    z = net.attend(z) if attend else z
    for _ in range(blocks):
        z = net.residual(z)
    z = net.up(z, output_shape, filters)
    if linear:
        z = net.outputs_beside(z, net.of_patches(channels, filters, _TRANSPOSED)(inputs))
    return keras.Model(inputs, z, name="decoder")


def sizes_of(shape, filters):
    """The sizes of the input and after every stride of 2, rounded up; None stays None."""
    sizes = [tuple(shape[:-1])]
    for _ in filters:
        sizes.append(tuple(size and math.ceil(size / 2) for size in sizes[-1]))
    return sizes


class _Network:
    """The parts of encoders and decoders.

    Args:
        shape: of the data; only the number of its axes matters.
        kernel_size: of the strided convolutions and the last one.
        activation: name of a Keras activation, or None.
        norm: whether group normalisation comes before every activation of a map.
        blocks: residual blocks after each strided convolution, and before each transposed one.
        stem: width of convolutions at full size; 0: there are none.
        last_conv: whether a convolution at full size computes the outputs, rather than the last
            transposed one; None: only without blocks.
    """

    def __init__(self, shape, *, kernel_size, activation, norm, blocks=0, stem=0, last_conv=None):
        self.axes, self.kernel_size, self.activation = len(shape) - 1, kernel_size, activation
        self.norm, self.blocks, self.stem = norm, blocks, stem
        self.last_conv = not blocks if last_conv is None else last_conv

    def down(self, x, filters):
        """Halves the size once for each of `filters`, followed each time by residual blocks.

        A stem adds a convolution of that width and as many blocks at full size, before the rest.
        """
        steps = [(width, self.kernel_size, 2) for width in filters]
        if self.stem:
            steps.insert(0, (self.stem, 3, 1))
        for width, size, strides in steps:
            if self.blocks:  # which activate what they are given
                x = self.residuals(self.conv(width, size, strides=strides)(x))
            else:
                x = self.activated_conv(x, width, size, strides=strides)
        return x

    def up(self, z, output_shape, filters):
        """Doubles the size as often as it was halved, and crops where halving rounded up.

        Residual blocks come before every doubling. The last doubling computes the outputs, unless
        one more convolution does, as after the blocks of a stem.
        """
        channels, sizes = output_shape[-1], sizes_of(output_shape, filters)
        *steps, last = zip(sizes[-2::-1], sizes[:0:-1])
        for width, step in zip(reversed(filters[:-1]), steps):
            z = self.double(z, width, *step)
        if self.stem:
            return self.conv(channels, 3)(self.residuals(self.double(z, self.stem, *last)))
        if self.last_conv:
            return self.conv(channels, self.kernel_size)(self.double(z, filters[0], *last))
        return self.double(z, channels, *last, activated=False)

    def double(self, z, width, target, size, activated=True):
        """Residual blocks and one doubling; without blocks it is activated, unless said not to."""
        activated = activated and not self.blocks
        activation = self.activation if activated and not self.norm else None
        doubling = {"kinds": _TRANSPOSED, "strides": 2, "activation": activation}
        z = self.conv(width, self.kernel_size, **doubling)(self.residuals(z))
        z = _crop(z, target, size)
        return self.activated(z) if activated and self.norm else z

    def of_patches(self, width, filters, kinds=_CONVOLUTION):
        """The fixed linear map of the patches that the strides make."""
        side = 2 ** len(filters)
        return self.conv(width, side, kinds, strides=side, **_FIXED)

    def outputs_beside(self, z, beside):
        """Adds the data that a fixed linear map makes, or outputs made of it, to the outputs."""
        if beside.shape[-1] != z.shape[-1]:
            beside = self.conv(z.shape[-1], 1, **{**_FIXED, "name": "outputs"})(beside)
        return layers.Add()([self.conv(z.shape[-1], 1, **_ZERO)(z), beside])

    def conv(self, width, size, kinds=_CONVOLUTION, **arguments):
        return kinds[self.axes](width, size, **_CONV, **arguments)

    def activated_conv(self, x, width, size, **arguments):
        if self.norm:
            return self.activated(self.conv(width, size, **arguments)(x))
        return self.conv(width, size, activation=self.activation, **arguments)(x)

    def residuals(self, x):
        for _ in range(self.blocks):
            x = self.residual(x)
        return self.activated(x) if self.blocks else x

    def residual(self, x):
        """x + f(x), f a convolution of 3 and one of 1 (van den Oord et al. 2017, section 4.1)."""
        y = self.activated_conv(self.activated(x), x.shape[-1], 3)
        return layers.Add()([x, self.conv(x.shape[-1], 1)(y)])

    def activated(self, x):
        return layers.Activation(self.activation)(_normalised(x) if self.norm else x)

    def attend(self, x):
        return attention(x, _normalised(x))


def _normalised(x):
    """Wu & He 2018, arXiv 1803.08494: 8 groups, or as many of them as divide the channels."""
    return layers.GroupNormalization(math.gcd(_GROUPS, x.shape[-1]), epsilon=1e-5)(x)


def _crop(x, target, size):
    """Leaves out what is beyond the target where its double size is; None is any size."""
    excess = tuple((0, 2 * have - want if want else 0) for have, want in zip(size, target))
    if not any(map(any, excess)):
        return x
    if len(excess) == 1:
        return layers.Cropping1D(excess[0])(x)
    kind = layers.Cropping2D if len(excess) == 2 else layers.Cropping3D
    return kind(excess, "channels_last")(x)
