"""conv_vae: convolutions and Gaussian latents."""

from keras_vae import likelihoods, networks
from keras_vae.backends import quick_initializers
from keras_vae.checks import check_flag, check_name, check_seed, check_sizes, check_whole
from keras_vae.factories.origin import list_arguments, record
from keras_vae.latents import GaussianLatent
from keras_vae.model import VAE


@quick_initializers()
def conv_vae(
    input_shape,
    latent_dim=None,
    filters=(32, 64),
    *,
    latent_shape=None,
    hidden_units=(),
    blocks=0,
    stem=0,
    kernel_size=4,
    activation="relu",
    norm=None,
    attention=False,
    linear=False,
    prior=None,
    likelihood="bernoulli",
    seed=None,
    name="conv_vae",
    **settings,
) -> VAE:
    """A convolutional VAE for signals, images and volumes of any size and number of channels.

    Args:
        input_shape: `(time, channels)` of signals, `(height, width, channels)` of images or
            `(depth, height, width, channels)` of volumes.
        latent_dim: number of latents. Defaults to None: 32, unless `latent_shape` is given.
        filters: widths of the encoder's convolutions, each of stride 2; the decoder mirrors
            them. Defaults to `(32, 64)`.
        latent_shape: latents that lie on a map, such as `(8, 8, 4)`: the size of the data after
            all strides, and the latents at each place. Defaults to None, `latent_dim` of them
            without a place.
        hidden_units: widths of the dense layers between convolutions and latents; of latents on a
            map, of those at each of its places. Defaults to `()`, none.
        blocks: residual blocks after each convolution of stride 2, and as many in the decoder.
            Defaults to 0.
        stem: width of a convolution of 3 along each axis at full size, with as many residual
            blocks, before the first of stride 2; the decoder mirrors it. Defaults to 0, none.
        kernel_size: of the strided convolutions and the last one, along each axis, at least 2.
            Defaults to 4.
        activation: name of a Keras activation, or None. Defaults to `"relu"`.
        norm: `"group"`: group normalisation (Wu & He 2018, arXiv 1803.08494) before the activations
            of all convolutions, in 8 groups, or as many of them as divide the width, with epsilon
            1e-5. Defaults to None, no normalisation.
        attention: whether all places attend to each other at the smallest size, with one head and
            normalised as `norm="group"` does. Defaults to False.
        linear: whether a linear map of the values stands beside the encoder, and one of the latents
            beside the decoder. It is zero, and not trained: `keras_vae.training.fit_linear` makes
            it the principal components of the data; with `latent_shape` those of patches, one for
            each place. Defaults to False.
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
    """
    arguments, seed = list_arguments(locals()), check_seed(seed)
    input_shape, likelihood = check_shape(input_shape, (2, 3, 4)), likelihoods.get(likelihood)
    net = {
        "filters": check_sizes("filters", filters),
        "hidden_units": check_sizes("hidden_units", hidden_units, allow_empty=True),
        "stem": check_whole("stem", stem, 0),
        "linear": check_flag("linear", linear),
        **check_convolutions(blocks, kernel_size, activation, norm, attention),
    }
    if latent_shape is None:
        latent_shape = (check_whole("latent_dim", 32 if latent_dim is None else latent_dim, 1),)
    else:
        latent_shape = _check_map(latent_shape, latent_dim, input_shape, net)
    output_shape = likelihood.output_shape(input_shape)
    model = VAE(
        networks.conv_encoder(input_shape, latent_shape, **net),
        networks.conv_decoder(output_shape, latent_shape, input_shape[-1], **net),
        GaussianLatent(prior, seed=seed),
        likelihood=likelihood,
        seed=seed,
        name=check_name(name),
        **settings,
    )
    return record(model, "conv_vae", arguments)


_SHAPES = {
    2: "(time, channels)",
    3: "(height, width, channels)",
    4: "(depth, height, width, channels)",
}


def check_shape(input_shape, axes=(3,), any_size=False):
    """Returns the shape of data; ValueError unless it has a number of axes that is allowed.

    Args:
        input_shape: what the user gave.
        axes: numbers of axes. Defaults to `(3,)`, those of images.
        any_size: whether sizes may be None. Defaults to False.
    """
    known = input_shape
    if any_size and isinstance(input_shape, (tuple, list)) and None in input_shape[:-1]:
        known = [1 if size is None else size for size in input_shape[:-1]] + [input_shape[-1]]
    shape = check_sizes("input_shape", known)
    if len(shape) not in axes:
        allowed = " or ".join(_SHAPES[count] for count in axes)
        raise ValueError(
            f"input_shape must be {allowed}; for vectors use mlp_vae. Received: {input_shape!r}"
        )
    return shape if known is input_shape else (*input_shape[:-1], shape[-1])


def check_convolutions(blocks, kernel_size, activation, norm, attention):
    """Returns the options of networks that `conv_vae` and `vq_vae` share."""
    if norm not in (None, "group"):
        raise ValueError(f'norm must be "group" or None. Received: {norm!r}')
    return {
        "blocks": check_whole("blocks", blocks, 0),
        "kernel_size": check_whole("kernel_size", kernel_size, 2),
        "activation": check_activation(activation),
        "norm": norm == "group",
        "attend": check_flag("attention", attention),
    }


def _check_map(latent_shape, latent_dim, input_shape, net):
    """Returns the shape of latents on a map; ValueError unless it is that of the networks' map."""
    if latent_dim is not None:
        raise ValueError(
            "Give latent_dim or latent_shape, not both. "
            f"Received: latent_dim={latent_dim!r}, latent_shape={latent_shape!r}"
        )
    shape = check_sizes("latent_shape", latent_shape)
    sizes = networks.sizes_of(input_shape, net["filters"])[-1]
    if shape[:-1] != sizes:
        raise ValueError(
            f"latent_shape must be ({', '.join(map(str, sizes))}, channels), the size of the data "
            f"after {len(net['filters'])} strides of 2, one for each of filters. "
            f"Received: {latent_shape!r}"
        )
    if net["linear"]:
        check_patches(input_shape, net["filters"])
    return shape


def check_patches(input_shape, filters):
    """Refuses data that the patches of a linear map do not divide."""
    side = 2 ** len(filters)
    if any(size and size % side for size in input_shape[:-1]):
        raise ValueError(
            "With linear=True and latents on a map, the sizes of input_shape must be multiples of "
            f"{side}, the size of a patch. Received: input_shape={input_shape!r}"
        )


def check_strides(input_shape, strides):
    """Returns the shape of images whose known sizes a number of strides of 2 divides."""
    shape = check_shape(input_shape, any_size=True)
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
