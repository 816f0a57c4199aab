"""The interface of priors, and the standard normal."""

import keras
import numpy as np
from keras import ops

from keras_vae import normal


class Prior(keras.layers.Layer):
    """The interface of a prior p(z): `log_prob(z)` and `sample(n, rng)`.

    A prior is a layer, so its weights are saved. `build` receives the shape of a batch of latents,
    `(None, *latent_shape)`, or of one-hot codes, `(None, *positions, num_codes)`. Everything is
    computed in float32 under every dtype policy.
    """

    over_codes = False  # whether it is a prior over integer codes
    any_size = False  # whether the prior is defined for latents of any height and width
    rank = 0  # how many factors `begin_at` takes
    from_normal = None  # a method that maps standard normal noise (n, d) to latents, or None

    def __init__(self, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)

    def build(self, input_shape):
        self.latent_shape = tuple(input_shape[1:])
        if None in self.latent_shape and not self.any_size:
            raise ValueError(
                f"A {type(self).__name__} prior needs latents of a fixed shape: give the model an "
                f"input shape without None. Received: {self.latent_shape}"
            )

    def add_weight(self, *args, **kwargs):
        # Without autocast: a layer under mixed precision would see 16-bit weights.
        return super().add_weight(*args, autocast=False, **kwargs)

    def connect(self, posterior, data_shape):
        """Gives the prior access to its model, before `build`. A no-op by default.

        Args:
            posterior: a function from data `(n, *data_shape)` to the mean and log_var of q(z|x).
            data_shape: shape of one example.
        """

    def begin_at(self, mean, factors, var):
        """Begins at N(mean, factors factors^T + diag(var)), before training. A no-op by default.

        Args:
            mean: of the latents, flat, `(d,)`.
            factors: `(d, rank)`.
            var: `(d,)`.
        """

    def log_prob(self, z, training=False):
        """Returns the log-density of latents `(n, *latent_shape)`: `(n,)`, in nats."""
        raise NotImplementedError

    def sample(self, n: int, rng: np.random.Generator):
        """Draws `n` latents, `(n, *latent_shape)`, with a NumPy generator.

        A prior of any size takes a third argument, `shape=None`, in place of `latent_shape`.
        """
        raise NotImplementedError

    def sample_of(self, shape, n, rng):
        """Draws `n` latents of a shape, which only a prior of any size needs to know."""
        return self.sample(n, rng, shape) if self.any_size else self.sample(n, rng)

    def formula(self):
        """Describes the prior for sampling outside Keras: a dict of its `kind` and NumPy arrays.

        The kinds are `"normal"`, `"mixture"` and `"realnvp"`. None (default): not available.
        """


@keras.saving.register_keras_serializable(package="keras_vae")
class StandardNormal(Prior):
    """N(0, I)."""

    any_size = True

    def log_prob(self, z, training=False):
        return normal.sum_per_example(normal.log_density(ops.cast(z, "float32")))

    def sample(self, n, rng, shape=None):
        shape = self.latent_shape if shape is None else shape
        return rng.standard_normal((n, *shape), dtype="float32")

    def from_normal(self, u):
        """Reshapes standard normal noise `(n, d)` to latents `(n, *latent_shape)`."""
        return ops.reshape(u, (-1, *self.latent_shape))

    def formula(self):
        return {"kind": "normal"}
