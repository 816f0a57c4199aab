"""Mixtures of diagonal Gaussians as priors: with free parameters, and the VampPrior."""

import math

import keras
import numpy as np
from keras import ops

from keras_vae import normal
from keras_vae.checks import check_seed, check_sizes, check_whole
from keras_vae.priors.base import Prior

_BLOCK = 64  # components computed at once, to limit memory use


class _Mixture(Prior):
    """p(z) = sum_k w_k N(z; mean_k, diag(exp(log_var_k))). Subclasses define `parts`."""

    def parts(self):
        """Returns log w, `(K,)`, mean and log_var, each `(K, d)`."""
        raise NotImplementedError

    def log_prob(self, z, training=False):
        log_weight, mean, log_var = self.parts()
        z = ops.reshape(ops.cast(z, "float32"), (-1, 1, math.prod(self.latent_shape)))
        log_p = []
        for start in range(0, self.components, _BLOCK):
            part = slice(start, start + _BLOCK)
            u = (z - mean[part]) * ops.exp(-0.5 * log_var[part])  # (n, block, d)
            log_p.append(ops.sum(normal.log_density(u, log_var[part]), axis=2))
        return ops.logsumexp(log_weight + ops.concatenate(log_p, axis=1), axis=1)

    def sample(self, n, rng):
        log_weight, mean, log_var = map(ops.convert_to_numpy, self.parts())
        cumulative = np.cumsum(np.exp(log_weight.astype("float64")))
        k = np.searchsorted(cumulative, rng.random(n) * cumulative[-1])
        noise = rng.standard_normal((n, mean.shape[1]), dtype="float32")
        return (mean[k] + np.exp(0.5 * log_var[k]) * noise).reshape(n, *self.latent_shape)

    def formula(self):
        log_weight, mean, log_var = map(ops.convert_to_numpy, self.parts())
        stddev = np.exp(0.5 * log_var)
        return {"kind": "mixture", "weights": np.exp(log_weight), "mean": mean, "stddev": stddev}


@keras.saving.register_keras_serializable(package="keras_vae")
class MixtureOfGaussians(_Mixture):
    """A mixture of K diagonal Gaussians with learned means, variances and weights.

    The "MoG" prior of Tomczak & Welling 2018 (arXiv 1705.07120, section 5.2). The initial means
    are drawn from N(0, I). All variances start at 1, and all weights start equal.

    Args:
        components: number K of Gaussians. Defaults to 100.
        seed: seed of the initial means. Defaults to None.
    """

    def __init__(self, components=100, *, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.components = check_whole("components", components, 1)
        self.seed = check_seed(seed)

    def build(self, input_shape):
        super().build(input_shape)
        shape = (self.components, math.prod(self.latent_shape))
        scattered = keras.initializers.RandomNormal(stddev=1.0, seed=self.seed)
        self.mean = self.add_weight(shape=shape, initializer=scattered, name="mean")
        self.log_var = self.add_weight(shape=shape, initializer="zeros", name="log_var")
        self.logits = self.add_weight(shape=shape[:1], initializer="zeros", name="logits")

    def parts(self):
        log_var = ops.clip(self.log_var, -10.0, 10.0)
        return ops.log_softmax(self.logits), ops.convert_to_tensor(self.mean), log_var

    def get_config(self):
        return {**super().get_config(), "components": self.components, "seed": self.seed}


@keras.saving.register_keras_serializable(package="keras_vae")
class VampPrior(_Mixture):
    """The mean of the posteriors of K learned pseudo-inputs u_k: p(z) = 1/K sum_k q(z|u_k).

    Tomczak & Welling 2018, arXiv 1705.07120, eq. 9. The encoder is that of the model.
    Pseudo-inputs are initialised uniformly in [0, 1] and are not constrained to stay there.

    Args:
        components: number K of pseudo-inputs. Defaults to 500.
        seed: seed of the initial pseudo-inputs. Defaults to None.
        data_shape: shape of one pseudo-input. Defaults to None, the shape of the model's data.
    """

    def __init__(self, components=500, *, seed=None, data_shape=None, **kwargs):
        super().__init__(**kwargs)
        self.components = check_whole("components", components, 1)
        self.seed = check_seed(seed)
        self.data_shape = None if data_shape is None else check_sizes("data_shape", data_shape)

    def connect(self, posterior, data_shape):
        # Not tracked by Keras: the encoder belongs to the model.
        object.__setattr__(self, "_posterior", posterior)
        self.data_shape = tuple(data_shape)

    def build(self, input_shape):
        super().build(input_shape)
        if self.data_shape is None:
            raise ValueError("A VampPrior needs data_shape, or a model that it belongs to.")
        self.pseudo_inputs = self.add_weight(
            shape=(self.components, *self.data_shape),
            initializer=keras.initializers.RandomUniform(0.0, 1.0, seed=self.seed),
            name="pseudo_inputs",
        )

    def parts(self):
        mean, log_var = self._posterior(ops.convert_to_tensor(self.pseudo_inputs))
        mean, log_var = (ops.reshape(t, (self.components, -1)) for t in (mean, log_var))
        log_weight = ops.full((self.components,), -math.log(self.components), dtype="float32")
        return log_weight, mean, log_var

    def get_config(self):
        own = {"components": self.components, "seed": self.seed, "data_shape": self.data_shape}
        return {**super().get_config(), **own}
