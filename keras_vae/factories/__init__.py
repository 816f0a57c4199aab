"""The named combinations of networks and latents, one file each."""

import inspect
import reprlib

from keras_vae import objectives
from keras_vae.factories.conv import conv_vae as conv_vae
from keras_vae.factories.kl import kl_vae as kl_vae
from keras_vae.factories.ladder import ladder_vae as ladder_vae
from keras_vae.factories.mlp import mlp_vae as mlp_vae
from keras_vae.factories.origin import plain as plain
from keras_vae.factories.origin import recorded as recorded
from keras_vae.factories.tiny import tiny_autoencoder as tiny_autoencoder
from keras_vae.factories.vq import vq_vae as vq_vae
from keras_vae.factories.vq_gan import vq_gan as vq_gan
from keras_vae.model import VAE

FACTORIES = {
    "mlp_vae": mlp_vae,
    "conv_vae": conv_vae,
    "vq_vae": vq_vae,
    "ladder_vae": ladder_vae,
    "tiny_autoencoder": tiny_autoencoder,
    "kl_vae": kl_vae,
    "vq_gan": vq_gan,
}
# Made for photographs: the size, in pixels a side, of pictures that one of any size is shown.
PHOTOGRAPHS = {"tiny_autoencoder": 256, "kl_vae": 256, "vq_gan": 256}


def parameters(factory) -> tuple:
    """The names of the arguments that a factory takes, given its name."""
    own = inspect.signature(FACTORIES[factory]).parameters
    return (*(name for name in own if name != "settings"), *objectives.SETTINGS)


def build(factory, arguments) -> VAE:
    """Builds an untrained model, given a factory's name and its arguments.

    Raises:
        ValueError: if there is no such factory, or it does not take the arguments.
    """
    check(factory, arguments)
    return FACTORIES[factory](**arguments)


def check(factory, arguments):
    """Refuses what is not the name of a factory, or not a dict of arguments that it takes.

    Raises:
        ValueError: as `build` does; values are not checked.
    """
    if not isinstance(factory, str) or factory not in FACTORIES:
        known = ", ".join(FACTORIES)
        raise ValueError(f"Unknown factory {reprlib.repr(factory)}. Available: {known}.")
    if not isinstance(arguments, dict):
        raise ValueError(f"arguments must be a dict. Received: {reprlib.repr(arguments)}")
    if unknown := [reprlib.repr(name) for name in arguments if name not in parameters(factory)]:
        takes = f"It takes: {', '.join(parameters(factory))}."
        raise ValueError(f"{factory} does not take {', '.join(unknown[:5])}. {takes}")
