"""ladder_vae: convolutions and layers of Gaussian latents, each conditional on those above it."""

from keras_vae import likelihoods, networks
from keras_vae.backends import quick_initializers
from keras_vae.checks import check_name, check_seed, check_sizes, check_whole
from keras_vae.factories.conv import check_activation, check_shape
from keras_vae.factories.origin import list_arguments, record
from keras_vae.latents import Ladder
from keras_vae.model import VAE


@quick_initializers()
def ladder_vae(
    input_shape,
    latent_channels=4,
    filters=(32, 64, 64),
    *,
    layers=None,
    blocks=1,
    activation="silu",
    prior="learned",
    likelihood="bernoulli",
    seed=None,
    name="ladder_vae",
    **settings,
) -> VAE:
    """A hierarchical VAE for images of any height, width and number of channels.

    An encoder goes up, a decoder comes down, and on the way down each layer of latents has a
    posterior and a prior that depend on the layers above it: see `keras_vae.latents.Ladder`. The
    networks are those of VDVAE (Child 2021, arXiv 2011.10650), with the parametrisation of Hazami
    et al. 2022 (arXiv 2203.13751) for standard deviations. `encode` returns all latents in a row,
    the top layer first; `model.latent.layout` is the shape of each layer.

    Args:
        input_shape: `(height, width, channels)`.
        latent_channels: of each layer: at 7 x 7 it has 7 * 7 * latent_channels latents. Defaults to
            4.
        filters: channels of the networks at each resolution, the full one first, with a stride of 2
            between two of them. Defaults to `(32, 64, 64)`.
        layers: layers of latents at each resolution, 0 for none, at least one at the lowest.
            Defaults to None: two at each but the full one.
        blocks: residual blocks at each resolution of the encoder, after each layer of latents, and
            at each resolution that the decoder has left. Defaults to 1.
        activation: name of a Keras activation. Defaults to `"silu"`.
        prior: of the top layer: `"learned"`, a Gaussian with a mean and a variance for each latent,
            or what `conv_vae` takes, where None is the standard normal. Defaults to `"learned"`.
        likelihood: as in `conv_vae`. Defaults to `"bernoulli"`.
        seed: seed of training's random numbers, below 2^31. Defaults to None, a new one.
        name: name of the model: letters, digits, - and _.
        **settings: of the objective: `beta`, `num_samples`, `free_bits`, `capacity`,
            `importance_weighted` or `objective`, as `VAE` takes them. Free bits are those of a
            layer.

    Returns:
        A built `keras_vae.VAE`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:

    >>> model = keras_vae.ladder_vae((28, 28, 1), 1, filters=(16, 64, 64), layers=(0, 4, 4))
    >>> model.fit(x_train, epochs=10)
    >>> model.layer_rates(x_test).mean(axis=0)
    """
    arguments, seed = list_arguments(locals()), check_seed(seed)
    input_shape = check_shape(input_shape)
    channels = check_whole("latent_channels", latent_channels, 1)
    likelihood, filters = likelihoods.get(likelihood), check_sizes("filters", filters)
    if layers is None:
        layers = (2,) if len(filters) == 1 else (0, *[2] * (len(filters) - 1))
    net = {
        "filters": filters,
        "latent_layers": check_sizes("layers", layers, minimum=0),
        "blocks": check_whole("blocks", blocks, 0),
        "activation": check_activation(activation),
    }
    if len(net["latent_layers"]) != len(filters) or not net["latent_layers"][-1]:
        raise ValueError(
            "layers must hold a number for each of filters, of which the last is at least 1. "
            f"Received: layers={layers!r}, filters={filters}"
        )
    is_learned = isinstance(prior, str) and prior == "learned"
    model = VAE(
        networks.ladder_encoder(input_shape, **net),
        networks.ladder_decoder(likelihood.output_shape(input_shape), **net),
        Ladder(
            **networks.ladder_layers(input_shape, channels, **net, learned_prior=is_learned),
            prior=None if is_learned else prior,
            seed=seed,
        ),
        likelihood=likelihood,
        seed=seed,
        name=check_name(name),
        **settings,
    )
    return record(model, "ladder_vae", arguments)
