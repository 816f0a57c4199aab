"""A model's architecture as plain data: its layers, limited to those of Keras and of keras_vae.

A part is `{"class": "Dense", "config": {...}}`, where the class is one of keras_vae or of
layers.toml. There are no modules, functions or operations: building an architecture runs only code
of Keras and keras_vae. In a functional model a layer also has `calls`, in which
`{"tensor": [layer, call, output]}` stands for an output of another layer.
"""

import tomllib
from pathlib import Path

import keras

from keras_vae.hub.rules import check_plain
from keras_vae.latents import Latent
from keras_vae.likelihoods import Likelihood
from keras_vae.model import VAE
from keras_vae.objectives import Objective
from keras_vae.priors import Prior

_CLASSES = tomllib.loads(Path(__file__).with_name("layers.toml").read_text("utf-8"))
_MODULES = {name: module for module, names in _CLASSES.items() for name in names.split()}
_OURS = (Latent, Prior, Likelihood, Objective)
_MOST = {"most": 300, "deepest": 24}
_MOST_PARTS = 4000  # layers, initializers, ...: each call of one takes a millisecond or so
_KEYS = {"encoder", "decoder", "latent", "likelihood", "objective"}
_KEYS |= {"latent_scale", "latent_shift", "name", "trainable", "seed", "data_shape"}


def describe(model) -> dict:
    """Describes a model as plain data, from which `build` makes it again without its weights.

    Raises:
        ValueError: if a part of the model is neither of Keras nor of keras_vae; it is named.
    """
    config = {key: value for key, value in model.get_config().items() if key != "made_by"}
    plain = _plain({**config, "data_shape": list(model.data_shape)})
    _check(plain)
    return plain


def build(architecture: dict) -> VAE:
    """Builds an untrained model from what `describe` returned, which may come from anyone.

    Raises:
        ValueError: if the architecture is not plain, too large, or has a class that is not allowed.
        Exception: whatever Keras raises if the parts do not fit together.
    """
    _check(architecture)
    config = _serialised(architecture)
    data_shape = config.pop("data_shape")
    model = VAE.from_config(config)
    if not model.built:
        model.build((None, *data_shape))
    return model


def _check(architecture):
    check_plain("architecture", architecture, **_MOST)
    if unknown := set(architecture) - _KEYS:  # such as `made_by`, which only a factory may note
        raise ValueError(f"An architecture may not hold the keys {sorted(unknown)}.")
    if (parts := _count(architecture)) > _MOST_PARTS:
        most = f"{_MOST_PARTS} parts, each counted at each of its calls"
        raise ValueError(f"An architecture may have {most}. Received: {parts}")


def _count(value):
    """The parts that one pass goes through: those of a model in a model at each of its calls."""
    if not isinstance(value, dict):
        return sum(map(_count, value)) if isinstance(value, (list, tuple)) else 0
    calls = value.get("calls")
    times = len(calls) if calls and isinstance(calls, (list, tuple)) else 1
    return times * (("class" in value) + sum(map(_count, value.values())))


def _plain(value):
    """What Keras serialised, without modules and precisions, which are those of whoever loads."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "class_name" not in value:
        kept = (item for item in value.items() if item[0] != "dtype" or isinstance(item[1], str))
        return {key: _plain(item) for key, item in kept}
    name, module = value["class_name"], str(value.get("module"))
    if name == "__keras_tensor__":
        return {"tensor": list(value["config"]["keras_history"])}
    name = "Model" if name == "Functional" else name
    is_ours = value.get("registered_name") == f"keras_vae>{name}"
    if not is_ours and (name not in _MODULES or not f"{module}.".startswith("keras.")):
        name = value["config"] if name == "function" else name
        raise ValueError(_REFUSAL.format(f"{name} ({module})" if value.get("module") else name))
    if ".ops." in module:
        raise ValueError(_REFUSAL.format(f"keras.ops, here {name}, outside of a layer"))
    # Without what is None, since a layer of another version of Keras may have other arguments.
    config = {k: v for k, v in value["config"].items() if is_ours or v is not None}
    part = {"class": name, "config": _plain(config)}
    return {**part, "calls": _plain(value["inbound_nodes"])} if "inbound_nodes" in value else part


_REFUSAL = (
    "A model with {} cannot be described as plain data: only layers of Keras and parts of "
    'keras_vae can. Use those, or share the file that model.save("model.keras") writes.'
)


def _serialised(value):
    """What Keras would have serialised: only the classes of our list are given a module."""
    if isinstance(value, list):
        return [_serialised(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        history = {"keras_history": value["tensor"], "shape": [], "dtype": "float32"}
        return {"class_name": "__keras_tensor__", "config": history}
    if "class" not in value:
        return {key: _serialised(item) for key, item in value.items()}
    name, config = str(value["class"]), _serialised(value.get("config"))
    ours = keras.saving.get_registered_object(f"keras_vae>{name}")
    if not (name in _MODULES if ours is None else issubclass(ours, _OURS)):
        raise ValueError(f"An architecture may not contain the class {name!r}.")
    registered = f"keras_vae>{name}" if ours else None
    module = ours.__module__ if ours else _MODULES[name]
    part = {"module": module, "class_name": name, "registered_name": registered, "config": config}
    if "calls" in value:
        part |= {"name": config["name"], "inbound_nodes": _serialised(value["calls"])}
    return part
