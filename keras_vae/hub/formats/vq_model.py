"""VQModel of diffusers: the VQGANs of latent diffusion, f4, f8 and f16."""

import numpy as np

from keras_vae.hub.formats import autoencoder_kl

FACTORY = "vq_gan"


def arguments(settings) -> dict:
    """The arguments of `vq_gan`."""
    settings.require("norm_type", "group")
    settings.require("lookup_from_codebook", False, True)
    channels = settings.take("latent_channels", 3)
    return {
        **autoencoder_kl.network(settings),
        "num_codes": settings.take("num_vq_embeddings", 256),
        "code_dim": settings.take("vq_embed_dim", channels),
        "latent_channels": channels,
        "latent_scale": settings.take("scaling_factor", 0.18215),
        "revive_below": 0.0,  # fine-tuning keeps the codes that are rarely used
    }


def float16_warning(config) -> None:
    """None: such a model may compute in float16."""


def tensors(model) -> dict:
    """The tensors that the file of a model holds: those of its networks, and the codebook."""
    codebook = {"quantize.embedding.weight": (model.latent.codebook, np.asarray)}
    return {**autoencoder_kl.tensors(model), **codebook}
