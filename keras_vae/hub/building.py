"""Building a model from the content of a config.json, which may come from anyone."""

from functools import partial

import keras

from keras_vae import factories, registry
from keras_vae.hub import architecture, rules
from keras_vae.model import VAE

KEYS = ("factory", "arguments", "architecture")  # of a config.json


def build(config: dict) -> VAE:
    """Builds an untrained model from a factory's name and arguments, or from an architecture.

    Args:
        config: a dict of `factory` and `arguments`, or of `architecture`; see
            `keras_vae.hub.architecture`. Other keys are ignored.

    Raises:
        ValueError: if there is no such factory, it does not take the arguments, or the values are
            not plain or ask for too large a model.
    """
    return _checked(config)()


def build_blank(config: dict, check=None) -> VAE:
    """Does as `build`, with zeros as the weights of the networks, to be read from a file.

    No random numbers are drawn: JAX compiles them for each shape, which takes long.

    Args:
        config: as for `build`.
        check: a function of the model, called before there is memory for its weights.
    """
    return _blank(_checked(config, check))


def _checked(config, check=None):
    """A function without arguments that builds the model of a config, which was checked."""
    config = {key: config[key] for key in KEYS if key in config}
    if "architecture" in config:
        make = partial(architecture.build, config["architecture"])
    else:
        factory, arguments = config.get("factory"), config.get("arguments")
        factories.check(factory, arguments)
        rules.check_plain("arguments", arguments)
        rules.check_layers(arguments)
        make = partial(factories.build, factory, arguments)
    if not any(config.items() <= entry.items() for entry in registry.entries().values()):
        rules.check_size(make, check)  # which takes a tenth of a second or two
    return make


def _blank(make):
    with keras.StatelessScope():  # which initialises the weights when it ends
        model = make()
        for weight in (*model.encoder.weights, *model.latent.weights, *model.decoder.weights):
            weight._initializer = keras.initializers.Zeros()
    return model
