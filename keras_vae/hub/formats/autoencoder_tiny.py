"""AutoencoderTiny of diffusers: TAESD, TAESDXL, TAESD3 and TAEF1."""

from keras_vae.hub.formats import conversion

FACTORY = "tiny_autoencoder"
# The decoder's first layer, which bounds the latents, has no number there.
_RULES = (
    (r"layer(\d+)_conv(\d)", r"layer\1.conv.\2"),
    (r"encoder\.layer(\d+)", r"encoder.layers.\1"),
    (r"decoder\.layer(\d+)", lambda found: f"decoder.layers.{int(found[1]) - 1}"),
)


def arguments(settings) -> dict:
    """The arguments of `tiny_autoencoder`."""
    blocks = settings.take("num_encoder_blocks", (1, 3, 3, 3))
    settings.require("num_decoder_blocks", blocks[::-1])
    widths = settings.take("encoder_block_out_channels", (64, 64, 64, 64))
    channels = widths[0]
    for name in ("decoder_block_out_channels", "block_out_channels"):
        settings.require(name, (channels,) * len(blocks))
    settings.require("act_fn", "relu")
    settings.require("upsample_fn", "nearest")
    settings.require("upsampling_scaling_factor", 2)
    settings.require("latent_magnitude", 3)
    settings.require("latent_shift", 0.5)
    colours = settings.take("in_channels", 3)
    settings.require("out_channels", colours)
    return {
        "input_shape": [None, None, colours],
        "latent_channels": settings.take("latent_channels", 4),
        "channels": channels,
        "blocks": list(blocks),
        "latent_scale": settings.take("scaling_factor", 1.0),
        "latent_shift": settings.take("shift_factor", 0.0),
    }


def float16_warning(config) -> None:
    """None: such a model may compute in float16."""


def tensors(model) -> dict:
    """The tensors that the file of a model holds, as `conversion.networks` returns them."""
    return conversion.networks(model, _RULES)
