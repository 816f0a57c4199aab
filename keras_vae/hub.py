"""Models by name or place: loading weights that prove themselves, and saving one's own."""

import os
from pathlib import Path

import keras

from keras_vae import registry
from keras_vae.config import check_config
from keras_vae.factories import FACTORIES
from keras_vae.files import read_json, write_json
from keras_vae.model import VAE
from keras_vae.registry import UnknownModelError, info, list_models
from keras_vae.weights import (
    WeightsError,
    check_file,
    check_fingerprint,
    describe,
    read_weights,
    write_weights,
)


def load(source, *, compile: bool = True) -> VAE:
    """Loads a trained model.

    The size and sha256 of the weights are checked before the file is opened, and outputs for a
    fixed input (the fingerprint) after.

    Args:
        source: the name of a published model (its weights come with this package), or a folder
            that `save_to_folder` or `keras-vae train` wrote, such as `"./my-model"`.
        compile: whether to compile the model with Adam(1e-3), to train it further. Defaults to
            True.

    Returns:
        A `keras_vae.VAE`.

    Raises:
        UnknownModelError: if there is no such model or folder.
        WeightsError: if the weights are missing or not those that the entry speaks of.

    Example:

    >>> model = keras_vae.load("conv-mnist")
    >>> images = model.generate(16)
    """
    source = os.fspath(source)
    folder = Path(source)
    if source.startswith("hf://"):
        raise ValueError(
            "This version loads published models by name and folders of your own; it does not "
            f"download from the Hugging Face Hub yet. Received: {source!r}"
        )
    if source in list_models():
        entry = info(source)
        weights = registry.PRETRAINED / entry["file"]
    elif (folder / "config.json").is_file() and (folder / "metadata.json").is_file():
        try:
            entry = {**read_json(folder / "config.json"), **read_json(folder / "metadata.json")}
        except ValueError as error:
            raise WeightsError(str(error)) from error
        weights = folder / "model.weights.h5"
    elif folder.is_dir():
        raise UnknownModelError(
            f"{source!r} holds no model: config.json, metadata.json and model.weights.h5 are "
            "expected, as save_to_folder writes them."
        )
    else:
        info(source)
    check_file(weights, entry)
    model = build(entry["factory"], entry["arguments"])
    read_weights(model, weights)
    check_fingerprint(model, entry["fingerprint"], source)
    if compile:
        model.compile(keras.optimizers.Adam(1e-3))
    return model


def build(factory: str, arguments: dict) -> VAE:
    """Builds an untrained model from the name of a factory and plain arguments.

    They may come from anyone: see `keras_vae.config` for what is refused.

    Raises:
        ValueError: if there is no such factory, it does not take the arguments, or they are not
            plain or ask for too large a model.
    """
    check_config(factory, arguments)
    return FACTORIES[factory](**arguments)


def save_to_folder(model, folder, *, factory: str, arguments: dict):
    """Saves a trained model of one of the factories in a folder that `load` reads.

    Args:
        model: the model.
        folder: where `config.json`, `model.weights.h5` and `metadata.json` go; made if it is not
            there. Each file is replaced as a whole.
        factory: name of the factory that made the model.
        arguments: the arguments that it was given, plain enough for JSON.

    Raises:
        ValueError: if the factory makes another model from the arguments.
    """
    clone = build(factory, arguments)
    theirs = [tuple(w.shape) for w in model.weights]
    ours = [tuple(w.shape) for w in clone.weights]
    if theirs != ours:
        raise ValueError(
            f"{factory} with these arguments makes another model: {len(ours)} weights of "
            f"{clone.count_params()} numbers. Received a model of {len(theirs)}, "
            f"{model.count_params()}."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "model.weights.h5"
    write_weights(model, clone, weights)
    write_json(folder / "config.json", {"factory": factory, "arguments": arguments})
    write_json(folder / "metadata.json", describe(clone, weights))
