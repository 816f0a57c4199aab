"""A mixture of diagonal Gaussians as prior."""

import math

import keras
import numpy as np
from keras import ops

from keras_vae.checks import check_whole
from keras_vae.priors.base import Prior


@keras.saving.register_keras_serializable(package="keras_vae")
class MixtureOfGaussians(Prior):
    """p(z) = sum_k w_k N(z; mean_k, diag(exp(log_var_k))), all learned.

    The "MoG" prior that Tomczak & Welling 2018 (arXiv 1705.07120, section 5.2) compare with. Means
    begin scattered as N(0, I), all variances at 1 and all weights equal.

    Args:
        components: number K of Gaussians. Defaults to 100.
        seed: seed of the means' first values. Defaults to None.
    """

    def __init__(self, components=100, *, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.components = check_whole("components", components, 1)
        self.seed = seed

    def build(self, input_shape):
        super().build(input_shape)
        self.width = math.prod(self.latent_shape)
        shape = (self.components, self.width)
        scattered = keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
        self.mean = self.add_weight(shape=shape, initializer=scattered, name="mean")
        self.log_var = self.add_weight(shape=shape, initializer="zeros", name="log_var")
        self.logits = self.add_weight(shape=shape[:1], initializer="zeros", name="logits")

    def log_prob(self, z):
        z = ops.reshape(ops.cast(z, "float32"), (-1, 1, self.width))
        mean, log_var = self._mean_and_log_var()
        squares = ops.square(z - mean) * ops.exp(-log_var)
        log_p = -0.5 * ops.sum(math.log(2 * math.pi) + log_var + squares, axis=2)  # (n, K)
        return ops.logsumexp(ops.log_softmax(self.logits) + log_p, axis=1)

    def sample(self, n, rng):
        weights = ops.convert_to_numpy(ops.softmax(self.logits)).astype("float64")
        mean, log_var = map(ops.convert_to_numpy, self._mean_and_log_var())
        k = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(n))
        k = np.minimum(k, self.components - 1)
        noise = rng.standard_normal((n, self.width), dtype="float32")
        return (mean[k] + np.exp(0.5 * log_var[k]) * noise).reshape(n, *self.latent_shape)

    def _mean_and_log_var(self):
        return ops.convert_to_tensor(self.mean), ops.clip(self.log_var, -10.0, 10.0)

    def get_config(self):
        return {**super().get_config(), "components": self.components, "seed": self.seed}
