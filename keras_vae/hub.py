"""Models by name or place: loading weights that prove themselves, and saving one's own."""

import os
import warnings
from pathlib import Path

import keras

from keras_vae import registry
from keras_vae.download import Place, fetch, parse
from keras_vae.factories import FACTORIES
from keras_vae.files import write_json
from keras_vae.folder import read_entry
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


def load(
    source,
    *,
    revision: str | None = None,
    cache_dir=None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    compile: bool = True,
) -> VAE:
    """Loads a trained model.

    The size and sha256 of the weights are checked before the file is opened, and outputs for a
    fixed input (the fingerprint) after: against the registry for a published model, against its
    own metadata for any other.

    Args:
        source: the name of a published model (its weights come with this package); a model on the
            Hugging Face Hub, `"hf://org/repo"` or `"hf://org/repo@revision"`; or a folder that
            `save_to_folder` or `keras-vae train` wrote, such as `"./my-model"`.
        revision: a branch, tag or commit of the model on the Hub. Defaults to the weights of this
            package for a published model, and to the branch `"main"` of any other.
        cache_dir: folder for what is downloaded. Defaults to huggingface_hub's cache (HF_HOME).
        token: for private and gated models: a token of the Hub, or `True` for the one that
            `hf auth login` stored. Defaults to the stored one, if there is one; `False`: none.
        local_files_only: whether to load from the cache without any request, as HF_HUB_OFFLINE=1
            does. Defaults to False.
        compile: whether to compile the model with Adam(1e-3), to train it further. Defaults to
            True.

    Returns:
        A `keras_vae.VAE`.

    Raises:
        UnknownModelError: if there is no such model or folder.
        WeightsError: if the weights are missing or not those that the entry speaks of.
        HubError: if the Hub, or the way to it, fails. It is an OSError; its subclasses, in
            `keras_vae.hub_errors`, are `NotFoundError`, `AccessError`, `OfflineError`,
            `RateLimitError`, `HubTimeoutError` and `CacheError`.
        ValueError: if an argument is not one of those above.

    Example:

    >>> model = keras_vae.load("conv-mnist")
    >>> images = model.generate(16)
    """
    source = os.fspath(source)
    options = {"cache_dir": cache_dir, "token": token, "local_files_only": local_files_only}
    if source in list_models() and revision is None:
        entry = info(source)
        weights = _bundled(source, entry, options)
    elif place := _place(source, revision, options):
        entry = info(source) if source in list_models() else None
        folder = fetch(place, published=entry)
        entry = entry or read_entry(folder)
        weights = folder / "model.weights.h5"
    else:
        if revision is not None or cache_dir is not None or token is not None:
            raise ValueError(
                f"revision, cache_dir and token are for models on the Hub. {source!r} is a folder."
            )
        entry = read_entry(source)
        weights = Path(source) / "model.weights.h5"
    check_file(weights, entry)
    model = build(entry["factory"], entry["arguments"])
    read_weights(model, weights)
    check_fingerprint(model, entry["fingerprint"], source)
    if compile:
        model.compile(keras.optimizers.Adam(1e-3))
    return model


def download(
    source, *, revision: str | None = None, cache_dir=None, token: str | bool | None = None
) -> Path:
    """Puts a model of the Hugging Face Hub in the cache, checked, to be loaded offline later.

    Args:
        source: the name of a published model, or `"hf://org/repo"`, or `"hf://org/repo@revision"`.
        revision: as for `load`, but that a published model's is the commit of its registry entry.
        cache_dir: as for `load`.
        token: as for `load`.

    Returns:
        The folder in the cache: config.json, metadata.json and model.weights.h5. `load` takes it.

    Raises:
        UnknownModelError: if there is no such model.
        WeightsError: if the files are damaged, or not those that were published.
        HubError: if the Hub, or the way to it, fails; see `load`.
        ValueError: if there is nothing to download.
    """
    source = os.fspath(source)
    place = _place(source, revision, {"cache_dir": cache_dir, "token": token})
    if place is None:
        raise ValueError(
            f"{source!r} is on this machine: there is nothing to download. keras_vae.load takes it "
            "without a connection."
        )
    return fetch(place, published=info(source) if source in list_models() else None)


def _bundled(name, entry, options):
    """The weights that came with the package, or if they are damaged the Hub's, with a warning."""
    weights = registry.PRETRAINED / entry["file"]
    try:
        check_file(weights, entry)
    except WeightsError as error:
        place = _place(name, None, options)
        if place is None:
            raise WeightsError(
                f"{error} {name} is not on the Hub. Reinstall the package: "
                "pip install --force-reinstall keras-vae"
            ) from error
        warnings.warn(f"{error} Loading {place} instead.", stacklevel=3)
        return fetch(place, published=entry) / "model.weights.h5"
    return weights


def _place(source, revision, options):
    """Where a source is on the Hub; None: it is on this machine only."""
    if source in list_models():
        entry = info(source)
        pinned = entry["revision"] if revision is None else revision
        label = source if revision is None else None
        if pinned is None:
            return None
        return Place(entry["repository"], pinned, label=label, **options)
    # Paths join slashes, and addresses are copied from browsers: both get the rule.
    if source.lower().startswith(("hf:", "https:", "http:")):
        return Place(*parse(source, revision), **options)
    if not Path(source).is_dir():
        info(source)
    if not all((Path(source) / file).is_file() for file in ("config.json", "metadata.json")):
        raise UnknownModelError(
            f"{source!r} holds no model: config.json, metadata.json and model.weights.h5 are "
            "expected, as save_to_folder writes them."
        )
    return None


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
