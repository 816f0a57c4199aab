"""tiny_autoencoder: the architecture of TAESD, for training and for published weights."""

from keras_vae import likelihoods, networks
from keras_vae.backends import quick_initializers
from keras_vae.checks import check_flag, check_name, check_seed, check_sizes, check_whole
from keras_vae.factories.conv import check_strides
from keras_vae.factories.origin import list_arguments, record
from keras_vae.latents import DiffusionPoint
from keras_vae.model import VAE


@quick_initializers()
def tiny_autoencoder(
    input_shape=(None, None, 3),
    latent_channels=4,
    *,
    channels=64,
    blocks=(1, 3, 3, 3),
    norm=False,
    likelihood="image_gaussian",
    latent_scale=1.0,
    latent_shift=0.0,
    seed=None,
    name="tiny_autoencoder",
    **settings,
) -> VAE:
    """A plain autoencoder of few convolutions, made to decode the latents of diffusion models.

    TAESD by Ollin Boer Bohan (github.com/madebyollin/taesd). There is no posterior: `encode` gives
    a point, and there is no ELBO. The originals were trained with an adversarial loss too, which
    `fit` does not have.

    Args:
        input_shape: `(height, width, channels)`. Defaults to `(None, None, 3)`: colour images of
            any size that the strides divide, 8 with the default blocks.
        latent_channels: width of a code, `(height / 8, width / 8, latent_channels)`. Defaults
            to 4.
        channels: width of all convolutions. Defaults to 64.
        blocks: residual blocks before and after each of the encoder's strides of 2; the decoder
            mirrors them. Defaults to `(1, 3, 3, 3)`.
        norm: whether the blocks at the lowest resolution have a normalised bottleneck, as those
            of TAEF2. Defaults to False.
        likelihood: as in `mlp_vae`. Defaults to `"image_gaussian"`, with a learned scale.
        latent_scale: see `VAE.scale_latents`. Defaults to 1.
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
    blocks = check_sizes("blocks", blocks)
    input_shape = check_strides(input_shape, len(blocks) - 1)
    width = check_whole("latent_channels", latent_channels, 1)
    likelihood = likelihoods.get(likelihood)
    net = {
        "channels": check_whole("channels", channels, 1),
        "blocks": blocks,
        "norm": check_flag("norm", norm),
    }
    model = VAE(
        networks.tiny_encoder(input_shape, width, **net),
        networks.tiny_decoder(likelihood.output_shape(input_shape), width, **net),
        DiffusionPoint(seed=seed),
        likelihood=likelihood,
        latent_scale=latent_scale,
        latent_shift=latent_shift,
        seed=seed,
        name=check_name(name),
        **settings,
    )
    return record(model, "tiny_autoencoder", arguments)
