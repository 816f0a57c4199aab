"""The registry: our models, and autoencoders that others published; what is known of each."""

import difflib
import fnmatch
import tomllib
from pathlib import Path

from keras_vae.files import read_json

PRETRAINED = Path(__file__).parent / "pretrained"


class UnknownModelError(ValueError):
    """There is no published model and no folder with a model of this name."""


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of the models that match a pattern, such as `"*mnist*"`.

    They are our own, whose weights come with the package, and then the autoencoders of others,
    which `load` downloads.
    """
    return [name for kind in (entries(), autoencoders()) for name in _matching(kind, pattern)]


def info(name: str) -> dict:
    """Returns the registry entry of a model.

    That of our own models has their factory, arguments, weights and metrics. That of others' has
    their repository, its files, and the figures of their authors; its fingerprint is None if no
    one has computed it yet.

    Raises:
        UnknownModelError: if there is no such model; the message suggests the nearest name.
    """
    known = {**entries(), **autoencoders()}
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        raise UnknownModelError(
            f"Unknown model {name!r}. Available: {', '.join(list_models())}."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
    return known[name]


def entries() -> dict:
    """Returns the entries of our own models by their names, read from the file."""
    return read_json(PRETRAINED / "registry.json")


def autoencoders() -> dict:
    """Returns the entries of autoencoders that others published, read from the file."""
    told = tomllib.loads((PRETRAINED / "autoencoders.toml").read_text("utf-8"))
    for entry in told.values():
        entry["files"] = [{"bytes": None, **file} for file in entry["files"]]
    return {name: {"subfolder": "", "fingerprint": None, **entry} for name, entry in told.items()}


def _matching(names, pattern):
    return sorted(fnmatch.filter(names, pattern))
