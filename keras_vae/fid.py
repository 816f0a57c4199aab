"""The Frechet Inception distance (FID) between images and what a model generates.

Heusel et al. 2017, arXiv 1706.08500, equation 6: the distance of two normal distributions that have
the means and covariances of the features of images in an Inception network.
"""

import contextlib
import sys

import keras
import numpy as np
from keras import ops

from keras_vae.precision import in_float32

_SIDE = 299  # pixels of the images that the network takes
_BATCH = 50


class InceptionDistance:
    """The FID of a model to images, which come a batch at a time.

    Args:
        model: a `keras_vae.VAE` that generates grey or colour images.
        seed: whole number that fixes the samples. Defaults to 0.
        n: how many images will be added. Defaults to None, if no one knows.

    Raises:
        ValueError: if the model does not generate, its data are not grey or colour images, or there
            is one image only, which has no covariance.
        ConnectionError: if the weights of the network cannot be downloaded.
    """

    def __init__(self, model, seed=0, n=None):
        model.check_built()
        if not model.latent.generates:
            raise ValueError(f"fid=True measures samples. {model.latent.no_prior}")
        if n is not None and n < 2:
            raise ValueError(f"fid=True needs at least two images. Received: {n}")
        shape, observes = model.data_shape, model.likelihood.observes
        if len(shape) != 3 or shape[-1] not in (1, 3) or observes == "counts":
            raise ValueError(
                "fid=True is for grey or colour images. The model's data have shape "
                f"{shape} and hold {observes}."
            )
        self.model, self.seed, self.network = model, seed, inception()
        self.of_data = FeatureStatistics()

    def add(self, x):
        """Adds a batch of images, as the likelihood reads them."""
        self.size = x.shape[1:-1]
        self.of_data.add(features(self.network, x))

    def compute(self) -> float:
        """Generates as many images as were added, and returns the distance."""
        size = self.size if None in self.model.data_shape else None
        codes = self.model.sample_prior(self.of_data.n, self.seed, size=size)
        of_samples = FeatureStatistics()
        for start in range(0, len(codes), _BATCH):
            images = self.model.decode(codes[start : start + _BATCH])
            of_samples.add(features(self.network, images))
        return frechet_distance(*self.of_data.moments(), *of_samples.moments())


class FeatureStatistics:
    """The mean and covariance of features, added a batch at a time, in float64."""

    def __init__(self):
        self.n, self.sum, self.products = 0, 0.0, 0.0

    def add(self, batch):
        """Adds features `(n, width)`."""
        batch = np.asarray(batch, dtype="float64")
        self.n += len(batch)
        self.sum = self.sum + batch.sum(axis=0)
        self.products = self.products + batch.T @ batch

    def moments(self):
        """Returns the mean `(width,)` and the unbiased covariance `(width, width)`."""
        if self.n < 2:
            raise ValueError(f"A covariance needs at least two examples. Received: {self.n}")
        mean = self.sum / self.n
        return mean, (self.products - self.n * np.outer(mean, mean)) / (self.n - 1)


def frechet_distance(mean, covariance, other_mean, other_covariance) -> float:
    """|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), the squared distance of two normal distributions.

    The trace of the root is that of (C^(1/2) C' C^(1/2))^(1/2), whose eigenvalues are real.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ other_covariance @ root).clip(0)).sum()
    spread = np.trace(covariance) + np.trace(other_covariance) - 2 * overlap
    return float(np.sum(np.square(mean - other_mean)) + spread)


def features(network, images):
    """The features `(n, 2048)` of images `(n, height, width, 1 or 3)` in [0, 1], else clipped.

    They are resized to 299 x 299 pixels, bilinearly, and mapped to [-1, 1]; grey ones are repeated
    in three channels.
    """
    x = np.clip(images, 0, 1).astype("float32")
    x = np.broadcast_to(x, (*x.shape[:-1], 3))
    x = [_features_of(network, x[start : start + _BATCH]) for start in range(0, len(x), _BATCH)]
    return np.concatenate(x)


def _features_of(network, x):
    options = {"interpolation": "bilinear", "antialias": True, "data_format": "channels_last"}
    x = ops.image.resize(ops.convert_to_tensor(x), (_SIDE, _SIDE), **options)
    return network.predict_on_batch(2 * x - 1)


def inception(weights="imagenet"):
    """Returns Keras's InceptionV3 up to its pooled features.

    Its weights, 88 MB, are downloaded by `keras.applications` on first use.

    Raises:
        ConnectionError: if they cannot be downloaded.
    """
    options = {"include_top": False, "pooling": "avg", "input_shape": (_SIDE, _SIDE, 3)}
    try:
        # Keras says on stdout that it downloads, where figures may be read as JSON.
        with in_float32(), contextlib.redirect_stdout(sys.stderr):
            return keras.applications.InceptionV3(weights=weights, **options)
    except Exception as error:  # that is what Keras raises
        raise ConnectionError(
            "FID needs Keras's InceptionV3, whose weights (88 MB) keras.applications could not "
            f"download: {error}"
        ) from error
