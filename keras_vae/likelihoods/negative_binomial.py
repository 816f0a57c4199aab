"""The negative binomial likelihood of counts."""

import keras
from keras import ops

from keras_vae.gamma import log_multisets
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
        # Gamma(x + r) / (Gamma(r) x!) (r / (r + mean))^r (mean / (r + mean))^x
        log_p = log_multisets(r, x) - r * ops.softplus(log_mean - log_r)
        return sum_over_data(log_p - x * ops.softplus(log_r - log_mean), x)

    def mean(self, outputs):
        return ops.exp(self.parts(outputs)[0])

    def sample(self, outputs, seed=None):
        """Draws data with NumPy, so not in a traced function: `(..., *data_shape)`."""
        parts = (ops.convert_to_numpy(ops.exp(part)) for part in self.parts(outputs))
        mean, r = (part.astype("float64") for part in parts)
        rng = generator(seed)
        return draw(rng.gamma(r, mean / r), rng)
