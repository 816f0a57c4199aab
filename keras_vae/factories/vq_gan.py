"""vq_gan: the autoencoder of VQGAN, for training and for published weights."""

from keras_vae import likelihoods, networks
from keras_vae.backends import quick_initializers
from keras_vae.checks import check_name, check_seed, check_whole
from keras_vae.factories.conv import check_strides
from keras_vae.factories.kl import check_network
from keras_vae.factories.origin import list_arguments, record
from keras_vae.latents import VectorQuantizer
from keras_vae.model import VAE


@quick_initializers()
def vq_gan(
    input_shape=(None, None, 3),
    num_codes=8192,
    code_dim=3,
    filters=(128, 256, 512),
    *,
    blocks=2,
    groups=32,
    attention=(),
    middle_attention=True,
    latent_channels=None,
    commitment=0.25,
    codebook_update="gradient",
    revive_below=0.02,
    prior=None,
    likelihood="image_gaussian",
    latent_scale=1.0,
    latent_shift=0.0,
    seed=None,
    name="vq_gan",
    **settings,
) -> VAE:
    """The quantised autoencoder of VQGAN (Esser et al. 2021, arXiv 2012.09841).

    The defaults are the architecture of latent diffusion's VQ-f4. The originals were trained with
    perceptual and adversarial losses too, which `fit` does not have.

    Args:
        input_shape: `(height, width, channels)`. Defaults to `(None, None, 3)`: colour images of
            any size that the strides divide, 4 with the default filters.
        num_codes: size of the codebook. Defaults to 8192.
        code_dim: width of a code's vector. Defaults to 3.
        filters: as in `kl_vae`. Defaults to `(128, 256, 512)`.
        blocks: as in `kl_vae`. Defaults to 2.
        groups: as in `kl_vae`. Defaults to 32.
        attention: as in `kl_vae`. Defaults to `()`, none.
        middle_attention: as in `kl_vae`. Defaults to True.
        latent_channels: width of the encoder's last 3 x 3 convolution. Defaults to None, that of a
            code.
        commitment: weight of the commitment term. Defaults to 0.25.
        codebook_update: `"ema"`, `"gradient"` or `"fixed"`. Defaults to `"gradient"`.
        revive_below: as in `vq_vae`. Defaults to 0.02.
        prior: as in `vq_vae`. Defaults to None, the uniform prior: such a model does not generate.
        likelihood: as in `mlp_vae`. Defaults to `"image_gaussian"`, with a learned scale.
        latent_scale: see `VAE.scale_latents`; of vectors, not of their numbers. Defaults to 1.
        latent_shift: see `VAE.scale_latents`. Defaults to 0.
        seed: seed of training's random numbers, below 2^31. Defaults to None, a new one.
        name: name of the model: letters, digits, - and _.
        **settings: of the objective, as `VAE` takes them.

    Returns:
        A built `keras_vae.VAE`.

    Raises:
        ValueError: if an argument is out of its range.
    """
    arguments, seed = list_arguments(locals()), check_seed(seed)
    net = check_network(filters, blocks, groups, attention, middle_attention)
    input_shape = check_strides(input_shape, len(net["filters"]) - 1)
    width, likelihood = check_whole("code_dim", code_dim, 1), likelihoods.get(likelihood)
    if latent_channels is not None:
        check_whole("latent_channels", latent_channels, 1)
    net["quant"] = latent_channels or width
    options = {
        "commitment": commitment,
        "codebook_update": codebook_update,
        "revive_below": revive_below,
        "prior": prior,
    }
    model = VAE(
        networks.kl_encoder(input_shape, width, **net),
        networks.kl_decoder(likelihood.output_shape(input_shape), width, **net),
        VectorQuantizer(num_codes, code_dim, **options, seed=seed),
        likelihood=likelihood,
        latent_scale=latent_scale,
        latent_shift=latent_shift,
        seed=seed,
        name=check_name(name),
        **settings,
    )
    return record(model, "vq_gan", arguments)
