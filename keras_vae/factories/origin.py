"""How a factory made a model: recorded on the model, so that it can be saved as that."""

import json

import keras

from keras_vae import objectives
from keras_vae.likelihoods import LIKELIHOODS
from keras_vae.priors import CODE_PRIORS, PRIORS


def list_arguments(given):
    """The arguments of a factory from its `locals()`, with the settings among them."""
    return {
        **{key: value for key, value in given.items() if key != "settings"},
        **given["settings"],
    }


def record(model, factory, arguments):
    """Notes on the model how it was made, so that it can be saved as that."""
    arguments = {key: plain(value) for key, value in arguments.items()}
    try:
        # NumPy's numbers and arrays become plain; nothing else has tolist.
        arguments = json.loads(json.dumps(arguments, default=lambda value: value.tolist()))
    except (TypeError, AttributeError):  # a part of the user's own
        return model
    return model.note_origin({"factory": factory, "arguments": arguments})


def recorded(model):
    """The factory that made a model, and arguments that make it as it is now; or None and None.

    Settings of the objective may have changed since, as `beta` may.
    """
    if not model.made_by:
        return None, None
    arguments = model.made_by["arguments"]
    given = {**objectives.DEFAULTS, **arguments}
    now = model.objective.settings().items()
    changed = {key: value for key, value in now if value != given[key] and value == value}
    return model.made_by["factory"], {**arguments, **changed}


def plain(value):
    """Returns a part of ours as a dict of its name and arguments; everything else as it is."""
    for name, kind in {**LIKELIHOODS, **PRIORS, **CODE_PRIORS}.items():
        if type(value) is kind:
            is_layer = isinstance(value, keras.layers.Layer)
            inherited = keras.layers.Layer().get_config() if is_layer else {}
            config = value.get_config()
            own = {key: plain(config[key]) for key in config if key not in inherited}
            return {"name": name, **own}
    return [plain(item) for item in value] if isinstance(value, (tuple, list)) else value
