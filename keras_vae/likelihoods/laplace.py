"""The Laplace likelihood of real data, with a scale for each value."""

import math

import keras
from keras import ops

from keras_vae.likelihoods.location_scale import LocationScale


@keras.saving.register_keras_serializable(package="keras_vae")
class Laplace(LocationScale):
    """Independent values with density exp(-|x - m| / s) / (2 s): the absolute error.

    The decoder returns the means m of all channels, then the logarithms of their scales s.

    Args:
        min_scale: the smallest scale, in units of the data: without one, the density of values
            that are always the same would grow without limit. Defaults to 0.001.

    Raises:
        ValueError: if `min_scale` is not a finite number of at least 1e-12.
    """

    deviation = math.sqrt(2)

    def log_density(self, u):
        return -ops.abs(u) - math.log(2)

    def noise(self, shape, seed):
        # The difference of two exponential variables.
        uniform = keras.random.uniform((2, *shape), dtype="float32", seed=seed)
        return ops.log1p(-uniform[0]) - ops.log1p(-uniform[1])
