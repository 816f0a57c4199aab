"""The page: the parts beside this file and a model's content, joined to one HTML file."""

import base64
import hashlib
import html
import json
import re
from importlib import resources
from pathlib import Path

from keras_vae.explorer.content import collect
from keras_vae.files import check_writable, write_bytes

# Each uses those before it. The first ones run in the page's worker.
_COMPUTE = ("networks.js", "means.js", "sampling.js", "model.js", "worker.js")
_SCRIPTS = (
    *("canvas.js", "engine.js", "explorer.js"),
    *("sliders.js", "plane.js", "codes.js", "page.js"),
)


def write(model, path, x=None, *, labels=None, name=None):
    """Writes a model's explorer: one HTML file, to be opened in a browser.

    The page computes the networks itself, from weights of 16 bits. Nothing is sent or fetched.

    Args:
        model: a `keras_vae.VAE` of images with 1 or 3 channels, made by a factory, or from the
            layers that the factories use.
        path: the file to write, ending in .html, in a folder that exists.
        x: images `(n, height, width, channels)`. The file holds the first 16; the use of the
            latents is measured on the first 2,000. Defaults to None, images that the model
            generates.
        labels: a class `(n,)` for each of `x`, shown with the images and, by colour, in the plane
            of a model of two latents. Defaults to None.
        name: what the page calls the model. Defaults to None, `model.name`.

    Raises:
        NotExplorableError: if the page cannot show the model; a ValueError.
        ValueError: if `x` is not data that the model takes, `labels` are not one for each, or the
            path does not end in .html.
        FileNotFoundError: if the folder does not exist.

    Example:

    >>> from keras_vae import explorer
    >>> explorer.write(keras_vae.load("conv-mnist"), "explorer.html", x_test)
    """
    check_path(path)
    write_bytes(path, render(model, x, labels=labels, name=name).encode())


def check_path(path):
    """Refuses a path that the page cannot be written to, or that no browser would open."""
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(
            f"The explorer is a web page, and its path must end in .html. Received: {path}"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"No such folder: {path.parent.absolute()}. Make it first.")
    check_writable(path)


def render(model, x=None, *, labels=None, name=None) -> str:
    """Returns what `write` writes."""
    content = collect(model, x, labels, name)
    style = _part("page.css")
    compute, script = ("\n".join(map(_part, parts)) for parts in (_COMPUTE, _SCRIPTS))
    parts = {
        "name": html.escape(content["name"]),
        "style": style,
        "style_hash": _hash(style),
        "compute": compute,
        "compute_hash": _hash(compute),
        "script": script,
        "script_hash": _hash(script),
        # So that no text of a model can end the element that holds it.
        "content": json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"),
    }
    # In one pass, so that what is put in is not searched again.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _part("page.html"))


def _part(name):
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text):
    """The hash that lets the Content-Security-Policy allow this element and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
