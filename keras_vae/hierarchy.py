"""The methods that tell the layers of a hierarchy apart; the top layer is the first."""

import math
from functools import partial

import numpy as np
from keras import ops

from keras_vae.checks import as_array, check_whole


class Hierarchy:
    """The methods of a `VAE` that tell the layers of its latent apart."""

    def layer_rates(self, x, batch_size=None):
        """Computes the rate of each layer of a hierarchy, such as a `ladder_vae`.

        Args:
            x: data, as in `encode`.
            batch_size: as in `encode`.

        Returns:
            float32 `(n, layers)`, nats, the top layer first; their sum is the rate. The rates of
            the lower layers depend on a sample of the upper ones: one sample is drawn, with a fixed
            seed. A latent that is no hierarchy has one layer.

        Raises:
            ValueError: if the model has no rate, or `x` is not valid data for it.
        """
        self._check_bound()
        return self._in_batches(partial(self._rate_batch, self._layer_rates), x, batch_size)

    def sample_below(self, z, layers, seed=None, *, temperature=1.0):
        """Draws the lower layers of a hierarchy anew from their prior, given the layers above.

        Args:
            z: codes `(n, *code_shape)`, as `encode` gives them. They are not changed.
            layers: how many layers, from the top, keep their latents.
            seed: as in `generate`.
            temperature: as there.

        Returns:
            Codes `(n, *code_shape)`, as `decode` takes them.

        Raises:
            ValueError: if there are not so many layers, or `z` are not codes.
        """
        self.check_built()
        z, kept = self.latent.check_code(as_array(z, "z")), self._count_latents(layers)
        codes = self.sample_prior(len(z), seed, temperature=temperature)
        return np.concatenate([z[:, :kept], codes[:, kept:]], axis=1)

    def _count_latents(self, layers):
        """The number of latents in the upper layers, which are the first of the code."""
        self.check_built()
        layout = self.latent.layout
        if check_whole("layers", layers, 1) > len(layout) or len(layout) == 1:
            rule = f"at most {len(layout)}, as the model has" if len(layout) > 1 else "left out"
            raise ValueError(
                f"layers must be {rule}: it counts the layers of a hierarchy, such as a "
                f"ladder_vae. Received: {layers}"
            )
        return sum(math.prod(shape) for shape in layout[:layers])

    def _layer_rates(self, x, noise):
        draw = self.latent.draw(self._encoded(x), noise)
        return ops.mean(draw.rate, 0)[:, None] if draw.layer_rates is None else draw.layer_rates
