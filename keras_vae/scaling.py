"""Codes in the units of a diffusion model."""

import numpy as np

from keras_vae.checks import as_array, as_float32, check_number


class Scaling:
    """What `VAE` offers to those who train or run a diffusion model on its codes.

    A diffusion model takes codes of about unit variance: (z - latent_shift) * latent_scale.
    """

    def scale_latents(self, z):
        """Converts codes, as `encode` gives them, to those that a diffusion model takes.

        Args:
            z: codes `(n, *code_shape)` in the model's own units.

        Returns:
            (z - latent_shift) * latent_scale, float32.
        """
        return (_floats(z) - np.float32(self.latent_shift)) * np.float32(self.latent_scale)

    def unscale_latents(self, z):
        """Converts codes of a diffusion model to those that `decode` takes.

        Args:
            z: codes `(n, *code_shape)` in the units of the diffusion model.

        Returns:
            z / latent_scale + latent_shift, float32.
        """
        return _floats(z) / np.float32(self.latent_scale) + np.float32(self.latent_shift)

    @property
    def latent_scale(self):
        """What codes are multiplied with for a diffusion model: 1 / their standard deviation."""
        return self._latent_scale

    @latent_scale.setter
    def latent_scale(self, value):
        value = check_number("latent_scale", value, -1e30)
        if not np.float32(value):
            raise ValueError(f"latent_scale must not be 0 in float32. Received: {value}")
        self._latent_scale = value

    @property
    def latent_shift(self):
        """What is subtracted from codes for a diffusion model: their mean."""
        return self._latent_shift

    @latent_shift.setter
    def latent_shift(self, value):
        self._latent_shift = check_number("latent_shift", value, -1e30)


def _floats(z):
    z = as_array(z, "z")
    if z.dtype.kind != "f" and z.dtype.name != "bfloat16":
        raise ValueError(f"z must hold float codes, not the numbers of a codebook: {z.dtype}.")
    return as_float32(z, "z")
