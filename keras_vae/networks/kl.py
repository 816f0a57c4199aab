"""The networks of latent diffusion models (Rombach et al. 2022, arXiv 2112.10752, appendix).

Residual blocks with group normalisation and SiLU at each resolution, attention at the lowest one.
Images are in [0, 1] outside, in [-1, 1] inside.
"""

from keras import Input, Model, layers

from keras_vae.networks.attention import attention

_CONV = {"padding": "same", "data_format": "channels_last"}


def kl_encoder(input_shape, width, *, filters, blocks, groups, attention, middle_attention, quant):
    """Images to `(n, h, w, width)`, at half the size for each of `filters` but the last.

    Args:
        input_shape: `(height, width, channels)`.
        width: of the outputs.
        filters: channels at each resolution.
        blocks: residual blocks at each resolution.
        groups: of the group normalisation.
        attention: resolutions, counted from 0, the full one, whose blocks attention follows.
        middle_attention: whether there is attention between the two blocks in the middle.
        quant: width of the last convolution but one, which a 1 x 1 convolution follows; None:
            there is no such convolution.
    """
    net = _Network(groups)
    x = inputs = Input(input_shape)
    x = layers.Rescaling(2.0, -1.0)(x)
    x = net.conv(x, filters[0], "conv_in")
    for level, channels in enumerate(filters):
        for block in range(blocks):
            x = net.block(x, channels, f"down{level}_block{block}")
            if level in attention:
                x = net.attention(x, f"down{level}_attention{block}")
        if level < len(filters) - 1:
            # The original pads below and at the right only.
            x = layers.ZeroPadding2D(((0, 1), (0, 1)), data_format="channels_last")(x)
            x = net.conv(x, channels, f"down{level}_sample", strides=2, padding="valid")
    x = net.middle(x, middle_attention)
    x = net.conv(net.activated(x, "norm_out"), quant or width, "conv_out")
    if quant:
        x = net.conv(x, width, "quant_conv", 1)
    return Model(inputs, x, name="encoder")


def kl_decoder(output_shape, width, *, filters, blocks, groups, attention, middle_attention, quant):
    """`kl_encoder` mirrored, with one block more at each resolution."""
    net = _Network(groups)
    factor = 2 ** (len(filters) - 1)
    z = inputs = Input((*(size and size // factor for size in output_shape[:-1]), width))
    if quant:
        z = net.conv(z, quant, "post_quant_conv", 1)
    z = net.conv(z, filters[-1], "conv_in")
    z = net.middle(z, middle_attention)
    for level, channels in enumerate(reversed(filters)):
        for block in range(blocks + 1):
            z = net.block(z, channels, f"up{level}_block{block}")
            if len(filters) - 1 - level in attention:
                z = net.attention(z, f"up{level}_attention{block}")
        if level < len(filters) - 1:
            z = layers.UpSampling2D(2, data_format="channels_last")(z)
            z = net.conv(z, channels, f"up{level}_sample")
    z = net.conv(net.activated(z, "norm_out"), output_shape[-1], "conv_out")
    return Model(inputs, layers.Rescaling(0.5, 0.5)(z), name="decoder")


class _Network:
    """Its parts, each of which names its layers after the place where it stands."""

    def __init__(self, groups):
        self.groups = groups

    def conv(self, x, channels, name, size=3, **arguments):
        return layers.Conv2D(channels, size, name=name, **{**_CONV, **arguments})(x)

    def activated(self, x, name):
        return layers.Activation("silu")(self.norm(x, name))

    def norm(self, x, name):
        return layers.GroupNormalization(self.groups, epsilon=1e-6, name=name)(x)

    def block(self, x, channels, name):
        """x + f(x), where f normalises and convolves twice."""
        y = self.conv(self.activated(x, f"{name}_norm1"), channels, f"{name}_conv1")
        y = self.conv(self.activated(y, f"{name}_norm2"), channels, f"{name}_conv2")
        if x.shape[-1] != channels:
            x = self.conv(x, channels, f"{name}_skip", 1)
        return layers.Add()([x, y])

    def attention(self, x, name):
        return attention(x, self.norm(x, f"{name}_norm"), name)

    def middle(self, x, attention):
        channels = x.shape[-1]
        x = self.block(x, channels, "middle_block0")
        if attention:
            x = self.attention(x, "middle_attention0")
        return self.block(x, channels, "middle_block1")
