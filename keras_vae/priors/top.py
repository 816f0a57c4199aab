"""The prior of a ladder's code: that of its top layer, and N(0, I) below."""

import numpy as np
from keras import ops

from keras_vae import normal
from keras_vae.priors.base import Prior


class TopPrior(Prior):
    """A prior of the first latents of a code; the others are independent of them, N(0, I).

    A `keras_vae.latents.Ladder` makes it of the prior that it is given.

    Args:
        prior: the `Prior` of the first latents.
        size: their number.
    """

    def __init__(self, prior, size, **kwargs):
        super().__init__(**kwargs)
        self.prior, self.size = prior, size

    def connect(self, posterior, data_shape):
        self.prior.connect(posterior, data_shape)

    def build(self, input_shape):
        super().build(input_shape)
        if not self.prior.built:
            self.prior.build((None, self.size))
        if self.prior.latent_shape != (self.size,):
            raise ValueError(
                f"The prior was built for latents of shape {self.prior.latent_shape}; the top "
                f"layer has {self.size}. Each model needs a prior of its own."
            )

    @property
    def from_normal(self):
        """Maps standard normal noise `(n, d)` to latents, if the prior of the first ones does."""
        return None if self.prior.from_normal is None else self._from_normal

    def _from_normal(self, u):
        return ops.concatenate([self.prior.from_normal(u[:, : self.size]), u[:, self.size :]], 1)

    def log_prob(self, z, training=False):
        z = ops.cast(z, "float32")
        below = normal.sum_per_example(normal.log_density(z[:, self.size :]))
        return self.prior.log_prob(z[:, : self.size]) + below

    def sample(self, n, rng):
        below = (n, self.latent_shape[0] - self.size)
        return np.concatenate([self.prior.sample(n, rng), rng.standard_normal(below, "float32")], 1)
