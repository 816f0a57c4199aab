"""What is known of models: the registry of published ones, and what a folder says of its own.

The registry has two parts: our own models, whose weights come with the package, and autoencoders
that others published, which `load` downloads.
"""

import difflib
import fnmatch
import os
import tomllib
from pathlib import Path

from keras_vae import keras_file, layouts
from keras_vae.files import read_json
from keras_vae.layouts import CONFIG, LARGEST_JSON, METADATA, WEIGHTS

PRETRAINED = Path(__file__).parent / "pretrained"
_AUTOENCODERS = PRETRAINED / "autoencoders.toml"


class UnknownModelError(ValueError):
    """There is no published model and no folder with a model of this name."""


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of the published models that match a pattern, such as `"*mnist*"`.

    Our own come first, then those of others.
    """
    return [
        *sorted(fnmatch.filter(entries(), pattern)),
        *sorted(fnmatch.filter(autoencoders(), pattern)),
    ]


def info(name) -> dict:
    """Returns what is known of a model: factory, arguments, weights; if published, its metrics.

    Of an autoencoder that others published: its repository, its files and the figures of its
    authors. Its fingerprint is None until someone has computed it.

    Args:
        name: the name of a published model, whose registry entry is returned; a folder that
            `save_to_folder` or `keras-vae train` wrote, or a file in it; or a .keras file.

    Raises:
        UnknownModelError: if there is no such model; the message suggests the nearest name.
        ValueError: if the folder's files cannot be read.
    """
    registry, name = {**entries(), **autoencoders()}, os.fspath(name)
    if name in registry:
        return registry[name]
    path = Path(name)
    if path.is_file() and path.suffix == ".keras":
        return keras_file.describe(path)
    folder = path.parent if path.is_file() else path
    library = layouts.library(folder)
    if library is None:
        raise unknown(name)
    if library == "taesd":
        return {"library": library, "files": [file.name for file in layouts.taesd_files(folder)]}
    config = read_json(folder / CONFIG, LARGEST_JSON)
    if library == "diffusers":
        return {"library": library, "class": config["_class_name"], "config": config}
    return {**config, **read_json(folder / METADATA, LARGEST_JSON)}


def is_model(folder) -> bool:
    """Whether a folder holds a model: one of ours, or of a library that `load` reads."""
    return layouts.library(folder) is not None


def check_source(source: str):
    """Refuses what no model can be loaded from, without loading it.

    Raises:
        UnknownModelError: if it is neither a published name, nor a model's folder, nor an address.
    """
    if not (source in list_models() or is_model(source) or _is_address(source)):
        raise unknown(source)


def entries() -> dict:
    """Returns the entries of our own models by their names, read from the file."""
    return read_json(PRETRAINED / "registry.json")


def autoencoders() -> dict:
    """Returns the entries of autoencoders that others published, read from the file."""
    told = tomllib.loads(_AUTOENCODERS.read_text("utf-8"))
    for entry in told.values():
        entry["files"] = [{"bytes": None, **file} for file in entry["files"]]
    return {name: {"subfolder": "", "fingerprint": None, **entry} for name, entry in told.items()}


def unknown(source: str) -> UnknownModelError:
    """The error that says why a name or path is no model on this machine, and what would work."""
    path, registry = Path(source), list_models()
    if _is_address(source):
        return UnknownModelError(
            f"{source!r} is not on this machine: run keras-vae download {source}, and give the "
            "folder that it prints."
        )
    if path.is_dir():
        files = f"{CONFIG}, {METADATA} and {WEIGHTS}"
        return UnknownModelError(
            f"{source!r} holds no model, as save_to_folder and keras-vae train write it: {files}; "
            "nor an autoencoder of diffusers, with config.json and safetensors."
        )
    if path.is_file() and is_model(path.parent):
        return UnknownModelError(
            f"{source!r} is one of the files of a model: give their folder, {str(path.parent)!r}."
        )
    if path.is_file() and path.suffix == ".keras":
        return UnknownModelError(
            f"{source!r} is a file of Keras, which may run code when it is loaded. If you trust "
            "it, load it with keras.saving.load_model, and save it with "
            f"keras_vae.save_to_folder(model, {path.stem!r}): then give that folder."
        )
    if path.is_file():
        return UnknownModelError(f"{source!r} is a file: a model is a folder, or a name.")
    near = difflib.get_close_matches(source, registry, n=1)
    is_path = os.sep in source or "/" in source
    no_folder = " There is no such folder either." if is_path else ""
    return UnknownModelError(
        f"Unknown model {source!r}.{no_folder} Available: {', '.join(registry)}."
        + (f" Did you mean {near[0]!r}?" if near else "")
    )


def _is_address(source):
    return source.lower().startswith(("hf:", "https:", "http:"))
