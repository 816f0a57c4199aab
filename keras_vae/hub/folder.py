"""A model's folder: config.json makes the model, metadata.json proves model.weights.h5.

Anyone may have written a folder: it is read with care, and written as a whole or not at all.
"""

import contextlib
import json
import re
import reprlib
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_vae import likelihoods, priors
from keras_vae.factories import recorded
from keras_vae.files import read_json, sha256, write_json
from keras_vae.hub import architecture
from keras_vae.hub.building import KEYS, build
from keras_vae.hub.errors import WeightsError
from keras_vae.hub.fingerprint import fingerprint

FILES = CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LARGEST_JSON = 2**20  # bytes; ours have less than a hundredth of it


def read_entry(folder) -> dict:
    """Returns what a folder says of its model: all of metadata.json, and how the model is built.

    Raises:
        WeightsError: if one of the two files cannot be read, or the metadata prove nothing.
    """
    config, metadata = _read(Path(folder) / CONFIG), read_metadata(folder)
    return {**split(config)[0], **split(metadata)[1]}


def split(entry) -> tuple[dict, dict]:
    """Splits an entry into what config.json holds, and what metadata.json holds."""
    config = {key: entry[key] for key in KEYS if key in entry}
    return config, {key: value for key, value in entry.items() if key not in config}


def read_metadata(folder) -> dict:
    """Returns the content of metadata.json, in which size, sha256 and fingerprint are checked.

    Raises:
        WeightsError: if one of them is missing or is not what it should be.
    """
    path = Path(folder) / METADATA
    content = _read(path)
    for key, (rule, holds) in _PROOF.items():
        value = content.get(key)
        if not holds(value):
            raise WeightsError(f"{path}: {key!r} must be {rule}. Received: {reprlib.repr(value)}")
    return content


def check_file(path, entry):
    """Refuses a file of weights that does not have the size and sha256 of its entry."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"The weights are missing: there is no file {path}.")
    for key, name, measure in (("bytes", "size", _size), ("sha256", "sha256", sha256)):
        if entry.get(key) != measure(path):
            raise WeightsError(
                f"{path} has {name} {measure(path)} where {entry.get(key)} was published: it is "
                "damaged or another file. Get it again."
            )


def _size(path):
    return path.stat().st_size


@contextlib.contextmanager
def in_float32():
    """Builds models that compute in float32, as fingerprints do, whatever the current policy."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def save_to_folder(model, folder):
    """Saves a trained model in a folder that `load` reads.

    A model of a factory is saved as the factory's name and arguments. Any other is saved as an
    architecture: a description of its layers as plain data, limited to layers of Keras and parts of
    keras_vae, so that loading it runs no code of the folder's author.

    Args:
        model: a `keras_vae.VAE`.
        folder: where `config.json`, `model.weights.h5` and `metadata.json` go; made if it does not
            exist. An earlier model in it is replaced once the new one is complete; other files in
            it stay.

    Raises:
        ValueError: if the model's outputs are not finite, or if the model has a part that is
            neither of Keras nor of keras_vae. `model.save("model.keras")` saves such a model.

    Example:

    >>> model = keras_vae.mlp_vae((28, 28, 1), latent_dim=16)
    >>> model.fit(x_train)
    >>> keras_vae.save_to_folder(model, "my-model")
    """
    config, clone = _clone(model)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as staged:
        staged = Path(staged)
        clone.save_weights(staged / WEIGHTS)
        write_json(staged / CONFIG, config)
        saved_with = {"keras": keras.version(), "backend": keras.backend.backend()}
        metadata = {**describe(clone, staged / WEIGHTS), "saved_with": saved_with}
        write_json(staged / METADATA, metadata)
        # The metadata vouch for the weights: until they follow, `load` refuses the new weights.
        for name in (WEIGHTS, CONFIG, METADATA):
            (staged / name).replace(folder / name)


def describe(model, weights) -> dict:
    """What metadata.json and the registry say of a model and its file of weights."""
    likelihood, latent = model.likelihood, model.latent
    has_prior = latent.prior is not None or latent.code_spec.num_codes  # codes: a uniform one
    in_range = likelihood.observes in ("binary", "levels")
    return {
        "bytes": _size(weights),
        "sha256": sha256(weights),
        "data_shape": list(model.data_shape),
        "parameters": model.count_params(),
        "likelihood": likelihoods.name_of(likelihood),
        "observes": likelihood.observes,
        "code_length": likelihood.is_code_length,
        "input_range": [0, 1] if in_range else "any finite number",
        "prior": priors.name_of(latent.prior) if has_prior else None,
        "generates": bool(latent.generates),
        "fingerprint": fingerprint(model),
    }


def _clone(model):
    """The content of config.json, and the model that it makes, with the model's weights."""
    outputs = fingerprint(model)
    if not np.isfinite(outputs).all():
        raise ValueError("The model's outputs are not finite: its training diverged. Not saved.")
    tolerance = 1e-3 if model.encoder.compute_dtype == "float32" else 0.05
    for config in _configs(model):
        with in_float32():
            clone = build(config)
        if [w.shape for w in clone.weights] == [w.shape for w in model.weights]:
            clone.set_weights(model.get_weights())
            if np.allclose(fingerprint(clone), outputs, rtol=tolerance, atol=tolerance):
                return config, clone
    raise ValueError(
        "This model cannot be made again from plain data: what is built from its description has "
        f"other weights or outputs. Save it with model.save. Received: {model!r}"
    )


def _configs(model):
    """What config.json may hold: how a factory made the model, if one did, or its architecture."""
    factory, arguments = recorded(model)
    if factory:
        with contextlib.suppress(TypeError, AttributeError):  # an argument is an object
            # The numbers and arrays of NumPy become plain; nothing else has tolist.
            yield json.loads(
                json.dumps(
                    {"factory": factory, "arguments": arguments}, default=lambda v: v.tolist()
                )
            )
    yield {"architecture": architecture.describe(model)}


def _read(path):
    if path.is_file() and path.stat().st_size > LARGEST_JSON:
        raise WeightsError(f"{path} has more than the {LARGEST_JSON} bytes allowed.")
    try:
        return read_json(path)
    except ValueError as error:
        raise WeightsError(str(error)) from error
    except RecursionError as error:
        raise WeightsError(f"{path} cannot be read as JSON: it is nested too deep.") from error


def _is_fingerprint(value):
    return (
        isinstance(value, list)
        and len(value) in (8, 10, 12)
        and all(type(number) in (int, float) and abs(number) < 1e30 for number in value)
    )


# What proves the weights: {key: (the rule in words, whether a value keeps it)}
_PROOF = {
    "bytes": ("a whole number above 0", lambda v: type(v) is int and v > 0),
    "sha256": (
        "64 hexadecimal digits",
        lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{64}", v),
    ),
    "fingerprint": ("a list of 8, 10 or 12 finite numbers", _is_fingerprint),
}
