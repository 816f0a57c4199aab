"""The networks of a ladder: the way up, that of each layer of latents, and what follows the last.

After VDVAE (Child 2021, arXiv 2011.10650): residual blocks with a bottleneck, no normalisation,
nearest-neighbour upsampling. Resolutions are counted from 0, the full one; each is half of the one
before.
"""

import math

import keras
from keras import layers, ops

from keras_vae.networks.conv import sizes_of

_CONV = {"padding": "same", "data_format": "channels_last"}
_LOG_2 = math.log(2)


def ladder_encoder(input_shape, *, filters, latent_layers, blocks, activation):
    """The way up: returns the features of each resolution that has latents, the lowest first."""
    net = _Network(blocks * len(filters), activation)
    x = inputs = keras.Input(input_shape)
    outputs = []
    for level, width in enumerate(filters):
        x = net.conv(x, width, 3, strides=2 if level else 1)
        for _ in range(blocks):
            x = net.block(x)
        if latent_layers[level]:
            outputs.insert(0, x)
    return keras.Model(inputs, outputs, name="encoder")


def ladder_layers(
    input_shape, channels, *, filters, latent_layers, blocks, activation, learned_prior
) -> dict:
    """The networks of each layer of latents, top first, as `keras_vae.latents.Ladder` takes them.

    Args:
        input_shape: `(height, width, channels)` of the data.
        channels: of the latents of a layer.
        filters: width at each resolution.
        latent_layers: number of layers of latents at each resolution.
        blocks: residual blocks after each layer.
        activation: name of a Keras activation.
        learned_prior: whether the top layer has a prior with a mean and a variance of its own.
    """
    sizes = sizes_of(input_shape, filters[1:])
    levels = [level for level in reversed(range(len(filters))) for _ in range(latent_layers[level])]
    networks = {"posteriors": [], "conditionals": [], "steps": []}
    net = _Network(blocks * len(levels), activation)
    for i, level in enumerate(levels):
        features = (*sizes[level], filters[level])
        below = levels[i + 1] if i + 1 < len(levels) else level
        if i:
            networks["conditionals"].append(net.conditional(features, channels))
        networks["posteriors"].append(net.posterior(features, channels, is_top=not i))
        x = z = keras.Input((*sizes[level], channels))
        inputs = z
        if i:
            state = keras.Input(features)
            x = layers.Add()([state, net.conv(z, filters[level], 1, **net.small)])
            inputs = [state, z]
        else:
            x = net.conv(net.scaled(z) if learned_prior else z, filters[level], 1)
        for _ in range(blocks):
            x = net.block(x)
        for finer in reversed(range(below, level)):
            x = net.conv(double(x, sizes[finer]), filters[finer], 1)
        networks["steps"].append(keras.Model(inputs, x))
    positions = sorted({level for level in levels}, reverse=True)
    return {**networks, "sources": [positions.index(level) for level in levels]}


def ladder_decoder(output_shape, *, filters, latent_layers, blocks, activation):
    """From the last state to the data's shape, at twice the size for each resolution left."""
    sizes = sizes_of(output_shape, filters[1:])
    lowest = next(level for level, count in enumerate(latent_layers) if count)
    net = _Network(blocks * max(1, lowest), activation)
    x = inputs = keras.Input((*sizes[lowest], filters[lowest]))
    for level in reversed(range(lowest)):
        x = net.conv(double(x, sizes[level]), filters[level], 1)
        for _ in range(blocks):
            x = net.block(x)
    x = net.conv(layers.Activation(activation)(x), output_shape[-1], 3)
    return keras.Model(inputs, x, name="decoder")


def double(x, size):
    """Doubles the size by repeating values, and crops it to `size`."""
    excess = tuple((0, 2 * have - want) for have, want in zip(x.shape[1:3], size))
    x = layers.UpSampling2D(2, data_format="channels_last")(x)
    return x if excess == ((0, 0), (0, 0)) else layers.Cropping2D(excess, "channels_last")(x)


@keras.saving.register_keras_serializable(package="keras_vae")
def smooth_log_var(x):
    """The log-variance of the standard deviation log2(1 + 2^x), which is 1 at 0.

    It grows linearly, where exp(x) would explode: the "gradient smoothing" of Hazami et al. 2022
    (arXiv 2203.13751), softplus with beta = log 2.
    """
    t = _LOG_2 * x
    log_softplus = ops.log(ops.softplus(ops.maximum(t, -15.0)))
    # softplus(t) is exp(t) there, to the precision of float32.
    return 2.0 * (ops.where(t < -15.0, t, log_softplus) - math.log(_LOG_2))


class _Network:
    """The parts of networks with a number of residual blocks in a row."""

    def __init__(self, depth, activation):
        self.activation = activation
        # What a residual block adds has a variance of 1 / depth, so that their sum has one of 1.
        scaling = keras.initializers.VarianceScaling(1 / max(1, depth), "fan_avg", "uniform")
        self.small = {"kernel_initializer": scaling}

    def conv(self, x, channels, size, **arguments):
        return layers.Conv2D(channels, size, **_CONV, **arguments)(x)

    def hidden(self, x, width):
        """1 x 1 to half the width, twice 3 x 3 (1 x 1 on the smallest maps), activated."""
        size = 3 if max(x.shape[1:3]) > 2 else 1
        for kernel in (1, size, size):
            x = self.conv(layers.Activation(self.activation)(x), max(1, width // 2), kernel)
        return layers.Activation(self.activation)(x)

    def block(self, x):
        """x + f(x)."""
        width = x.shape[-1]
        return layers.Add()([x, self.conv(self.hidden(x, width), width, 1, **self.small)])

    def moments(self, x, channels, **initial):
        """Mean and log_var, in float32 under every policy; near those of N(0, I) at first."""
        exact = {"dtype": "float32", **initial}
        log_var = self.conv(x, channels, 1, **exact, activation=smooth_log_var)
        return [self.conv(x, channels, 1, **exact), log_var]

    def conditional(self, features, channels):
        """Of the state: mean and log_var of a layer's prior, and the state that its z joins."""
        state = keras.Input(features)
        x = self.hidden(state, features[-1])
        added = layers.Add()([state, self.conv(x, features[-1], 1, **self.small)])
        return keras.Model(state, [*self.moments(x, channels, kernel_initializer="zeros"), added])

    def posterior(self, features, channels, is_top):
        """Of the encoder's features and, below the top layer, of the state: mean and log_var."""
        x = inputs = keras.Input(features)
        if not is_top:
            inputs = [x, keras.Input(features)]
            x = layers.Concatenate()(inputs)
        hidden = self.hidden(x, features[-1])
        return keras.Model(inputs, self.moments(hidden, channels, **self.small))

    def scaled(self, z):
        """Each number of z times one, plus another: z has the prior N(0, I) before."""
        shape = tuple(z.shape[1:])
        options = {"bias_axes": "bcd", "kernel_initializer": "ones"}
        return layers.EinsumDense("abcd,bcd->abcd", output_shape=shape, **options)(z)
