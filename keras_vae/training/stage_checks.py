"""The stages of a recipe, and the checks of what they say."""

from functools import partial

import keras

from keras_vae.checks import check_flag, check_number, check_seed, check_whole

STAGES = ("training", "refinement", "prior")
OPTIMIZERS = {"adam": keras.optimizers.Adam, "adamax": keras.optimizers.Adamax}


def _check_seed(name, value):
    check_seed(check_whole(name, value, 0))


def _check_optimizer(name, value):
    if not isinstance(value, str) or value not in OPTIMIZERS:
        raise ValueError(f"{name} must be one of {', '.join(OPTIMIZERS)}. Received: {value!r}")


def _check_table(name, value):
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a table. Received: {value!r}")


# How each setting of a stage is checked, by its name in messages and its value.
_OF_STAGE = {
    **dict.fromkeys(("epochs", "batch_size"), partial(check_whole, minimum=1)),
    **dict.fromkeys(("warmup", "patience", "shifts"), partial(check_whole, minimum=0)),
    "seed": _check_seed,
    **dict.fromkeys(("learning_rate", "decay_to", "beta_warmup"), partial(check_number, minimum=0)),
    **dict.fromkeys(("clip", "skip_above"), partial(check_number, minimum=1e-30)),
    "average": partial(check_number, minimum=0, maximum=0.999999),  # of 1 it would not move
    **dict.fromkeys(("keep_best", "flips"), check_flag),
    "optimizer": _check_optimizer,
    "arguments": _check_table,
}
_NEEDED = {"epochs", "batch_size", "learning_rate", "seed"}


def stages(recipe: dict) -> list[str]:
    """Returns the names of a recipe's stages, in order.

    Raises:
        ValueError: if the recipe lacks a table or a setting, or has one that is not known or out of
            its range, or if it has a stage for a prior and its model has no prior.
    """
    _check_names("A recipe", recipe, {"model", "data", *STAGES})
    if missing := {"model", "training"} - set(recipe):
        raise ValueError(f"A recipe needs the table {min(missing)}.")
    _check_table("model", recipe["model"])
    _check_names("The table model", recipe["model"], {"factory", "arguments"})
    if missing := {"factory", "arguments"} - set(recipe["model"]):
        raise ValueError(f"The table model needs {' and '.join(sorted(missing))}.")
    _check_table("arguments of model", recipe["model"]["arguments"])
    found = [name for name in STAGES if name in recipe]
    for name in found:
        _check_table(f"The stage {name}", recipe[name])
        _check_names(f"The stage {name}", recipe[name], _OF_STAGE.keys())
        if missing := _NEEDED - set(recipe[name]):
            raise ValueError(f"The stage {name} needs {', '.join(sorted(missing))}.")
        for key, value in recipe[name].items():
            _OF_STAGE[key](f"{key} of the stage {name}", value)
    if "prior" in found and not recipe["model"]["arguments"].get("prior"):
        raise ValueError("The stage prior trains the model's prior, but its arguments have none.")
    return found


def _check_names(what, table, known):
    if unknown := set(table) - known:
        raise ValueError(
            f"{what} has no {', '.join(sorted(unknown))}. It may have: {', '.join(sorted(known))}."
        )
