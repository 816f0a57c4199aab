"""mlp_vae: dense layers and Gaussian latents."""

from keras_vae import likelihoods, networks
from keras_vae.backends import quick_initializers
from keras_vae.checks import check_name, check_seed, check_sizes, check_whole
from keras_vae.factories.origin import list_arguments, record
from keras_vae.latents import GaussianLatent
from keras_vae.model import VAE


@quick_initializers()
def mlp_vae(
    input_shape,
    latent_dim=32,
    hidden_units=(512, 256),
    *,
    activation="relu",
    prior=None,
    likelihood="bernoulli",
    seed=None,
    name="mlp_vae",
    **settings,
) -> VAE:
    """A VAE of dense layers, for images or vectors.

    Args:
        input_shape: shape of one example, such as `(28, 28, 1)` or `(64,)`.
        latent_dim: number of latents. Defaults to 32.
        hidden_units: widths of the encoder's layers; the decoder mirrors them. `()` makes a
            linear model. Defaults to `(512, 256)`.
        activation: name of a Keras activation, or None. `"glu"` makes gated layers (Dauphin et al.
            2017, arXiv 1612.08083), each of two Dense. Defaults to `"relu"`.
        prior: a name in `keras_vae.priors.PRIORS`, such as `"realnvp"` or `"low_rank"`, a dict of
            such a name and arguments, or an object of `keras_vae.priors`. Defaults to None, which
            is N(0, I).
        likelihood: a name in `keras_vae.likelihoods.LIKELIHOODS`, such as `"gaussian"` or
            `"discretised_logistic"`, a dict of such a name and arguments, or an object of
            `keras_vae.likelihoods`. Defaults to `"bernoulli"`.
        seed: seed of training's random numbers, below 2^31. Defaults to None, a new one.
        name: name of the model: letters, digits, - and _.
        **settings: of the objective: `beta`, `num_samples`, `free_bits`, `capacity`,
            `importance_weighted` or `objective`, as `VAE` takes them.

    Returns:
        A built `keras_vae.VAE`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:

    >>> model = keras_vae.mlp_vae((28, 28, 1), latent_dim=16)
    >>> model.fit(x_train, epochs=10)
    """
    arguments, seed = list_arguments(locals()), check_seed(seed)
    input_shape = check_sizes("input_shape", input_shape)
    latent_dim = check_whole("latent_dim", latent_dim, 1)
    likelihood = likelihoods.get(likelihood)
    output_shape = likelihood.output_shape(input_shape)
    net = {
        "hidden_units": check_sizes("hidden_units", hidden_units, allow_empty=True),
        "activation": activation,
    }
    model = VAE(
        networks.mlp_encoder(input_shape, 2 * latent_dim, **net),
        networks.mlp_decoder(output_shape, latent_dim, **net),
        GaussianLatent(prior, seed=seed),
        likelihood=likelihood,
        seed=seed,
        name=check_name(name),
        **settings,
    )
    return record(model, "mlp_vae", arguments)
