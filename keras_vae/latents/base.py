"""What every latent offers: a layer from the encoder's output to `(z, rate)`."""

import keras
import numpy as np


class Latent(keras.layers.Layer):
    """The interface of a latent: a layer from what the encoder returns to `(z, rate)`.

    Everything here is computed in float32 under every dtype policy.
    """

    stochastic = True  # whether posterior samples differ
    generates = True  # whether the prior is one to draw from
    closed_form = False  # whether the rate is known without sampling

    def __init__(self, *, seed=None, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def connect(self, encoder, data_shape):
        """Tells a latent of its model's encoder, before `build`; most need not know."""

    def call(self, h, num_samples=1, training=False):
        """Returns samples `z`, `(num_samples * n, *latent_shape)`, and the rate, `(n,)` nats.

        A latent that says their shapes in `compute_output_spec` spares a model's building the
        tracing of its mathematics.
        """
        terms = self.infer(h, num_samples, training=training)
        return terms["z"], terms["rate"]

    def infer(self, h, num_samples=1, noise=None, training=False):
        """The posterior's part of the objective.

        Args:
            h: what the encoder returned for `n` examples.
            num_samples: Monte-Carlo samples per example.
            noise: the random numbers to use, `(num_samples, n, *latent_shape)`; drawn if None.
            training: whether this is a training step.

        Returns:
            A dict of `z`, samples in the decoder's shape with the sample axis folded into the
            batch; `rate`, `(n,)`, nats; `penalty`, `(n,)`, a training cost beyond the ELBO
            (zero if there is none); and what `track` needs.
        """
        raise NotImplementedError

    def code(self, h):
        """The deterministic representation of `n` examples."""
        raise NotImplementedError

    def check_code(self, z):
        """Returns the NumPy array `z`; ValueError unless `lookup` can take it."""
        shape = ", ".join(map(str, ("n", *self.latent_shape)))
        if z.ndim != len(self.latent_shape) + 1 or z.shape[1:] != self.latent_shape or not len(z):
            raise ValueError(f"z must have shape ({shape}). Received shape: {z.shape}")
        if not np.isfinite(z).all():
            raise ValueError("z must be finite. Received NaN or infinite values.")
        return z.astype("float32")

    def lookup(self, code):
        """Turns a representation into what the decoder takes."""
        return code

    def propose(self, h, noise=None, num_samples=1):
        """Samples with their importance weights.

        Args:
            h: what the encoder returned for `n` examples.
            noise: as in `infer`.
            num_samples: Monte-Carlo samples per example, if the noise is drawn.

        Returns:
            `z` as in `infer`; log p(z) - log q(z|x), `(num_samples, n)`, in nats; and the rate as
            each sample gives it, of the same shape: its mean over the samples is `infer`'s.
        """
        raise NotImplementedError

    def rescale(self, h, z, scale):
        """The samples of `propose` again, with other gradients.

        Args:
            h: what the encoder returned for `n` examples.
            z: samples of it, as `propose` returns them.
            scale: numbers `(num_samples, n)`, of which no gradient is taken.

        Returns:
            `z`, of which the encoder's gradient is multiplied by `scale`; and log p(z) - log q(z|x)
            as in `propose`, which depends on the encoder through z alone.
        """
        raise NotImplementedError

    def track(self, terms):
        """Updates the latent's own metrics from what `infer` returned."""

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
