"""The negative binomial likelihood of counts."""

import math

import keras
from keras import ops

from keras_vae.gamma import LARGE, deviance, log_multisets, stirling_error
from keras_vae.likelihoods.base import Likelihood, bounded, sum_over_data
from keras_vae.likelihoods.poisson import BOUNDS, draw, generator

_BOUNDS_OF_R = (-40.0, 40.0)  # of its logarithm; at the upper one it is Poisson's


@keras.saving.register_keras_serializable(package="keras_vae")
class NegativeBinomial(Likelihood):
    """Independent counts that vary more than Poisson's: variance = mean + mean^2 / r.

    The decoder returns the logarithms of the means of all channels, then those of r (Lopez et al.
    2018, Nature Methods 15, p. 1053: scVI). As r grows it becomes the Poisson likelihood.
    """

    observes = "counts"
    outputs_per_value = 2

    def parts(self, outputs):
        """The logarithms of the mean and of r of each value, `(..., *data_shape)`."""
        log_mean, log_r = ops.split(ops.cast(outputs, "float32"), 2, axis=-1)
        return bounded(log_mean, *BOUNDS), bounded(log_r, *_BOUNDS_OF_R)

    def log_prob(self, x, outputs):
        log_mean, log_r = self.parts(outputs)
        r = ops.exp(log_r)
        large = ops.logical_and(x >= LARGE, r >= LARGE)
        few, r_few = ops.where(large, 0.0, x), ops.where(large, 1.0, r)
        # Gamma(x + r) / (Gamma(r) x!) (r / (r + mean))^r (mean / (r + mean))^x
        plain = log_multisets(r_few, few) - r_few * ops.softplus(log_mean - log_r)
        plain = plain - few * ops.softplus(log_r - log_mean)
        many, r_many = ops.where(large, x, LARGE), ops.where(large, r, LARGE)
        return sum_over_data(ops.where(large, _saddle(many, log_mean, r_many), plain), x)

    def mean(self, outputs):
        return ops.exp(self.parts(outputs)[0])

    def sample(self, outputs, seed=None):
        """Draws data with NumPy, so not in a traced function: `(..., *data_shape)`."""
        parts = (ops.convert_to_numpy(ops.exp(part)) for part in self.parts(outputs))
        mean, r = (part.astype("float64") for part in parts)
        rng = generator(seed)
        return draw(rng.gamma(r, mean / r), rng)


def _saddle(x, log_mean, r):
    """log p(x) where x and r are at least `LARGE`: there the terms of `plain` would cancel.

    Loader 2000, Fast and Accurate Computation of Binomial Probabilities, eq. 6, of r among x + r.
    """
    mean, total = ops.exp(log_mean), x + r
    change = (x - mean) / (r + mean)
    small = ops.abs(change) < 0.5
    near = ops.log1p(ops.where(small, change, 0.0))
    of_r = ops.where(small, near, ops.log(total) - ops.log(r + mean))
    of_x = of_r + log_mean - ops.log(x)
    errors = stirling_error(total) - stirling_error(r) - stirling_error(x)
    at_mode = errors - 0.5 * (ops.log(2 * math.pi * x) + ops.log(total / r))
    return at_mode - r * deviance(of_r) - x * deviance(of_x)
