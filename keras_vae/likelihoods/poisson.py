"""The Poisson likelihood of counts."""

import math

import keras
import numpy as np
from keras import ops

from keras_vae.gamma import LARGE, deviance, log_gamma, stirling_error
from keras_vae.likelihoods.base import Likelihood, bounded, sum_over_data

BOUNDS = (-80.0, 80.0)  # of the logarithm of the mean: beyond, float32 has no such numbers
_EXACT = 1e15  # where NumPy's Poisson numbers end; they are their mean to float32


@keras.saving.register_keras_serializable(package="keras_vae")
class Poisson(Likelihood):
    """Independent counts; the decoder returns the logarithms of their means."""

    observes = "counts"
    mean_activation = "exponential"

    def log_mean(self, outputs):
        """The logarithm of each mean, `(..., *data_shape)`."""
        return bounded(ops.cast(outputs, "float32"), *BOUNDS)

    def log_prob(self, x, outputs):
        log_mean, large = self.log_mean(outputs), x >= LARGE
        few, many = ops.where(large, 0.0, x), ops.where(large, x, LARGE)
        plain = few * log_mean - ops.exp(log_mean) - log_gamma(few + 1)
        # Of many, these terms of the size of x log x cancel (Loader 2000, Fast and Accurate
        # Computation of Binomial Probabilities, eq. 4).
        at_mode = -0.5 * ops.log(2 * math.pi * many) - stirling_error(many)
        saddle = at_mode - many * deviance(log_mean - ops.log(many))
        return sum_over_data(ops.where(large, saddle, plain), x)

    def mean(self, outputs):
        return ops.exp(self.log_mean(outputs))

    def sample(self, outputs, seed=None):
        """Draws data with NumPy, so not in a traced function: `(..., *data_shape)`."""
        return draw(ops.convert_to_numpy(self.mean(outputs)), generator(seed))


def generator(seed):
    """A NumPy generator seeded by a seed of Keras."""
    numbers = keras.random.randint((4,), 0, 2**31 - 1, seed=seed)
    return np.random.default_rng(ops.convert_to_numpy(numbers))


def draw(mean, rng):
    """Draws Poisson numbers of given means, a tensor."""
    counts = np.where(mean > _EXACT, mean, rng.poisson(np.minimum(mean, _EXACT)))
    return ops.convert_to_tensor(counts.astype("float32"))
