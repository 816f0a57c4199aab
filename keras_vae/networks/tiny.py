"""Tiny autoencoders (TAESD by Ollin Boer Bohan, github.com/madebyollin/taesd): convolutions only.

Layers are numbered as in the authors' networks, which count activations and upsampling too.
"""

from keras import Input, Model, layers

_CONV = {"padding": "same", "data_format": "channels_last"}
_BOUND = 3.0  # the decoder sees 3 * tanh(z / 3)


def tiny_encoder(input_shape, width, *, channels, blocks, norm):
    """Images to codes: `blocks` holds the residual blocks before and after each stride of 2."""
    x = inputs = Input(input_shape)
    number = 0
    for level, count in enumerate(blocks):
        if level == 0:
            x = _conv(channels, number)(x)
        else:  # symmetric padding, as in torch; "same" would pad at one side
            x = layers.ZeroPadding2D(1, data_format="channels_last")(x)
            strided = {"strides": 2, "use_bias": False, "padding": "valid"}
            x = _conv(channels, number, **strided)(x)
        x = _blocks(x, number + 1, count, norm and level == len(blocks) - 1)
        number += 1 + count
    return Model(inputs, _conv(width, number)(x), name="encoder")


def tiny_decoder(output_shape, width, *, channels, blocks, norm):
    """Codes to images: the encoder's levels in reverse order, with nearest-neighbour upsampling."""
    factor = 2 ** (len(blocks) - 1)
    z = inputs = Input((*(size and size // factor for size in output_shape[:-1]), width))
    z = layers.Rescaling(1 / _BOUND)(z)
    z = layers.Rescaling(_BOUND)(layers.Activation("tanh")(z))
    z = layers.ReLU()(_conv(channels, 1)(z))
    number = 3
    for level, count in enumerate(reversed(blocks)):
        z = _blocks(z, number, count, norm and level == 0)
        number += count
        if level < len(blocks) - 1:
            z = layers.UpSampling2D(2, data_format="channels_last")(z)
            z = _conv(channels, number + 1, use_bias=False)(z)
            number += 2
    return Model(inputs, _conv(output_shape[-1], number)(z), name="decoder")


def _conv(channels, number, size=3, place="", **arguments):
    options = {**_CONV, **arguments}
    return layers.Conv2D(channels, size, name=f"layer{number}{place}", **options)


def _blocks(x, first, count, norm):
    for number in range(first, first + count):
        x = _block(x, number, norm)
    return x


def _block(x, number, norm):
    """relu(x + f(x)), where f is three convolutions; with `norm`, x + g(x) comes first.

    g widens to four times the channels, normalises them in four groups and narrows again.
    """
    channels = x.shape[-1]
    if norm:
        y = _conv(4 * channels, number, 1, "_pool0", use_bias=False)(x)
        name = f"layer{number}_pool1"
        y = layers.ReLU()(layers.GroupNormalization(4, epsilon=1e-5, name=name)(y))
        x = layers.Add()([x, _conv(channels, number, 1, "_pool3", use_bias=False)(y)])
    y = x
    for place in ("_conv0", "_conv2"):
        y = layers.ReLU()(_conv(channels, number, place=place)(y))
    return layers.ReLU()(layers.Add()([x, _conv(channels, number, place="_conv4")(y)]))
