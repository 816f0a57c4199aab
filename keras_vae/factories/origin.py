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
    """The factory that made a model, and arguments that make it as it is now.

    Settings of the objective may have changed since, as `beta` may, and the units of its codes.
    None and None if no factory made the model, or if no arguments make it as it is now.
    """
    if not model.made_by:
        return None, None
    arguments = model.made_by["arguments"]
    of_objective = [key for key in objectives.DEFAULTS if key in arguments]
    made, now = objectives.get(**{key: arguments[key] for key in of_objective}), model.objective
    if type(made) is not type(now) or _fixed(made) != _fixed(now):
        return None, None
    before, after = made.settings(), now.settings()
    changed = {key: after[key] for key in after if after[key] != before[key]}
    for key, default in {"latent_scale": 1.0, "latent_shift": 0.0}.items():
        if (value := getattr(model, key)) != arguments.get(key, default):
            if key not in arguments:
                return None, None  # the factory takes no such argument
            changed[key] = value
    return model.made_by["factory"], {**arguments, **changed}


def _fixed(objective):
    """An objective's config without the values of its settings, which may change."""
    settings, config = objective.settings(), objective.get_config()
    return {key: None if key in settings else config[key] for key in config if key != "name"}


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
