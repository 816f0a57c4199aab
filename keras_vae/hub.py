"""Models by name: the registry, and loading weights that prove themselves."""

import copy
import difflib
import fnmatch
import json
import os
from functools import cache
from pathlib import Path

import keras
import numpy as np

from keras_vae.factories import FACTORIES
from keras_vae.files import sha256, write_bytes, write_json
from keras_vae.likelihoods import LIKELIHOODS
from keras_vae.model import VAE

PRETRAINED = Path(__file__).parent / "pretrained"


class UnknownModelError(ValueError):
    """No published model and no folder has this name."""


class WeightsError(ValueError):
    """The weights are not those that were published: nothing was loaded."""


def list_models(pattern: str = "*") -> list[str]:
    """Returns the names of the published models that match a pattern, such as `"*mnist*"`."""
    return sorted(fnmatch.filter(_registry(), pattern))


def info(name: str) -> dict:
    """Returns the registry entry of a published model: factory, arguments, weights, metrics.

    Raises:
        UnknownModelError: if there is none of this name; the message has the nearest ones.
    """
    registry = _registry()
    if name not in registry:
        near = difflib.get_close_matches(str(name), registry, n=1)
        raise UnknownModelError(
            f"Unknown model {name!r}. Available: {', '.join(sorted(registry))}."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
    return copy.deepcopy(registry[name])


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
    if source in _registry():
        entry = info(source)
        weights = PRETRAINED / entry["file"]
    elif (folder / "config.json").is_file() and (folder / "metadata.json").is_file():
        entry = {**_read_json(folder / "config.json"), **_read_json(folder / "metadata.json")}
        weights = folder / "model.weights.h5"
    elif folder.is_dir():
        raise UnknownModelError(
            f"{source!r} holds no model: config.json, metadata.json and model.weights.h5 are "
            "expected, as save_to_folder writes them."
        )
    else:
        info(source)
    _check_file(weights, entry)
    model = build(entry["factory"], entry["arguments"])
    try:
        model.load_weights(weights)
    except Exception as error:
        raise WeightsError(f"{weights} does not fit its model: {error}") from error
    for got, published in zip(fingerprint(model), entry["fingerprint"], strict=True):
        if not abs(got - published) <= tolerance(published):
            raise WeightsError(
                f"The outputs of {source!r} are not the published ones: {got:.6g} where "
                f"{published:.6g} was expected. The weights or this backend compute otherwise."
            )
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


def write_weights(model, clone, path):
    """Writes a model's weights without optimizer state, through an uncompiled clone of it."""
    clone.set_weights(model.get_weights())
    path = Path(path)
    partial = path.with_name(f"partial-{path.name}")
    clone.save_weights(partial)
    write_bytes(path, partial.read_bytes())
    partial.unlink()


def describe(model, weights) -> dict:
    """What a registry entry or a folder's metadata says of a model and its file of weights."""
    return {
        "bytes": Path(weights).stat().st_size,
        "sha256": sha256(weights),
        "parameters": model.count_params(),
        "likelihood": likelihood_name(model),
        "input_range": [0, 1] if likelihood_name(model) == "bernoulli" else "any finite number",
        "fingerprint": fingerprint(model),
    }


def likelihood_name(model) -> str:
    """The name of a model's likelihood, or its class's if it is not one of ours."""
    kinds = {kind: name for name, kind in LIKELIHOODS.items()}
    return kinds.get(type(model.likelihood), type(model.likelihood).__name__)


def fingerprint(model) -> list[float]:
    """Eight numbers that change when any weight does: projections of outputs for a fixed input.

    The input is NumPy's legacy generator's, the same for ever and on every backend: uniform data
    for the encoder, normal latents or uniform codes for the decoder.
    """
    rng = np.random.RandomState(0)
    x = rng.uniform(size=(2, *model.data_shape)).astype("float32")
    shape = (2, *model.latent.latent_shape)
    if model.latent.stochastic:
        z = rng.standard_normal(size=shape).astype("float32")
    else:
        z = rng.randint(model.latent.num_codes, size=shape)
    h = model.encoder(keras.ops.convert_to_tensor(x))
    h = keras.tree.flatten(h)
    encoded = np.concatenate([keras.ops.convert_to_numpy(t).ravel() for t in h])
    decoded = model.decode(z).ravel()
    numbers = []
    for output in (encoded, decoded):
        patterns = rng.choice([-1.0, 1.0], size=(4, output.size)) / np.sqrt(output.size)
        numbers += [float(number) for number in patterns @ output.astype("float64")]
    return numbers


def tolerance(published: float) -> float:
    """How far a number of a fingerprint may be from the published one: rounding differs."""
    return 1e-3 * max(1.0, abs(published))


@cache
def _registry():
    return _read_json(PRETRAINED / "registry.json")


def _read_json(path):
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} must hold a JSON object.")
    return content


def _check_file(path, entry):
    if not path.is_file():
        raise WeightsError(f"The weights are missing: {path}. Install the package anew.")
    size = path.stat().st_size
    if size != entry.get("bytes"):
        raise WeightsError(
            f"{path} has {size} bytes where {entry.get('bytes')} were published: it is damaged or "
            "another file. Get it anew."
        )
    digest = sha256(path)
    if digest != entry.get("sha256"):
        raise WeightsError(
            f"{path} has sha256 {digest} where {entry.get('sha256')} was published: it is damaged "
            "or another file. Get it anew."
        )
