"""A model's folder, laid out as KerasHub's presets: three files.

They are read as what a stranger may have written, and written as a whole or not at all.
"""

import contextlib
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_vae.factories import plain
from keras_vae.files import read_json, write_json
from keras_vae.weights import WeightsError, check_entry, describe, fingerprint, write_weights

FILES = CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LARGEST_JSON = 2**20  # bytes; ours have less than a thousandth of it


def read_entry(folder) -> dict:
    """Returns a folder's factory and arguments, and what its metadata says of its weights.

    Raises:
        WeightsError: if config.json or metadata.json lacks something or is not what it should be.
    """
    path = Path(folder) / CONFIG
    config = _read(path)
    check_entry(config, str(path), ("factory", "arguments"))
    return {"factory": config["factory"], "arguments": config["arguments"], **read_metadata(folder)}


def read_metadata(folder) -> dict:
    """Returns the size, sha256 and fingerprint of the weights, from a folder's metadata.json.

    Raises:
        WeightsError: if one is missing or is not what it should be.
    """
    path, keys = Path(folder) / METADATA, ("bytes", "sha256", "fingerprint")
    content = _read(path)
    check_entry(content, str(path), keys)
    return {key: content[key] for key in keys}


@contextlib.contextmanager
def in_float32():
    """Whatever is built within computes in float32: fingerprints are taken so."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def write_folder(model, clone, folder, config):
    """Writes a model into a folder, through an untrained clone of it that computes in float32.

    All is written under a temporary name first: if that fails, an earlier model is still there.

    Raises:
        ValueError: if the clone is another model, or the model's outputs are not finite.
    """
    _take_over(clone, model, config["factory"])
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as staged:
        staged = Path(staged)
        write_weights(model, clone, staged / WEIGHTS)
        write_json(staged / CONFIG, config)
        saved_with = {"keras": keras.version(), "backend": keras.backend.backend()}
        metadata = {**describe(clone, staged / WEIGHTS), "saved_with": saved_with}
        write_json(staged / METADATA, metadata)
        # The metadata vouch for the weights: until they follow, `load` refuses the new weights.
        for name in (WEIGHTS, CONFIG, METADATA):
            (staged / name).replace(folder / name)


def _read(path):
    if path.is_file() and path.stat().st_size > LARGEST_JSON:
        raise WeightsError(f"{path} has more than the {LARGEST_JSON} bytes allowed.")
    try:
        return read_json(path)
    except ValueError as error:
        raise WeightsError(str(error)) from error
    except RecursionError as error:
        raise WeightsError(f"{path} cannot be read as JSON: it is nested too deep.") from error


def _take_over(clone, model, factory):
    """Gives a clone the weights of a model, if that makes it the same model."""
    theirs = [tuple(w.shape) for w in model.weights]
    ours = [tuple(w.shape) for w in clone.weights]
    if theirs != ours:
        raise ValueError(
            f"{factory} with these arguments makes another model: {len(ours)} weights of "
            f"{clone.count_params()} numbers. Received a model of {len(theirs)}, "
            f"{model.count_params()}."
        )
    clone.set_weights(model.get_weights())
    outputs = fingerprint(model)
    if not np.isfinite(outputs).all():
        raise ValueError("The model's outputs are not finite: its training diverged. Not saved.")
    tolerance = 1e-3 if model.encoder.compute_dtype == "float32" else 0.05
    likelihoods = [plain(m.likelihood) for m in (clone, model)]
    if likelihoods[0] != likelihoods[1] or not np.allclose(
        fingerprint(clone), outputs, rtol=tolerance, atol=tolerance
    ):
        raise ValueError(
            f"{factory} with these arguments makes a model of the same shapes that computes "
            "otherwise. Give all arguments that the model was made with, such as its activation "
            "or likelihood."
        )
