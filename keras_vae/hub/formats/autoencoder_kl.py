"""AutoencoderKL of diffusers: the VAEs of Stable Diffusion 1, XL and 3 and of Flux.1."""

import reprlib

from keras_vae.hub.errors import WeightsError
from keras_vae.hub.formats import conversion

FACTORY = "kl_vae"
_RULES = (
    (r"(?:encoder|decoder)\.((?:post_)?quant_conv)", r"\1"),
    (r"down(\d+)_block(\d+)_", r"down_blocks.\1.resnets.\2."),
    (r"down(\d+)_attention(\d+)", r"down_blocks.\1.attentions.\2"),
    (r"down(\d+)_sample", r"down_blocks.\1.downsamplers.0.conv"),
    (r"up(\d+)_block(\d+)_", r"up_blocks.\1.resnets.\2."),
    (r"up(\d+)_attention(\d+)", r"up_blocks.\1.attentions.\2"),
    (r"up(\d+)_sample", r"up_blocks.\1.upsamplers.0.conv"),
    (r"middle_block(\d)_", r"mid_block.resnets.\1."),
    (r"middle_attention(\d)", r"mid_block.attentions.\1"),
    (r"_norm$", ".group_norm"),
    (r"\.skip$", ".conv_shortcut"),
    (r"norm_out$", "conv_norm_out"),
)
# The kinds of an encoder's levels, the decoder's that mirrors each, and whether it has attention.
_LEVELS = {
    "DownEncoderBlock2D": ("UpDecoderBlock2D", False),
    "AttnDownEncoderBlock2D": ("AttnUpDecoderBlock2D", True),
}


def arguments(settings) -> dict:
    """The arguments of `kl_vae`."""
    settings.require("latents_mean", None)
    settings.require("latents_std", None)
    quant_convs = settings.require("use_quant_conv", True, False)
    settings.require("use_post_quant_conv", quant_convs)
    return {
        **network(settings),
        "latent_channels": settings.take("latent_channels", 4),
        "quant_convs": quant_convs,
        "latent_scale": settings.take("scaling_factor", 0.18215),
        "latent_shift": settings.take("shift_factor", 0.0),
    }


def network(settings) -> dict:
    """The arguments that `kl_vae` and `vq_gan` share."""
    down = settings.take("down_block_types", ("DownEncoderBlock2D",))
    if unknown := [kind for kind in down if kind not in _LEVELS]:
        raise WeightsError(
            f"{settings.kind} with blocks {reprlib.repr(unknown[0])} is not supported. Supported: "
            f"{', '.join(_LEVELS)}."
        )
    settings.require("up_block_types", tuple(_LEVELS[kind][0] for kind in reversed(down)))
    filters = settings.take("block_out_channels", (64,))
    if len(filters) != len(down):
        raise WeightsError(f"{settings.kind}: {len(filters)} widths for {len(down)} levels.")
    settings.require("act_fn", "silu", "swish")
    colours = settings.take("in_channels", 3)
    settings.require("out_channels", colours)
    return {
        "input_shape": [None, None, colours],
        "filters": list(filters),
        "blocks": settings.take("layers_per_block", 1),
        "groups": settings.take("norm_num_groups", 32),
        "attention": [i for i, kind in enumerate(down) if _LEVELS[kind][1]],
        "middle_attention": settings.require("mid_block_add_attention", True, False),
    }


def float16_warning(config) -> str | None:
    """Why a model should not compute in float16, in a sentence; None if it may."""
    # Stable Diffusion XL's, known by its scale; its fp16-fix says that it needs no upcast.
    if config.get("scaling_factor") != 0.13025 or not config.get("force_upcast", True):
        return None
    return (
        "The activations of Stable Diffusion XL's VAE overflow in float16 and give NaN. Use the "
        "policy mixed_bfloat16, or load 'sdxl-vae-fp16-fix', which was trained to stay in range."
    )


def tensors(model) -> dict:
    """The tensors that the file of a model holds, as `conversion.networks` returns them."""
    return conversion.networks(model, _RULES)
