"""Defaults for training on your own data: schedule, likelihood, and a recipe of them."""

import hashlib
import inspect
import math

import numpy as np

from keras_vae import likelihoods
from keras_vae.checks import check_sizes, check_whole
from keras_vae.data.sources import Source, sample
from keras_vae.data.variants import FEW, check_variants
from keras_vae.factories import FACTORIES

MANY = 10_000  # images; of fewer, an epoch of batches of 128 has too few steps
STEPS = 3000  # to train on few images
PATIENCE = 10  # epochs
QUALITIES = ("fast", "best")
_LARGEST = 5_000_000  # numbers in a linear map
_MOST_LATENTS = 1024
_SAMPLE = 1000  # images by which those of a source are known
_LONGER = 3  # times as many epochs for the best quality
# Networks and latents of the published models (see the recipes in zoo).
_NETWORKS = {
    "conv_vae": {"blocks": 2, "stem": 16, "kernel_size": 4, "activation": "silu"},
    "mlp_vae": {"hidden_units": [400, 400], "activation": "glu"},
}
# Of pictures in levels, at the best quality: see "Your own pictures" in benchmarks/README.md.
_OF_LEVELS = {"name": "logistic_mixture", "components": 1}
_MOST_CHANNELS = 4
# Those of the published figures of pictures. Of many latents a dense layer would be large without
# one between.
_OF_PICTURES = {"hidden_units": [256], "kernel_size": 3}
_LATENTS = {
    "latent_dim": 40,
    "prior": {"name": "realnvp", "couplings": 8, "hidden_units": [128, 128]},
}


def schedule(n: int, epochs=None, batch_size=None, quality="fast") -> tuple[int, int]:
    """Returns epochs and batch size that suit a number of training images.

    Batches of 128 and 20 epochs; for fewer than 10,000 images batches of 32, and as many epochs
    as make 3,000 steps. Three times as many epochs for the best quality. What is given is kept.

    Args:
        n: number of training images.
        epochs: epochs, if they are given. Defaults to None.
        batch_size: batch size, if it is given. Defaults to None.
        quality: `"fast"` or `"best"`. Defaults to `"fast"`.

    Raises:
        ValueError: if one of them is not a whole number of at least 1.
    """
    if batch_size is None:
        batch_size = 128 if n >= MANY else 32
    batch_size = check_whole("batch_size", batch_size, 1)
    if epochs is not None:
        return check_whole("epochs", epochs, 1), batch_size
    enough = max(20, math.ceil(STEPS / math.ceil(n / batch_size)))
    return enough * (_LONGER if quality == "best" else 1), batch_size


def picture_arguments(factory: str) -> dict:
    """Returns arguments of a factory that suit pictures.

    Pixel values are not probabilities of black and white: where the factory's likelihood is
    one of binary data, it becomes a Gaussian with a learned scale.
    """
    if factory not in FACTORIES:
        return {}  # it is refused when the model is built
    default = inspect.signature(FACTORIES[factory]).parameters["likelihood"].default
    # None: the factory has one of its own, for grey values.
    binary = default is not None and likelihoods.get(default).observes == "binary"
    return {"likelihood": "learned_gaussian"} if binary else {}


def linear_arguments(input_shape) -> dict:
    """Returns arguments of a `conv_vae` that suit pictures of a shape: latents and networks.

    The linear maps begin at the principal components. A third as many latents as a picture has
    values, up to 1,024 (fewer for large pictures, since the maps grow with both): latents that are
    not needed cost nothing in the rate.
    """
    values = math.prod(input_shape)
    latents = max(1, min(_MOST_LATENTS, values // 3, _LARGEST // values))
    latents -= latents % 32 if latents > 32 else 0
    return {"linear": True, "latent_dim": latents, **_OF_PICTURES}


def map_arguments(input_shape, filters=None, latent_shape=None) -> dict | None:
    """Returns arguments of a `conv_vae` with latents on a map, for pictures of a shape.

    The linear maps begin at the principal components of patches, two thirds as many as a patch has
    values. Of few pictures there are many patches: pictures that were held out lose far less than
    with components of whole pictures. The prior relates the components of a patch, and the patches,
    to each other.

    Args:
        input_shape: `(height, width, channels)`.
        filters: widths of the convolutions, which give a patch 2^len(filters) pixels a side.
            Defaults to None: 8 x 8 pixels, or else 4 x 4 or 2 x 2.
        latent_shape: places and latents at each. Defaults to None, as the patches say.

    Returns:
        The arguments, or None if no such patches divide the pictures.

    Raises:
        ValueError: if `filters` or `latent_shape` is not a list of whole numbers of at least 1.
    """
    *sizes, channels = input_shape
    if filters is not None:
        filters = [*check_sizes("filters", filters)]
    if latent_shape is not None:
        latent_shape = [*check_sizes("latent_shape", latent_shape)]
    for count in range(3, 0, -1) if filters is None else [len(filters)]:
        side = 2**count
        places = [size // side for size in sizes]
        fit = latent_shape is None or latent_shape[:-1] == places
        if fit and not any(size % side for size in sizes):
            return {
                "linear": True,
                "latent_shape": latent_shape or [*places, max(2, side * side * channels * 2 // 3)],
                "filters": [32, 64, 96][:count] if filters is None else filters,
                "hidden_units": [],
                "kernel_size": 3,
                "prior": "channel_flow",
                "blocks": 1,
                "activation": "silu",
            }
    return None


def default_recipe(
    data,
    name=None,
    *,
    factory="conv_vae",
    arguments=None,
    quality="fast",
    epochs=None,
    batch_size=None,
    learning_rate=1e-3,
    patience=PATIENCE,
    shifts=None,
    flips=False,
    seed=0,
) -> dict:
    """Returns the recipe by which `keras-vae train` trains on your own data, for `follow`.

    One stage at a constant learning rate, which keeps the epoch with the lowest `val_loss`. For
    pictures (images with more than one channel are taken for them, too) the arguments of
    `picture_arguments` and, where they fit, `linear_arguments` apply, unless others are given. With
    a `latent_shape` that fits, training begins at the components of patches.

    The best quality trains three times as long. For pictures the arguments of `map_arguments` apply
    where they fit; then the likelihood of uint8 with up to four channels is one of levels, so that
    there are bits per dimension. Else a `conv_vae` or `mlp_vae` has the networks of the published
    ones and, for data that are not pictures, their number of latents and prior.

    Args:
        data: a `keras_vae.data.Data`, which says whether it was read from pictures.
        name: the data set's name. Defaults to None: the recipe identifies the data by its sha256,
            that of a `keras_vae.data.Source` by how many images it has and 1,000 of them.
        factory: name of the factory. Defaults to `"conv_vae"`.
        arguments: arguments of the factory besides `input_shape`. Defaults to None.
        quality: `"fast"` or `"best"`. Defaults to `"fast"`.
        epochs: passes over the training images. Defaults to None, as `schedule` says.
        batch_size: images per step. Defaults to None, as `schedule` says.
        learning_rate: that of Adam. Defaults to 1e-3.
        patience: epochs without a lower `val_loss` after which training stops; 0: it does not.
            Defaults to 10.
        shifts: pixels by which training images are shifted at random, at most. Defaults to None:
            for up to 10,000 pictures a 16th of their shorter side, else 0. 0 for a source.
        flips: whether training images are mirrored at random, left to right. Defaults to False.
        seed: seed of weights, order and noise. Defaults to 0.

    Raises:
        ValueError: if the quality is not known, or data that are not images shall be shifted.
    """
    if quality not in QUALITIES:
        raise ValueError(f'quality must be "fast" or "best". Received: {quality!r}')
    epochs, batch_size = schedule(len(data.x_train), epochs, batch_size, quality)
    shape = list(data.x_train.shape[1:])
    pictures = data.pictures or (len(shape) == 3 and shape[-1] > 1)
    if shifts is None:
        few = len(data.x_train) <= FEW and not isinstance(data.x_train, Source)
        shifts = min(shape[:2]) // 16 if pictures and few else 0
    if shifts or flips:
        check_variants(data.x_train)
    if (shifts or flips) and len(shape) != 3:
        raise ValueError(f"Only images are shifted or mirrored. Received data of shape {shape}")
    levels = shape[-1] <= _MOST_CHANNELS and all(
        part.dtype == "uint8" for part in (data.x_train, data.x_validation) if part is not None
    )
    given = _arguments(factory, shape, arguments or {}, pictures, levels, best=quality == "best")
    return {
        "model": {"factory": factory, "arguments": {"input_shape": shape, **given}},
        "data": {"name": name} if name else {"sha256": _digest(data)},
        "training": {
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "decay_to": 1.0,
            "keep_best": True,
            "patience": patience,
            "shifts": shifts,
            "flips": flips,
            "seed": seed,
        },
    }


def _arguments(factory, shape, given, pictures, levels, best):
    """Returns what is given, and defaults for what is not."""
    of_levels = {"likelihood": _OF_LEVELS} if levels and "likelihood" not in given else {}
    if pictures:
        given = {**picture_arguments(factory), **given}
    placed = bool(given.get("latent_shape"))
    likelihood = given.get("likelihood", "bernoulli")
    linear, start = likelihoods.get(likelihood).linear_start, {}
    if pictures and linear and _takes_linear(factory):
        wanted = placed or (best and "latent_dim" not in given)
        known = given.get("filters"), given.get("latent_shape")
        places = map_arguments(shape, *known) if wanted else None
        if places and best:
            return {**places, **given, **of_levels}
        if places:
            start = {key: places[key] for key in ("linear", "filters", *_OF_PICTURES)}
        elif not placed:
            start = linear_arguments(shape)
    if not best or factory not in _NETWORKS:
        return {**start, **given}
    latents = {} if pictures or placed else _LATENTS
    return {**start, **_NETWORKS[factory], **latents, **given}


def _takes_linear(factory):
    """Whether a factory has linear maps to latents that are not codes."""
    known = inspect.signature(FACTORIES[factory]).parameters if factory in FACTORIES else {}
    return {"linear", "latent_shape"} <= set(known)


def _digest(data):
    """Identifies data, so that a run is not resumed with other images."""
    digest = hashlib.sha256(str(data.x_train.shape).encode())
    for x in (data.x_train, data.x_validation):
        if isinstance(x, Source):
            digest.update(str(x.shape).encode())
            x = sample(x, _SAMPLE)
        digest.update(np.ascontiguousarray(x))
    return digest.hexdigest()
