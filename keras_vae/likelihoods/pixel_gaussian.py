"""The Gaussian likelihood of real data, with a standard deviation for each value."""

import keras

from keras_vae import normal
from keras_vae.likelihoods.location_scale import LocationScale


@keras.saving.register_keras_serializable(package="keras_vae")
class PixelGaussian(LocationScale):
    """Independent Gaussian values, each with a standard deviation that the decoder returns.

    The decoder returns the means of all channels, then the logarithms of their standard deviations
    (Kingma & Welling 2014, arXiv 1312.6114, appendix C.2).

    Args:
        min_scale: the smallest standard deviation, in units of the data: without one, the density
            of values that are always the same would grow without limit. Defaults to 0.001.

    Raises:
        ValueError: if `min_scale` is not a finite number of at least 1e-12.
    """

    def log_density(self, u):
        return normal.log_density(u)

    def noise(self, shape, seed):
        return keras.random.normal(shape, dtype="float32", seed=seed)
