"""What every prior offers, and the standard normal."""

import math

import keras
import numpy as np
from keras import ops


class Prior(keras.layers.Layer):
    """The interface: `log_prob(z)` and `sample(n, rng)`. A layer, so that its weights are saved.

    `build` receives the shape of a batch of latents, `(None, *latent_shape)`. Everything here is
    computed in float32 under every dtype policy. A prior whose draws are a function of standard
    normal noise has that function too: `from_normal(u)`, u `(n, d)` to latents.
    """

    def __init__(self, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)

    def build(self, input_shape):
        self.latent_shape = tuple(input_shape[1:])

    def add_weight(self, *args, **kwargs):
        # A layer of mixed precision would see the weights of its parts in 16 bits.
        return super().add_weight(*args, autocast=False, **kwargs)

    def connect(self, posterior, data_shape):
        """Tells a prior of its model, before `build`; most need not know.

        Args:
            posterior: a function from data `(n, *data_shape)` to mean and log_var of q(z|x).
            data_shape: shape of one example.
        """

    def log_prob(self, z):
        """Log-density of latents `(n, *latent_shape)`: `(n,)`, in nats."""
        raise NotImplementedError

    def sample(self, n: int, rng: np.random.Generator):
        """Draws `n` latents, `(n, *latent_shape)`, from the numbers of a NumPy generator."""
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="keras_vae")
class StandardNormal(Prior):
    """N(0, I)."""

    def log_prob(self, z):
        return standard_normal_log_prob(ops.cast(z, "float32"))

    def sample(self, n, rng):
        return rng.standard_normal((n, *self.latent_shape), dtype="float32")

    def from_normal(self, u):
        """Latents `(n, *latent_shape)` of standard normal noise `(n, d)`: the same numbers."""
        return ops.reshape(u, (-1, *self.latent_shape))


def standard_normal_log_prob(z):
    """log N(z; 0, I) of `(n, ...)`: `(n,)`."""
    axes = tuple(range(1, len(z.shape)))
    return -0.5 * ops.sum(ops.square(z) + math.log(2 * math.pi), axis=axes)
