"""Models of users' own parts (`extensions.py`): their networks, their data, what they refuse."""

import functools
from typing import Any, NamedTuple

import keras
import numpy as np
from extensions import (
    FSQ,
    MMD,
    DiscretisedGaussian,
    Frequencies,
    Geometric,
    Ladder,
    Residual,
    TotalCorrelation,
)
from keras import layers

import keras_vae
from keras_vae.latents import PointLatent
from keras_vae.likelihoods import Gaussian

N = 24
RNG = np.random.default_rng(0)
DATA = {
    "grey": RNG.random((N, 8, 8, 1), dtype="float32"),
    "levels": RNG.integers(0, 256, (N, 8, 8, 1)).astype("uint8"),
    "counts": RNG.poisson(3, (N, 8, 8, 1)).astype("uint8"),
    "colour": RNG.random((N, 8, 8, 3), dtype="float32"),
    "volumes": RNG.random((N, 4, 4, 4, 1), dtype="float32"),
    "series": RNG.normal(size=(N, 16, 2)).astype("float32"),
}


def dense_networks(outputs, width, latent=2):
    """An encoder to `width` numbers and a decoder from `latent` ones, for 8 x 8 images."""
    x, z = keras.Input((8, 8, 1)), keras.Input((latent,))
    h = layers.Dense(width)(layers.Dense(12, "relu")(layers.Flatten()(x)))
    y = layers.Dense(64 * outputs)(layers.Dense(12, "relu")(z))
    return keras.Model(x, h), keras.Model(z, layers.Reshape((8, 8, outputs))(y))


def ladder_networks(width=2):
    """An encoder that returns a tensor for each layer of a `Ladder`, and its decoder."""
    x = keras.Input((8, 8, 1))
    low = layers.Dense(12, "relu")(layers.Flatten()(x))
    high = layers.Dense(2 * width)(layers.Dense(12, "relu")(low))
    return keras.Model(x, [high, low]), dense_networks(1, 1, 8 + width)[1]


def volume_networks():
    """Convolutions in three dimensions, for `(4, 4, 4, 1)`."""
    x, z = keras.Input((4, 4, 4, 1)), keras.Input((2,))
    h = layers.Conv3D(4, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.Reshape((2, 2, 2, 4))(layers.Dense(32, "relu")(z))
    y = layers.Conv3DTranspose(1, 3, strides=2, padding="same")(y)
    return keras.Model(x, layers.Dense(4)(layers.Flatten()(h))), keras.Model(z, y)


def series_networks():
    """Convolutions in one dimension, for `(16, 2)`; the latent is a short series too."""
    x, z = keras.Input((16, 2)), keras.Input((4, 2))
    h = layers.Conv1D(4, 5, strides=4, padding="same", activation="relu")(x)
    y = layers.Conv1DTranspose(2, 5, strides=4, padding="same")(z)
    return keras.Model(x, layers.Conv1D(4, 1)(h)), keras.Model(z, y)


def any_size_networks():
    """Fully convolutional networks for colour images of any size that 4 divides."""
    conv = {"kernel_size": 3, "padding": "same"}
    x, z = keras.Input((None, None, 3)), keras.Input((None, None, 2))
    h = layers.Conv2D(4, strides=4, activation="relu", **conv)(x)
    y = layers.Conv2DTranspose(3, strides=4, **conv)(z)
    return keras.Model(x, layers.Conv2D(4, **conv)(h)), keras.Model(z, y)


class Case(NamedTuple):
    """A model of a user's own parts, its data, and what it refuses: each reason is a pattern."""

    make: Any
    data: str = "grey"
    no_generate: str | None = None
    no_bound: str | None = None
    no_unit_rates: str | None = None
    no_folder: str | None = None
    no_export: str | None = None
    no_page: str | None = None


def vae(networks, latent=None, likelihood=None, **arguments):
    likelihood = likelihood or Gaussian(0.5)
    return keras_vae.VAE(*networks, latent, likelihood=likelihood, seed=0, **arguments)


def vq_vae(shape, quantizer=None, **arguments):
    small = {"filters": (4,), "blocks": 0, "seed": 0, **arguments}
    return keras_vae.vq_vae(shape, quantizer=quantizer, **small)


dense = functools.partial(dense_networks, 1)
NO_SUM = "not a sum over its latents"
PLAIN = "A plain autoencoder \\(PointLatent\\) has no prior"
NO_PRIOR = {"no_generate": "This model has none", "no_unit_rates": NO_SUM}
NO_IMAGES = "images of shape \\(height, width, 1 or 3 channels\\)"
ANY_SIZE = {
    "no_export": "one size, and this one takes data of any size",
    "no_page": "images of one size, and this model takes any",
}


def not_in_folder(kind):
    return (
        f'{kind} \\(extensions\\) cannot be described as plain data.* model.save\\("model.keras"\\)'
    )


CASES = {
    "fsq": Case(
        lambda: vq_vae((8, 8, 1), FSQ((4, 3))),
        no_folder=not_in_folder("FSQ"),
        no_page="The explorer cannot encode as FSQ does",
        **NO_PRIOR,
    ),
    "fsq-any-size": Case(
        lambda: vq_vae((None, None, 3), FSQ((4, 3), prior=Frequencies())),
        "colour",
        no_unit_rates=NO_SUM,
        no_folder=not_in_folder("FSQ"),
        **ANY_SIZE,
    ),
    "residual": Case(
        lambda: vq_vae((8, 8, 1), Residual()),
        no_folder=not_in_folder("Residual"),
        no_page="The explorer cannot encode as Residual does",
        **NO_PRIOR,
    ),
    "ladder": Case(
        lambda: vae(ladder_networks(), Ladder(), num_samples=2, free_bits=0.1),
        no_folder=not_in_folder("Ladder"),
        no_page="The explorer cannot encode as Ladder does",
    ),
    "plain": Case(
        lambda: vae(dense(2), PointLatent()),
        **dict.fromkeys(("no_generate", "no_bound", "no_unit_rates"), PLAIN),
    ),
    "levels": Case(
        lambda: keras_vae.mlp_vae((8, 8, 1), 2, (8,), likelihood=DiscretisedGaussian(), seed=0),
        "levels",
        no_folder=not_in_folder("DiscretisedGaussian"),
        no_page="not the mean of DiscretisedGaussian",
    ),
    "counts": Case(
        lambda: vae(dense(4), likelihood=Geometric()),
        "counts",
        no_folder=not_in_folder("Geometric"),
    ),
    "tc": Case(
        lambda: vae(dense(4), objective=TotalCorrelation(2.0)),
        no_folder=not_in_folder("TotalCorrelation"),
    ),
    "mmd": Case(lambda: vae(dense(4), objective=MMD(seed=0)), no_folder=not_in_folder("MMD")),
    "volumes": Case(lambda: vae(volume_networks()), "volumes", no_page=NO_IMAGES),
    "series": Case(lambda: vae(series_networks(), num_samples=2), "series", no_page=NO_IMAGES),
    "any-size": Case(lambda: vae(any_size_networks()), "colour", **ANY_SIZE),
}


class Fitted(NamedTuple):
    name: str
    case: Case
    model: Any
    x: np.ndarray
    history: dict


@functools.cache
def fit(name):
    keras.utils.set_random_seed(0)
    case, x = CASES[name], DATA[CASES[name].data]
    model = case.make()
    history = model.fit(
        x,
        batch_size=8,
        epochs=2,
        verbose=0,
        sample_weight=np.linspace(0.5, 1.5, N),
        validation_data=(x, None, np.ones(N)),
        validation_batch_size=N,
        callbacks=[
            keras_vae.callbacks.CollapseWatch(x, warn_below=0.0),
            keras_vae.callbacks.Ramp("beta", 1),
        ],
    ).history
    return Fitted(name, case, model, x, history)
