"""The latents of autoencoders made for latent diffusion: their prior is a diffusion model."""

import keras

from keras_vae.latents.gaussian import GaussianLatent
from keras_vae.latents.point import PointLatent

_NO_PRIOR = (
    "The prior of this autoencoder is a diffusion model, which is not part of it, so it generates "
    "nothing by itself: decode(unscale_latents(z)) makes images of what a diffusion model gives."
)


@keras.saving.register_keras_serializable(package="keras_vae")
class DiffusionLatent(GaussianLatent):
    """A `GaussianLatent` whose codes a diffusion model describes (Rombach et al. 2022).

    The rate is the KL divergence to N(0, I), as in training, where its weight is tiny (arXiv
    2112.10752, section 3.1). `log_var` is bounded to [-30, 20], as in the original code.
    """

    log_var_bounds = (-30.0, 20.0)
    generates = False
    no_prior = _NO_PRIOR


@keras.saving.register_keras_serializable(package="keras_vae")
class DiffusionPoint(PointLatent):
    """A `PointLatent` whose codes a diffusion model describes: without a posterior or a rate."""

    no_prior = _NO_PRIOR
