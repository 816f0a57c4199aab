"""kl_vae: the autoencoder of Stable Diffusion, for training and for published weights."""

from keras_vae import likelihoods, networks
from keras_vae.backends import quick_initializers
from keras_vae.checks import check_flag, check_name, check_seed, check_sizes, check_whole
from keras_vae.factories.conv import check_strides
from keras_vae.factories.origin import list_arguments, record
from keras_vae.latents import DiffusionLatent
from keras_vae.model import VAE


@quick_initializers()
def kl_vae(
    input_shape=(None, None, 3),
    latent_channels=4,
    filters=(128, 256, 512, 512),
    *,
    blocks=2,
    groups=32,
    attention=(),
    middle_attention=True,
    quant_convs=True,
    likelihood="image_gaussian",
    latent_scale=0.18215,
    latent_shift=0.0,
    beta=1e-6,
    seed=None,
    name="kl_vae",
    **settings,
) -> VAE:
    """The VAE of latent diffusion models (Rombach et al. 2022, arXiv 2112.10752).

    The defaults are the architecture of Stable Diffusion 1 and XL, 83.7 million parameters. Those
    of Stable Diffusion 3 and Flux have 16 latent channels and no quant convolutions. The originals
    were trained with perceptual and adversarial losses too, which `fit` does not have.

    Args:
        input_shape: `(height, width, channels)`. Defaults to `(None, None, 3)`: colour images of
            any size that the strides divide, 8 with the default filters.
        latent_channels: width of a code, `(height / 8, width / 8, latent_channels)`. Defaults
            to 4.
        filters: channels at each resolution, with a stride of 2 between two of them, all multiples
            of `groups`. Defaults to `(128, 256, 512, 512)`.
        blocks: residual blocks at each resolution of the encoder; the decoder has one more.
            Defaults to 2.
        groups: of the group normalisation. Defaults to 32.
        attention: resolutions, counted from 0, the full one, whose blocks attention follows.
            Defaults to `()`, none.
        middle_attention: whether there is attention at the lowest resolution. Defaults to True.
        quant_convs: whether 1 x 1 convolutions come before and after the latents. Defaults to
            True.
        likelihood: as in `mlp_vae`. Defaults to `"image_gaussian"`, with a learned scale.
        latent_scale: see `VAE.scale_latents`. Defaults to 0.18215, that of Stable Diffusion 1.
        latent_shift: see `VAE.scale_latents`. Defaults to 0.
        beta: weight of the rate in the loss. Defaults to 1e-6, that of the originals.
        seed: seed of training's random numbers, below 2^31. Defaults to None, a new one.
        name: name of the model: letters, digits, - and _.
        **settings: other settings of the objective, as `VAE` takes them.

    Returns:
        A built `keras_vae.VAE`.

    Raises:
        ValueError: if an argument is out of its range.
    """
    arguments, seed = list_arguments(locals()), check_seed(seed)
    likelihood = likelihoods.get(likelihood)
    width = check_whole("latent_channels", latent_channels, 1)
    net = check_network(filters, blocks, groups, attention, middle_attention)
    input_shape = check_strides(input_shape, len(net["filters"]) - 1)
    wide = {"quant": 2 * width if quant_convs else None}
    narrow = {"quant": width if quant_convs else None}
    model = VAE(
        networks.kl_encoder(input_shape, 2 * width, **net, **wide),
        networks.kl_decoder(likelihood.output_shape(input_shape), width, **net, **narrow),
        DiffusionLatent(seed=seed),
        likelihood=likelihood,
        latent_scale=latent_scale,
        latent_shift=latent_shift,
        beta=beta,
        seed=seed,
        name=check_name(name),
        **settings,
    )
    return record(model, "kl_vae", arguments)


def check_network(filters, blocks, groups, attention, middle_attention):
    """Returns the arguments of `kl_encoder` and `kl_decoder` that `kl_vae` and `vq_gan` share."""
    filters, groups = check_sizes("filters", filters), check_whole("groups", groups, 1)
    if odd := [width for width in filters if width % groups]:
        raise ValueError(f"filters must be multiples of groups={groups}. Received: {odd[0]}")
    attention = check_sizes("attention", attention, minimum=0, allow_empty=True)
    if any(level >= len(filters) for level in attention):
        levels = f"0 to {len(filters) - 1}"
        raise ValueError(f"attention must hold resolutions, {levels}. Received: {attention}")
    return {
        "filters": filters,
        "blocks": check_whole("blocks", blocks, 1),
        "groups": groups,
        "attention": attention,
        "middle_attention": check_flag("middle_attention", middle_attention),
    }
