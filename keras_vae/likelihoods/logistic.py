"""The discretised logistic likelihood of levels."""

import math

import keras
import numpy as np
from keras import ops

from keras_vae.likelihoods.base import bounded, sum_over_data
from keras_vae.likelihoods.levels import Levels

DEVIATION = math.pi / math.sqrt(3)  # the standard deviation of a logistic of scale 1
_WIDEST = 7.0  # log_scale, far wider than all levels


@keras.saving.register_keras_serializable(package="keras_vae")
class DiscretisedLogistic(Levels):
    """Independent levels: each has the mass that a logistic density has over its interval.

    The lowest and the highest level also have the mass below and above them (Salimans et al. 2017,
    arXiv 1701.05517, eq. 2, with one component). The decoder returns the means of all channels,
    then the logarithms of their scales, where the levels reach from -1 to 1.

    Args:
        num_levels: how many levels there are, from 2 to 65,536. Defaults to 256, those of 8-bit
            images. uint8 data holds the number of each level.

    Raises:
        ValueError: if `num_levels` is out of its range.
    """

    outputs_per_value = 2

    def begin_at(self, covariance):
        one, ones = np.eye(len(covariance)), np.ones(len(covariance))
        log_scale = np.log(2 * np.sqrt(np.diag(covariance)) / DEVIATION)
        matrix, offsets = np.hstack([2 * one, 0 * one]), np.concatenate([-ones, log_scale])
        return matrix, offsets, np.trace(covariance) / len(covariance)

    def parts(self, outputs):
        """Mean and log_scale of each value, `(..., *data_shape)`."""
        mean, log_scale = ops.split(ops.cast(outputs, "float32"), 2, axis=-1)
        return mean, bounded_log_scale(log_scale, self.num_levels)

    def log_prob(self, x, outputs):
        return sum_over_data(log_mass(2 * x - 1, *self.parts(outputs), self.num_levels), x)

    def mean(self, outputs):
        """Expected data; it differs from the mean of the levels by less than half a level."""
        return (clipped_mean(*self.parts(outputs)) + 1) / 2

    def sample(self, outputs, seed=None):
        return self.nearest((draw(*self.parts(outputs), seed) + 1) / 2) / (self.num_levels - 1)


def bounds_of_log_scale(num_levels):
    """Useful bounds of log_scale: the lowest is an eighth of a level, -7 for 256 of them."""
    return math.log(0.25 / (num_levels - 1)), _WIDEST


def bounded_log_scale(log_scale, num_levels):
    """Keeps log_scale in its bounds."""
    return bounded(log_scale, *bounds_of_log_scale(num_levels))


def log_mass(x, mean, log_scale, num_levels):
    """Log of a logistic's mass over the level `x` in [-1, 1].

    With low and high, the ends of the level in units of the scale, it is
    sigmoid(high) - sigmoid(low) = sigmoid(high) sigmoid(-low) (1 - exp(low - high)).
    """
    half, inverse = 1.0 / (num_levels - 1), ops.exp(-log_scale)
    low, high = ((x + side * half - mean) * inverse for side in (-1, 1))
    width = ops.log(-ops.expm1(-2 * half * inverse))
    below, above = ops.log_sigmoid(high), ops.log_sigmoid(-low)
    log_p = ops.where(x < half - 1, below, below + above + width)
    return ops.where(x > 1 - half, above, log_p)


def clipped_mean(mean, log_scale):
    """E[clip(x, -1, 1)] of a logistic: |E| = 1 - the integral of its distribution over [-1, 1]."""
    scale, size = ops.exp(log_scale), ops.abs(mean)
    below = ops.softplus((1 - size) / scale) - ops.softplus(-(1 + size) / scale)
    return ops.sign(mean) * (1 - scale * below)


def draw(mean, log_scale, seed):
    """Draws from a logistic."""
    uniform = keras.random.uniform(ops.shape(mean), dtype="float32", seed=seed)
    return mean + ops.exp(log_scale) * (ops.log(uniform) - ops.log1p(-uniform))
