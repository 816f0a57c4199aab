"""Latents: layers from what the encoder returns to `(z, rate in nats per example)`."""

from keras_vae.latents.base import Latent as Latent
from keras_vae.latents.gaussian import GaussianLatent as GaussianLatent
from keras_vae.latents.quantizer import CodebookUse as CodebookUse
from keras_vae.latents.quantizer import VectorQuantizer as VectorQuantizer
