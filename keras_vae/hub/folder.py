"""A model's folder: config.json makes the model, metadata.json proves model.weights.h5.

Anyone may have written a folder: it is read with care, and written as a whole or not at all.
"""

import os
import random
import re
import reprlib
import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_vae import likelihoods
from keras_vae.backends import alone
from keras_vae.checks import check_flag
from keras_vae.factories import recorded
from keras_vae.files import sha256, write_json, write_weights
from keras_vae.hub import architecture
from keras_vae.hub.building import KEYS, build_blank
from keras_vae.hub.errors import WeightsError
from keras_vae.hub.fingerprint import fingerprint
from keras_vae.hub.small_json import read_small_json
from keras_vae.layouts import CONFIG, METADATA, WEIGHTS, check_own
from keras_vae.model import VAE
from keras_vae.precision import in_float32

FILES = (CONFIG, METADATA, WEIGHTS)


def read_entry(folder) -> dict:
    """Returns what a folder says of its model: how it is built, and all of metadata.json.

    Raises:
        WeightsError: if one of the two files cannot be read, or the metadata prove nothing.
    """
    config, metadata = read_small_json(Path(folder) / CONFIG), read_metadata(folder)
    told = {key: value for key, value in metadata.items() if key not in KEYS}
    return {**{key: config[key] for key in KEYS if key in config}, **told}


def write_entry(folder, entry):
    """Writes config.json and metadata.json, which `read_entry` reads."""
    write_json(folder / CONFIG, {key: entry[key] for key in KEYS if key in entry})
    write_json(folder / METADATA, {key: entry[key] for key in entry if key not in KEYS})


def read_metadata(folder) -> dict:
    """Returns the content of metadata.json, in which size, sha256 and fingerprint are checked.

    Raises:
        WeightsError: if one of them is missing or is not what it should be.
    """
    path = Path(folder) / METADATA
    content = read_small_json(path)
    for key, (rule, holds) in _PROOF.items():
        value = content.get(key)
        if not holds(value):
            raise WeightsError(f"{path}: {key!r} must be {rule}. Received: {reprlib.repr(value)}")
    return content


def check_file(path, entry):
    """Refuses a file of weights that does not have the size and sha256 of its entry."""
    if not path.is_file():
        raise WeightsError(f"The weights are missing: there is no file {path}.")
    expected = f"{entry.get('bytes')} bytes, sha256 {entry.get('sha256')}"
    got = f"{path.stat().st_size} bytes"
    if expected.startswith(f"{got},"):  # else it is another file, without reading it
        got += f", sha256 {sha256(path)}"
    if got != expected:
        raise WeightsError(f"{path} has {got}, not {expected}: it is damaged or another file.")


def save_to_folder(model, folder, *, float16=False):
    """Saves a trained model in a folder that `load` reads.

    A model of a factory is saved as the factory's name and arguments. Any other is saved as an
    architecture: a description of its layers as plain data, limited to layers of Keras and parts of
    keras_vae, so that loading it runs no code of the folder's author.

    Args:
        model: a `keras_vae.VAE`.
        folder: where `config.json`, `model.weights.h5` and `metadata.json` go; made if it does not
            exist. An earlier model in it is replaced once the new one is complete; other files in
            it stay.
        float16: whether the weights are rounded to 16 bits, for a file of half the size. The model
            that `load` makes computes in float32 all the same. Defaults to False.

    Raises:
        ValueError: if the model is not built, if its outputs are not finite or, with `float16`, one
            of its weights would not be, or if it is of a subclass of `VAE`, or has a part that is
            neither of Keras nor of keras_vae, which `model.save("model.keras")` saves; or if the
            folder holds a config.json that keras_vae did not write.

    Example:

    >>> model = keras_vae.mlp_vae((28, 28, 1), latent_dim=16)
    >>> model.fit(x_train)
    >>> keras_vae.save_to_folder(model, "my-model")
    """
    model.check_built()
    check_own(folder)
    seeds = random.getstate()
    try:
        with alone():
            _save(model, Path(folder), check_flag("float16", float16))
    finally:
        random.setstate(seeds)  # the models made next have the same weights, saved or not


def _save(model, folder, float16):
    config, clone = _clone(model)
    if float16:
        _round(clone)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as staged:
        staged = Path(staged)
        write_weights(clone, staged / WEIGHTS, float16=float16)
        saved_with = {"keras": keras.version(), "backend": keras.backend.backend()}
        rounded = {"rounded_to": "float16"} if float16 else {}
        facts = {**describe(clone, staged / WEIGHTS), **rounded, "saved_with": saved_with}
        write_entry(staged, {**config, **facts})
        _replace(staged, folder)


def _replace(staged, folder):
    """Moves the files of a model to its folder; if that is interrupted, those before come back."""
    before = staged / "before"
    before.mkdir()
    # The metadata vouch for the weights: until they follow, `load` refuses the new weights.
    names = (WEIGHTS, CONFIG, METADATA)
    try:
        for name in names:
            if (folder / name).exists():
                _copy(folder / name, before / name)
            (staged / name).replace(folder / name)
    except BaseException:
        for name in names:
            if (before / name).exists():
                (before / name).replace(folder / name)
            elif not (staged / name).exists():
                (folder / name).unlink(missing_ok=True)
        raise


def _copy(path, copy):
    try:
        os.link(path, copy)
    except OSError:  # a file system without links
        shutil.copyfile(path, copy)


def describe(model, weights) -> dict:
    """What metadata.json and the registry say of a model and its file of weights."""
    likelihood, latent = model.likelihood, model.latent
    return {
        "bytes": Path(weights).stat().st_size,
        "sha256": sha256(weights),
        "data_shape": list(model.data_shape),
        "parameters": model.count_params(),
        "likelihood": likelihoods.name_of(likelihood),
        "observes": likelihood.observes,
        "code_length": likelihood.is_code_length,
        "input_range": [0, 1] if likelihood.in_unit_range else "any finite number",
        "prior": latent.prior_name,
        "generates": bool(latent.generates),
        "fingerprint": fingerprint(model),
    }


def _clone(model):
    """What config.json will say, and the model that it makes, with the weights of this one."""
    if type(model) is not VAE:
        raise ValueError(
            f"A folder holds a VAE as plain data, and {type(model).__name__} is a class of your "
            "own, whose methods would be lost. Save it with model.save."
        )
    outputs = fingerprint(model)
    if not np.isfinite(outputs).all():
        raise ValueError("The model's outputs are not finite: its training diverged. Not saved.")
    tolerance = 1e-3 if model.encoder.compute_dtype == "float32" else 0.05
    for config in _configs(model):
        with in_float32():
            clone = build_blank(config)
        if [w.shape for w in clone.weights] == [w.shape for w in model.weights]:
            clone.set_weights(model.get_weights())
            got, close = fingerprint(clone), {"rtol": tolerance, "atol": tolerance}
            if len(got) == len(outputs) and np.allclose(got, outputs, **close):
                return config, clone
    raise ValueError(f"{model!r} cannot be made again from plain data. Save it with model.save.")


def _round(model):
    """Rounds the weights to float16, in place."""
    for weight in model.weights:
        if "float" in str(weight.dtype):
            with np.errstate(over="ignore"):
                rounded = keras.ops.convert_to_numpy(weight).astype("float16")
            if not np.isfinite(rounded).all():
                raise ValueError(
                    f"{weight.path} holds numbers that float16 does not: they must be finite and "
                    "between -65,504 and 65,504. Save the model without float16."
                )
            weight.assign(rounded.astype("float32"))


def _configs(model):
    """How a factory made the model, if one did, and its architecture."""
    factory, arguments = recorded(model)
    if factory:
        yield {"factory": factory, "arguments": arguments}
    yield {"architecture": architecture.describe(model)}


def _is_number(value):
    return type(value) in (int, float) and abs(value) < 1e30


# What proves the weights: {key: (the rule in words, whether a value keeps it)}
_LENGTHS = (8, 10, 12)
_PROOF = {
    "bytes": ("a whole number above 0", lambda v: type(v) is int and v > 0),
    "sha256": ("64 hexadecimal digits", lambda v: v == str(v) and re.fullmatch("[0-9a-f]{64}", v)),
    "fingerprint": (
        "a list of 8, 10 or 12 finite numbers",
        lambda v: type(v) is list and len(v) in _LENGTHS and all(map(_is_number, v)),
    ),
}
