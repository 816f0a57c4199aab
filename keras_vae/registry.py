"""The registry of published models: their names, and what is known of each."""

import difflib
import fnmatch
from pathlib import Path

from keras_vae.files import read_json

PRETRAINED = Path(__file__).parent / "pretrained"


class UnknownModelError(ValueError):
    """There is no published model and no folder with a model of this name."""


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of the published models that match a pattern, such as `"*mnist*"`."""
    return sorted(fnmatch.filter(entries(), pattern))


def info(name: str) -> dict:
    """Returns the registry entry of a published model: factory, arguments, weights, metrics.

    Raises:
        UnknownModelError: if there is no such model; the message suggests the nearest name.
    """
    registry = entries()
    if name not in registry:
        near = difflib.get_close_matches(str(name), registry, n=1)
        raise UnknownModelError(
            f"Unknown model {name!r}. Available: {', '.join(sorted(registry))}."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
    return registry[name]


def entries() -> dict:
    """Returns every entry of the registry by its name, read from the file."""
    return read_json(PRETRAINED / "registry.json")
