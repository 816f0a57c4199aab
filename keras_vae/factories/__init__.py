"""The named combinations of networks and latents, one file each."""

import inspect

from keras_vae import objectives
from keras_vae.factories.conv import conv_vae as conv_vae
from keras_vae.factories.mlp import mlp_vae as mlp_vae
from keras_vae.factories.origin import plain as plain
from keras_vae.factories.origin import recorded as recorded
from keras_vae.factories.vq import vq_vae as vq_vae

FACTORIES = {"mlp_vae": mlp_vae, "conv_vae": conv_vae, "vq_vae": vq_vae}


def parameters(factory) -> tuple:
    """The names of the arguments that a factory takes, given its name."""
    own = inspect.signature(FACTORIES[factory]).parameters
    return (*(name for name in own if name != "settings"), *objectives.SETTINGS)
