"""What is known of models: the registry of published ones, and what a folder says of its own."""

import difflib
import fnmatch
import os
from pathlib import Path

from keras_vae import keras_file
from keras_vae.files import read_json

PRETRAINED = Path(__file__).parent / "pretrained"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LARGEST_JSON = 2**20  # bytes of a folder's two; ours have less than a hundredth of it


class UnknownModelError(ValueError):
    """There is no published model and no folder with a model of this name."""


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of the published models that match a pattern, such as `"*mnist*"`."""
    return sorted(fnmatch.filter(entries(), pattern))


def info(name) -> dict:
    """Returns what is known of a model: factory, arguments, weights; if published, its metrics.

    Args:
        name: the name of a published model, whose registry entry is returned; a folder that
            `save_to_folder` or `keras-vae train` wrote, or a file in it; or a .keras file.

    Raises:
        UnknownModelError: if there is no such model; the message suggests the nearest name.
        ValueError: if the folder's files cannot be read.
    """
    registry, name = entries(), os.fspath(name)
    if name in registry:
        return registry[name]
    path = Path(name)
    if path.is_file() and path.suffix == ".keras":
        return keras_file.describe(path)
    folder = path.parent if path.is_file() else path
    if not is_model(folder):
        raise unknown(name)
    config, metadata = (read_json(folder / file, LARGEST_JSON) for file in (CONFIG, METADATA))
    return {**config, **metadata}


def is_model(folder) -> bool:
    """Whether a folder holds a model, as `save_to_folder` writes it."""
    return all(Path(folder, file).is_file() for file in (CONFIG, METADATA))


def check_source(source: str):
    """Refuses what no model can be loaded from, without loading it.

    Raises:
        UnknownModelError: if it is neither a published name, nor a model's folder, nor an address.
    """
    if not (source in entries() or is_model(source) or _is_address(source)):
        raise unknown(source)


def entries() -> dict:
    """Returns every entry of the registry by its name, read from the file."""
    return read_json(PRETRAINED / "registry.json")


def unknown(source: str) -> UnknownModelError:
    """The error that says why a name or path is no model on this machine, and what would work."""
    path, registry = Path(source), entries()
    if _is_address(source):
        return UnknownModelError(
            f"{source!r} is not on this machine: run keras-vae download {source}, and give the "
            "folder that it prints."
        )
    if path.is_dir():
        files = f"{CONFIG}, {METADATA} and {WEIGHTS}"
        return UnknownModelError(
            f"{source!r} holds no model, as save_to_folder and keras-vae train write it: {files}."
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
        f"Unknown model {source!r}.{no_folder} Available: {', '.join(sorted(registry))}."
        + (f" Did you mean {near[0]!r}?" if near else "")
    )


def _is_address(source):
    return source.lower().startswith(("hf:", "https:", "http:"))
