"""The named combinations: mlp_vae, conv_vae and vq_vae, for data of any shape."""

import keras
import numpy as np

from keras_vae import networks, objective
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
    beta=1.0,
    num_samples=1,
    free_bits=0.0,
    capacity=None,
    importance_weighted=False,
    seed=None,
    name="mlp_vae",
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
        beta: weight of the KL divergence in the loss. Defaults to 1.
        num_samples: Monte-Carlo samples of z per example in the loss. Defaults to 1.
        free_bits: nats that each latent may use before they cost. Defaults to 0.
        capacity: nats that the rate is drawn to. Defaults to None, off.
        importance_weighted: whether the loss is the importance-weighted bound of `num_samples`
            samples; `"dreg"` for less noise in its gradient. Defaults to False.
        seed: seed of training's random numbers, below 2^31. Defaults to None, a new one.
        name: name of the model: letters, digits, - and _.

    Returns:
        A built `keras_vae.VAE`.

    Raises:
        ValueError: if an argument is out of its range.

    Example:

    >>> model = keras_vae.mlp_vae((28, 28, 1), latent_dim=16)
    >>> model.fit(x_train, epochs=10)
    """
    arguments, seed = dict(locals()), check_seed(seed)
    input_shape = check_sizes("input_shape", input_shape)
    latent_dim = check_whole("latent_dim", latent_dim, 1)
    net = {
        "hidden_units": check_sizes("hidden_units", hidden_units, allow_empty=True),
        "activation": activation,
    }
    model = VAE(
        networks.mlp_encoder(input_shape, 2 * latent_dim, **net),
        networks.mlp_decoder(input_shape, latent_dim, **net),
        GaussianLatent(prior, seed=seed),
        likelihood=likelihood,
        beta=beta,
        num_samples=num_samples,
        free_bits=free_bits,
        capacity=capacity,
        importance_weighted=importance_weighted,
        seed=seed,
        name=check_name(name),
    )
    return _recorded(model, "mlp_vae", arguments)


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
    beta=1.0,
    num_samples=1,
    free_bits=0.0,
    capacity=None,
    importance_weighted=False,
    seed=None,
    name="conv_vae",
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
        beta: weight of the KL divergence in the loss. Defaults to 1.
        num_samples: Monte-Carlo samples of z per example in the loss. Defaults to 1.
        free_bits: nats that each latent may use before they cost. Defaults to 0.
        capacity: nats that the rate is drawn to. Defaults to None, off.
        importance_weighted: whether the loss is the importance-weighted bound of `num_samples`
            samples; `"dreg"` for less noise in its gradient. Defaults to False.
        seed: seed of training's random numbers, below 2^31. Defaults to None, a new one.
        name: name of the model: letters, digits, - and _.

    Returns:
        A built `keras_vae.VAE`.

    Raises:
        ValueError: if an argument is out of its range.
    """
    arguments, seed = dict(locals()), check_seed(seed)
    input_shape = _image_shape(input_shape)
    latent_dim = check_whole("latent_dim", latent_dim, 1)
    net = {
        "filters": check_sizes("filters", filters),
        "hidden_units": check_sizes("hidden_units", hidden_units, allow_empty=True),
        "blocks": check_whole("blocks", blocks, 0),
        "stem": check_whole("stem", stem, 0),
        "kernel_size": check_whole("kernel_size", kernel_size, 1),
        "activation": _of_convolutions(activation),
    }
    model = VAE(
        networks.conv_encoder(input_shape, 2 * latent_dim, **net),
        networks.conv_decoder(input_shape, latent_dim, **net),
        GaussianLatent(prior, seed=seed),
        likelihood=likelihood,
        beta=beta,
        num_samples=num_samples,
        free_bits=free_bits,
        capacity=capacity,
        importance_weighted=importance_weighted,
        seed=seed,
        name=check_name(name),
    )
    return _recorded(model, "conv_vae", arguments)


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
    likelihood=None,
    beta=1.0,
    seed=None,
    name="vq_vae",
) -> VAE:
    """A VQ-VAE (van den Oord et al. 2017, arXiv 1711.00937) for images of any size.

    Args:
        input_shape: `(height, width, channels)`.
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
            `keras_vae.priors.CodeTransformer`. Defaults to None, the uniform prior, under which a
            model does not generate.
        likelihood: as in `mlp_vae`. Defaults to None, `Gaussian(scale=0.1)`.
        beta: weight of the rate, which only the prior learns from. Defaults to 1.
        seed: seed of training's random numbers, below 2^31. Defaults to None, a new one.
        name: name of the model: letters, digits, - and _.

    Returns:
        A built `keras_vae.VAE`.

    Raises:
        ValueError: if an argument is out of its range.
    """
    arguments, seed = dict(locals()), check_seed(seed)
    input_shape = _image_shape(input_shape)
    latent = VectorQuantizer(
        num_codes,
        code_dim,
        commitment=commitment,
        codebook_update=codebook_update,
        decay=decay,
        revive_below=revive_below,
        prior=prior,
        seed=seed,
    )
    net = {
        "filters": check_sizes("filters", filters),
        "blocks": check_whole("blocks", blocks, 0),
        "kernel_size": check_whole("kernel_size", kernel_size, 1),
        "activation": _of_convolutions(activation),
    }
    model = VAE(
        networks.code_encoder(input_shape, latent.code_dim, **net),
        networks.code_decoder(input_shape, latent.code_dim, **net),
        latent,
        likelihood=Gaussian(scale=0.1) if likelihood is None else likelihood,
        beta=beta,
        seed=seed,
        name=check_name(name),
    )
    return _recorded(model, "vq_vae", arguments)


FACTORIES = {"mlp_vae": mlp_vae, "conv_vae": conv_vae, "vq_vae": vq_vae}


def recorded(model):
    """How a model of a factory would be made today: its name and arguments, or None and None."""
    made_by = getattr(model, "made_by", None)
    if not made_by:
        return None, None
    arguments = dict(made_by["arguments"])
    for name, value in objective.settings(model).items():
        then = arguments.get(name)
        # Changed since, as beta may be; 0.1 is held as the nearest float32. NaN is no argument.
        held = np.float32(then) if isinstance(then, float) else then
        if then is not None and value == value and value != held:
            arguments[name] = value
    return made_by["factory"], arguments


def plain(value):
    """Returns a likelihood or prior of ours as a name and arguments; everything else as it is."""
    for name, kind in {**LIKELIHOODS, **PRIORS, **CODE_PRIORS}.items():
        if type(value) is kind:
            is_layer = isinstance(value, keras.layers.Layer)
            inherited = keras.layers.Layer().get_config() if is_layer else {}
            config = value.get_config()
            own = {key: plain(config[key]) for key in config if key not in inherited}
            return {"name": name, **own}
    return list(value) if isinstance(value, tuple) else value


def _image_shape(input_shape):
    shape = check_sizes("input_shape", input_shape)
    if len(shape) != 3:
        raise ValueError(
            "input_shape must be (height, width, channels); for vectors use mlp_vae. "
            f"Received: {input_shape!r}"
        )
    return shape


def _of_convolutions(activation):
    if networks.gates(activation):
        raise ValueError(
            'activation "glu" makes gated dense layers: it is for mlp_vae. '
            f"Received: {activation!r}"
        )
    return activation


def _recorded(model, factory, arguments):
    """Leaves on the model how it was made: `save_to_folder` writes it, `load` makes it again."""
    arguments = {key: plain(value) for key, value in arguments.items()}
    # Not through Keras's own __setattr__, which would wrap the dict to track layers in it.
    object.__setattr__(model, "made_by", {"factory": factory, "arguments": arguments})
    return model
