"""The named combinations of networks and latents: mlp_vae, conv_vae and vq_vae."""

import inspect
import json

import keras

from keras_vae import likelihoods, networks, objectives
from keras_vae.checks import check_name, check_seed, check_sizes, check_whole
from keras_vae.latents import GaussianLatent, VectorQuantizer
from keras_vae.likelihoods import LIKELIHOODS, Gaussian
from keras_vae.model import VAE
from keras_vae.priors import CODE_PRIORS, PRIORS


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
        prior: `"normal"`, `"mixture"`, `"vamp"`, `"realnvp"`, a dict of such a name and
            arguments, or an object of `keras_vae.priors`. Defaults to None, the standard normal.
        likelihood: `"bernoulli"`, `"gaussian"`, `"learned_gaussian"`, a dict of such a name and
            arguments, or an object of `keras_vae.likelihoods`. Defaults to `"bernoulli"`.
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
    arguments, seed = _arguments(locals()), check_seed(seed)
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
    return _record(model, "mlp_vae", arguments)


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
        prior: `"normal"`, `"mixture"`, `"vamp"`, `"realnvp"`, a dict of such a name and
            arguments, or an object of `keras_vae.priors`. Defaults to None, the standard normal.
        likelihood: `"bernoulli"`, `"gaussian"`, `"learned_gaussian"`, a dict of such a name and
            arguments, or an object of `keras_vae.likelihoods`. Defaults to `"bernoulli"`.
        seed: seed of training's random numbers, below 2^31. Defaults to None, a new one.
        name: name of the model: letters, digits, - and _.
        **settings: of the objective: `beta`, `num_samples`, `free_bits`, `capacity`,
            `importance_weighted` or `objective`, as `VAE` takes them.

    Returns:
        A built `keras_vae.VAE`.

    Raises:
        ValueError: if an argument is out of its range.
    """
    arguments, seed = _arguments(locals()), check_seed(seed)
    input_shape = _image_shape(input_shape)
    latent_dim = check_whole("latent_dim", latent_dim, 1)
    likelihood = likelihoods.get(likelihood)
    output_shape = likelihood.output_shape(input_shape)
    net = {
        "filters": check_sizes("filters", filters),
        "hidden_units": check_sizes("hidden_units", hidden_units, allow_empty=True),
        "blocks": check_whole("blocks", blocks, 0),
        "stem": check_whole("stem", stem, 0),
        "kernel_size": check_whole("kernel_size", kernel_size, 1),
        "activation": _check_activation(activation),
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
    return _record(model, "conv_vae", arguments)


def vq_vae(
    input_shape,
    num_codes=512,
    code_dim=64,
    filters=(32, 64),
    *,
    blocks=2,
    kernel_size=4,
    activation="relu",
    commitment=0.25,
    codebook_update="ema",
    decay=0.99,
    revive_below=0.02,
    prior=None,
    quantizer=None,
    likelihood=None,
    seed=None,
    name="vq_vae",
    **settings,
) -> VAE:
    """A VQ-VAE (van den Oord et al. 2017, arXiv 1711.00937) for images of any size.

    Args:
        input_shape: `(height, width, channels)`; `(None, None, channels)` for images of any size
            that the strides divide.
        num_codes: size of the codebook. Defaults to 512.
        code_dim: width of a code. Defaults to 64.
        filters: widths of the encoder's convolutions, each of stride 2: two make a 7 x 7 map of
            codes of a 28 x 28 image. The decoder mirrors them. Defaults to `(32, 64)`.
        blocks: residual blocks in the encoder and in the decoder. Defaults to 2.
        kernel_size: of the strided convolutions, in pixels. Defaults to 4.
        activation: name of a Keras activation, or None. Defaults to `"relu"`.
        commitment: weight of the commitment term. Defaults to 0.25.
        codebook_update: `"ema"`, `"gradient"` or `"fixed"`. Defaults to `"ema"`.
        decay: decay of the codebook's moving averages. Defaults to 0.99.
        revive_below: codes used less than this fraction of the uniform share are revived.
            Defaults to 0.02.
        prior: over the codes: `"transformer"`, a dict of such a name and arguments, or a
            `keras_vae.priors.CodeTransformer`. Defaults to None, the uniform prior: such a model
            does not generate.
        quantizer: any latent of `keras_vae.latents` that turns `(n, height, width, code_dim)` into
            codes. Defaults to None, a `VectorQuantizer` of the arguments above, of which only
            `code_dim` may be given with a quantizer, if it has no `code_dim` of its own.
        likelihood: as in `mlp_vae`. Defaults to None, `Gaussian(scale=0.1)`.
        seed: seed of training's random numbers, below 2^31. Defaults to None, a new one.
        name: name of the model: letters, digits, - and _.
        **settings: of the objective: `beta`, `num_samples`, `free_bits`, `capacity`,
            `importance_weighted` or `objective`, as `VAE` takes them.

    Returns:
        A built `keras_vae.VAE`.

    Raises:
        ValueError: if an argument is out of its range.
    """
    arguments, seed = _arguments(locals()), check_seed(seed)
    input_shape = _image_shape(input_shape, any_size=True)
    if quantizer is not None:
        given = inspect.signature(vq_vae).parameters
        changed = [name for name in _OF_QUANTIZER if arguments[name] != given[name].default]
        if changed:
            raise ValueError(
                "Give a quantizer or its arguments, not both. Received quantizer and "
                f"{', '.join(changed)}."
            )
    else:
        quantizer = VectorQuantizer(
            num_codes,
            code_dim,
            commitment=commitment,
            codebook_update=codebook_update,
            decay=decay,
            revive_below=revive_below,
            prior=prior,
            seed=seed,
        )
    code_dim = check_whole("code_dim", getattr(quantizer, "code_dim", code_dim), 1)
    likelihood = Gaussian(scale=0.1) if likelihood is None else likelihoods.get(likelihood)
    net = {
        "filters": check_sizes("filters", filters),
        "blocks": check_whole("blocks", blocks, 0),
        "kernel_size": check_whole("kernel_size", kernel_size, 1),
        "activation": _check_activation(activation),
    }
    model = VAE(
        networks.code_encoder(input_shape, code_dim, **net),
        networks.code_decoder(likelihood.output_shape(input_shape), code_dim, **net),
        quantizer,
        likelihood=likelihood,
        seed=seed,
        name=check_name(name),
        **settings,
    )
    return _record(model, "vq_vae", arguments)


# What `vq_vae` passes on to its quantizer, except `code_dim`, which the networks take too.
_OF_QUANTIZER = ("num_codes", "commitment", "codebook_update", "decay", "revive_below", "prior")
FACTORIES = {"mlp_vae": mlp_vae, "conv_vae": conv_vae, "vq_vae": vq_vae}


def parameters(factory) -> tuple:
    """The names of the arguments that a factory takes, given its name."""
    own = inspect.signature(FACTORIES[factory]).parameters
    return (*(name for name in own if name != "settings"), *objectives.SETTINGS)


def recorded(model):
    """The factory that made a model, and arguments that make it as it is now; or None and None.

    Settings of the objective may have changed since, as `beta` may.
    """
    if not model.made_by:
        return None, None
    arguments = model.made_by["arguments"]
    given = {**objectives.DEFAULTS, **arguments}
    now = model.objective.settings().items()
    changed = {key: value for key, value in now if value != given[key] and value == value}
    return model.made_by["factory"], {**arguments, **changed}


def plain(value):
    """Returns a part of ours as a dict of its name and arguments; everything else as it is."""
    for name, kind in {**LIKELIHOODS, **PRIORS, **CODE_PRIORS}.items():
        if type(value) is kind:
            is_layer = isinstance(value, keras.layers.Layer)
            inherited = keras.layers.Layer().get_config() if is_layer else {}
            config = value.get_config()
            own = {key: plain(config[key]) for key in config if key not in inherited}
            return {"name": name, **own}
    return [plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _image_shape(input_shape, any_size=False):
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


def _check_activation(activation):
    if networks.is_gated(activation):
        raise ValueError(
            'activation "glu" makes gated dense layers: it is for mlp_vae. '
            f"Received: {activation!r}"
        )
    return activation


def _arguments(given):
    """The arguments of a factory from its `locals()`, with the settings among them."""
    return {
        **{key: value for key, value in given.items() if key != "settings"},
        **given["settings"],
    }


def _record(model, factory, arguments):
    """Notes on the model how it was made, so that it can be saved as that."""
    arguments = {key: plain(value) for key, value in arguments.items()}
    try:
        # NumPy's numbers and arrays become plain; nothing else has tolist.
        arguments = json.loads(json.dumps(arguments, default=lambda value: value.tolist()))
    except (TypeError, AttributeError):  # a part of the user's own
        return model
    return model.note_origin({"factory": factory, "arguments": arguments})
