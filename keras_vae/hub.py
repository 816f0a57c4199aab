"""Models by name or place: loading weights that prove themselves, and saving one's own."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import keras

from keras_vae import folders, registry, sharing
from keras_vae.factories import FACTORIES
from keras_vae.files import read_json, write_json
from keras_vae.folders import CONFIG, METADATA, WEIGHTS
from keras_vae.model import VAE
from keras_vae.registry import UnknownModelError, info, list_models
from keras_vae.weights import (
    WeightsError,
    check_file,
    check_fingerprint,
    read_weights,
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

    Raises:
        ValueError: if there is no such factory, or it does not take the arguments.
    """
    if factory not in FACTORIES:
        raise ValueError(f"Unknown factory {factory!r}. Available: {', '.join(FACTORIES)}.")
    try:
        return FACTORIES[factory](**arguments)
    except TypeError as error:
        raise ValueError(f"{factory} does not take these arguments: {error}") from error


def save_to_folder(model, folder, *, factory: str | None = None, arguments: dict | None = None):
    """Saves a trained model of one of the factories in a folder that `load` reads.

    Args:
        model: the model.
        folder: where `config.json`, `model.weights.h5` and `metadata.json` go; made if it is not
            there. An earlier model in it is replaced once the new one is written as a whole; what
            else is in it stays.
        factory: name of the factory that made the model. Defaults to None, what the model itself
            knows (`model.made_by`).
        arguments: the arguments that it was given, plain enough for JSON. Defaults to None, as
            there.

    Raises:
        ValueError: if the factory makes another model from the arguments, or they are not known.

    Example:

    >>> model = keras_vae.mlp_vae((28, 28, 1), latent_dim=16)
    >>> model.fit(x_train)
    >>> keras_vae.save_to_folder(model, "my-model")
    """
    factory, arguments = _recipe(model, factory, arguments)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # under whatever policy the model was trained
    try:
        clone = build(factory, arguments)
    finally:
        keras.config.set_dtype_policy(policy)
    folders.write(model, clone, folder, {"factory": factory, "arguments": arguments})


def publish(
    model,
    repository: str,
    *,
    token: str | None = None,
    private: bool = False,
    licence: str | None = None,
    x=None,
    commit_message: str | None = None,
) -> str:
    """Publishes a model on the Hugging Face Hub, in one commit, where `load` finds it.

    The commit holds `config.json`, `model.weights.h5`, `metadata.json`, a model card (`README.md`)
    and a picture. The model is loaded from these files first: what does not load is not uploaded.

    Args:
        model: a model made by one of the factories, a folder that `save_to_folder` or
            `keras-vae train` wrote (a README.md in it is its card), or the name of a published
            model.
        repository: where to, such as `"me/mine"`; made if it is not there.
        token: of the Hub, with the right to write. Defaults to None, that of `hf auth login`.
        private: whether the repository is to be private. Defaults to False.
        licence: of the weights, as the Hub names it, such as `"apache-2.0"`. Defaults to None,
            that of a published model, and for one's own no word about it.
        x: images to be shown in the picture above their reconstructions, the first 16. Defaults
            to None, samples only.
        commit_message: defaults to None, a line with the repository's name.

    Returns:
        The sha of the commit: `load(f"hf://{repository}@{sha}")` is this model for ever.

    Raises:
        ValueError: if there is no such model, it is not the factories', or it does not load.
        PublishError: if the Hub does not take it; the message says what to do.

    Example:

    >>> model.fit(x_train)
    >>> keras_vae.publish(model, "me/mine")
    """
    sharing.check_repository(repository)
    token = sharing.logged_in(token)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        name = _stage(model, folder)
        loaded = load(folder, compile=False)
        entry = {**read_json(folder / CONFIG), **read_json(folder / METADATA)}
        entry["licence"] = licence or entry.get("licence")
        sharing.present(folder, loaded, entry, name=name, repository=repository, x=x)
        message = commit_message or f"Publish {repository} with keras_vae"
        options = {"token": token, "private": private, "commit_message": message}
        return sharing.upload(folder, repository, **options)


def _stage(model, folder):
    """Puts a model's files into a folder; returns its name if it comes with this package."""
    if not isinstance(model, (str, os.PathLike)):
        save_to_folder(model, folder)
        return None
    source = os.fspath(model)
    if source in list_models():
        entry = info(source)
        shutil.copyfile(registry.PRETRAINED / entry["file"], folder / WEIGHTS)
        write_json(folder / CONFIG, {key: entry[key] for key in ("factory", "arguments")})
        here = ("factory", "arguments", "repository", "revision", "file")
        write_json(folder / METADATA, {key: entry[key] for key in entry if key not in here})
        return source
    if source.startswith("hf://"):
        raise ValueError(f"{source} is on the Hub: give a model, a folder or a published name.")
    load(source, compile=False)  # an error names this folder, not its copy
    for name in (CONFIG, WEIGHTS, METADATA, "README.md"):
        if (Path(source) / name).is_file():
            shutil.copyfile(Path(source) / name, folder / name)
    return None


def _recipe(model, factory, arguments):
    """Factory and arguments as JSON will hold them: as given, or else as the model knows them."""
    if factory is None and arguments is None:
        made_by = getattr(model, "made_by", None) or {}
        factory, arguments = made_by.get("factory"), made_by.get("arguments")
    if factory is None or arguments is None:
        raise ValueError(
            "It is not known how this model was made: give factory= (one of "
            f"{', '.join(FACTORIES)}) and arguments=, those that the factory was given."
        )
    try:
        return factory, json.loads(json.dumps(arguments))
    except TypeError as error:
        raise ValueError(
            "arguments must be plain: numbers, texts, lists. A model of other objects is saved "
            f"with model.save. Received: {arguments}"
        ) from error
