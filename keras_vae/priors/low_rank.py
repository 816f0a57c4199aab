"""A Gaussian whose latents depend on each other through a few factors."""

import math

import keras
import numpy as np
from keras import ops

from keras_vae import normal
from keras_vae.checks import check_seed, check_whole
from keras_vae.priors.base import Prior


@keras.saving.register_keras_serializable(package="keras_vae")
class LowRankGaussian(Prior):
    """N(mean, W W^T + diag(exp(log_var))), with learned parameters: factor analysis of the latents.

    For latents on a map, which N(0, I) would draw independently of their neighbours. The covariance
    is inverted as Woodbury's identity says, its determinant is that of a matrix of the rank's size
    (Petersen & Pedersen 2012, The Matrix Cookbook, eq. 156 and 24).

    Args:
        rank: number of factors, the columns of W. Defaults to 32.
        seed: seed of the initial W, which is small: the prior begins near N(0, I). Defaults to
            None.
    """

    def __init__(self, rank=32, *, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rank = check_whole("rank", rank, 1)
        self.seed = check_seed(seed)

    def build(self, input_shape):
        super().build(input_shape)
        size = math.prod(self.latent_shape)
        small = keras.initializers.RandomNormal(stddev=0.01, seed=self.seed)
        self.mean = self.add_weight(shape=(size,), initializer="zeros", name="mean")
        self.log_var = self.add_weight(shape=(size,), initializer="zeros", name="log_var")
        self.factors = self.add_weight(shape=(size, self.rank), initializer=small, name="factors")

    def begin_at(self, mean, factors, var):
        self.mean.assign(mean)
        self.log_var.assign(np.log(var))
        self.factors.assign(factors)

    def log_prob(self, z, training=False):
        log_var, w = ops.clip(self.log_var, -10.0, 10.0), ops.convert_to_tensor(self.factors)
        z = ops.reshape(ops.cast(z, "float32"), (-1, math.prod(self.latent_shape)))
        u, v = (z - self.mean) * ops.exp(-0.5 * log_var), w * ops.exp(-0.5 * log_var)[:, None]
        root = ops.cholesky(ops.eye(self.rank, dtype="float32") + ops.matmul(ops.transpose(v), v))
        of_factors = ops.solve_triangular(root, ops.transpose(ops.matmul(u, v)), lower=True)
        log_det = ops.sum(ops.log(ops.diagonal(root)))  # half that of the matrix
        independent = ops.sum(normal.log_density(u, log_var), axis=1)
        return independent + 0.5 * ops.sum(ops.square(of_factors), axis=0) - log_det

    def sample(self, n, rng):
        mean, log_var, w = map(ops.convert_to_numpy, (self.mean, self.log_var, self.factors))
        log_var = np.clip(log_var, -10.0, 10.0)
        z = rng.standard_normal((n, len(mean)), dtype="float32") * np.exp(0.5 * log_var)
        z += mean + rng.standard_normal((n, self.rank), dtype="float32") @ w.T
        return z.reshape(n, *self.latent_shape)

    def get_config(self):
        return {**super().get_config(), "rank": self.rank, "seed": self.seed}
