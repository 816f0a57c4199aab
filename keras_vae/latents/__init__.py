"""Latents: layers from what the encoder returns to a code and its rate in nats per example."""

from keras_vae.latents.base import CodeSpec as CodeSpec
from keras_vae.latents.base import Draw as Draw
from keras_vae.latents.base import Latent as Latent
from keras_vae.latents.base import Use as Use
from keras_vae.latents.codebook import Codebook as Codebook
from keras_vae.latents.diffusion import DiffusionLatent as DiffusionLatent
from keras_vae.latents.diffusion import DiffusionPoint as DiffusionPoint
from keras_vae.latents.discrete import CodebookUse as CodebookUse
from keras_vae.latents.discrete import DiscreteLatent as DiscreteLatent
from keras_vae.latents.gaussian import GaussianLatent as GaussianLatent
from keras_vae.latents.ladder import Ladder as Ladder
from keras_vae.latents.point import PointLatent as PointLatent
from keras_vae.latents.quantizer import VectorQuantizer as VectorQuantizer
