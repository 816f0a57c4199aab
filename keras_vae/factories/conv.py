"""conv_vae: convolutions and Gaussian latents."""

from keras_vae import likelihoods, networks
from keras_vae.checks import check_name, check_seed, check_sizes, check_whole
from keras_vae.factories.origin import list_arguments, record
from keras_vae.latents import GaussianLatent
from keras_vae.model import VAE


def conv_vae(
    input_shape,
    latent_dim=32,
    filters=(32, 64),
    *,
    hidden_units=(256,),
    blocks=0,
    stem=0,
    kernel_size=3,
    activation="relu",
    linear=False,
    prior=None,
    likelihood="bernoulli",
    seed=None,
    name="conv_vae",
    **settings,
) -> VAE:
    """A convolutional VAE for images of any height, width and number of channels.

    Args:
        input_shape: `(height, width, channels)`.
        latent_dim: number of latents. Defaults to 32.
        filters: widths of the encoder's convolutions, each of stride 2; the decoder mirrors
            them. Defaults to `(32, 64)`.
        hidden_units: widths of the dense layers between convolutions and latents. Defaults to
            `(256,)`.
        blocks: residual blocks after each convolution of stride 2, and as many in the decoder.
            Defaults to 0.
        stem: width of a convolution of 3 x 3 at full size, with as many residual blocks, before
            the first of stride 2; the decoder mirrors it. Defaults to 0, none.
        kernel_size: of the strided convolutions and the last one, in pixels. Defaults to 3.
        activation: name of a Keras activation, or None. Defaults to `"relu"`.
        linear: whether a linear map of the values stands beside the encoder, and one of the latents
            beside the decoder. It is zero, and not trained: `keras_vae.training.fit_linear` makes
            it the principal components of the data. Defaults to False.
        prior: `"normal"`, `"mixture"`, `"vamp"`, `"realnvp"`, a dict of such a name and
            arguments, or an object of `keras_vae.priors`. Defaults to None, the standard normal.
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
    """
    arguments, seed = list_arguments(locals()), check_seed(seed)
    input_shape = check_image_shape(input_shape)
    latent_dim = check_whole("latent_dim", latent_dim, 1)
    likelihood = likelihoods.get(likelihood)
    output_shape = likelihood.output_shape(input_shape)
    net = {
        "filters": check_sizes("filters", filters),
        "hidden_units": check_sizes("hidden_units", hidden_units, allow_empty=True),
        "blocks": check_whole("blocks", blocks, 0),
        "stem": check_whole("stem", stem, 0),
        "kernel_size": check_whole("kernel_size", kernel_size, 1),
        "activation": check_activation(activation),
        "linear": bool(linear),
    }
    model = VAE(
        networks.conv_encoder(input_shape, 2 * latent_dim, **net),
        networks.conv_decoder(output_shape, latent_dim, **net),
        GaussianLatent(prior, seed=seed),
        likelihood=likelihood,
        seed=seed,
        name=check_name(name),
        **settings,
    )
    return record(model, "conv_vae", arguments)


def check_image_shape(input_shape, any_size=False):
    known = input_shape
    if any_size and isinstance(input_shape, (tuple, list)) and None in input_shape[:-1]:
        known = [1 if size is None else size for size in input_shape[:-1]] + [input_shape[-1]]
    shape = check_sizes("input_shape", known)
    if len(shape) != 3:
        raise ValueError(
            "input_shape must be (height, width, channels); for vectors use mlp_vae. "
            f"Received: {input_shape!r}"
        )
    return shape if known is input_shape else (*input_shape[:-1], shape[-1])


def check_strides(input_shape, strides):
    """Returns the shape of images whose known sizes a number of strides of 2 divides."""
    shape = check_image_shape(input_shape, any_size=True)
    if any(size and size % 2**strides for size in shape[:-1]):
        raise ValueError(
            f"The height and width must be multiples of {2**strides}, which {strides} strides of 2 "
            f"divide. Received: input_shape={input_shape!r}"
        )
    return shape


def check_activation(activation):
    if networks.is_gated(activation):
        raise ValueError(
            'activation "glu" makes gated dense layers: it is for mlp_vae. '
            f"Received: {activation!r}"
        )
    return activation
