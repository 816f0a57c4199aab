"""The Bernoulli likelihood of binary data."""

import keras
from keras import ops

from keras_vae.likelihoods.base import Likelihood, sum_over_data


@keras.saving.register_keras_serializable(package="keras_vae")
class Bernoulli(Likelihood):
    """Independent binary pixels; the decoder returns logits.

    A grey value in [0, 1] is read as the probability that a pixel is on: `observe` draws a binary
    image from it, a new one at every call (dynamic binarisation, Burda et al. 2015, arXiv
    1509.00519). Binary data passes through unchanged.
    """

    observes = "binary"
    mean_activation = "sigmoid"

    def log_prob(self, x, outputs):
        logits = ops.cast(outputs, "float32")
        # log p(x) = x log sigmoid(l) + (1 - x) log sigmoid(-l) = x l - log(1 + e^l)
        return sum_over_data(x * logits - ops.softplus(logits), x)

    def sample(self, outputs, seed=None):
        mean = self.mean(outputs)
        uniform = keras.random.uniform(ops.shape(mean), dtype="float32", seed=seed)
        return ops.cast(uniform < mean, "float32")

    def observe(self, x, uniform):
        bits = ops.cast(uniform(ops.shape(x)) < x, "float32")
        return ops.where(ops.isnan(x), x, bits)  # NaN must be seen, not be a pixel that is off
