"""Building an untrained model from the content of a config.json, which may come from anyone."""

import reprlib
from functools import partial

from keras_vae import registry
from keras_vae.factories import FACTORIES, parameters
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
    config = {key: config[key] for key in KEYS if key in config}
    if "architecture" in config:
        make = partial(architecture.build, config["architecture"])
    else:
        make = _factory(config.get("factory"), config.get("arguments"))
    if not any(config.items() <= entry.items() for entry in registry.entries().values()):
        rules.check_size(make)  # which takes a tenth of a second or two
    return make()


def _factory(factory, arguments):
    if not isinstance(factory, str) or factory not in FACTORIES:
        known = ", ".join(FACTORIES)
        raise ValueError(f"Unknown factory {reprlib.repr(factory)}. Available: {known}.")
    if not isinstance(arguments, dict):
        raise ValueError(f"arguments must be a dict. Received: {reprlib.repr(arguments)}")
    if unknown := [reprlib.repr(name) for name in arguments if name not in parameters(factory)]:
        takes = f"It takes: {', '.join(parameters(factory))}."
        raise ValueError(f"{factory} does not take {', '.join(unknown[:5])}. {takes}")
    rules.check_plain("arguments", arguments)
    return partial(FACTORIES[factory], **arguments)
