"""What densities with a scale for each value share."""

import math

import numpy as np
from keras import ops

from keras_vae.checks import check_number
from keras_vae.likelihoods.base import Likelihood, bounded, sum_over_data

_HIGHEST = 40.0  # of log_scale


class LocationScale(Likelihood):
    """Independent values `location + scale * u`, each with a scale of its own.

    The decoder returns the locations of all channels, then the logarithms of their scales.
    Subclasses define the density and the draws of u, and its standard deviation.

    Args:
        min_scale: the smallest scale, in units of the data: without one, the density of values
            that are always the same would grow without limit. Defaults to 0.001.

    Raises:
        ValueError: if `min_scale` is not a finite number of at least 1e-12.
    """

    outputs_per_value = 2
    deviation = 1.0  # the standard deviation of u

    def __init__(self, min_scale=1e-3):
        self.min_scale = check_number("min_scale", min_scale, 1e-12)

    def log_density(self, u):
        """Log-density of each u, in nats."""
        raise NotImplementedError

    def noise(self, shape, seed):
        """Draws u."""
        raise NotImplementedError

    def parts(self, outputs):
        """Location and log_scale of each value, `(..., *data_shape)`."""
        location, log_scale = ops.split(ops.cast(outputs, "float32"), 2, axis=-1)
        return location, bounded(log_scale, math.log(self.min_scale), _HIGHEST)

    def begin_at(self, covariance):
        one, none = np.eye(len(covariance)), np.zeros(len(covariance))
        log_scale = 0.5 * np.log(np.diag(covariance)) - math.log(self.deviation)
        matrix, offsets = np.hstack([one, 0 * one]), np.concatenate([none, log_scale])
        return matrix, offsets, np.trace(covariance) / len(covariance)

    def log_prob(self, x, outputs):
        location, log_scale = self.parts(outputs)
        u = (x - location) * ops.exp(-log_scale)
        return sum_over_data(self.log_density(u) - log_scale, x)

    def mean(self, outputs):
        return self.parts(outputs)[0]

    def sample(self, outputs, seed=None):
        location, log_scale = self.parts(outputs)
        return location + ops.exp(log_scale) * self.noise(ops.shape(location), seed)

    def get_config(self):
        return {"min_scale": self.min_scale}
