"""Models by name or place: loading what proves itself, saving and publishing one's own."""

import json
import os
import tempfile
import warnings
from pathlib import Path

import keras

from keras_vae import registry, sharing
from keras_vae.checks import check_path
from keras_vae.config import check_config, check_size
from keras_vae.download import Place, fetch, parse
from keras_vae.factories import FACTORIES, recorded
from keras_vae.files import read_json
from keras_vae.folder import CONFIG, METADATA, WEIGHTS, in_float32, read_entry, write_folder
from keras_vae.model import VAE
from keras_vae.registry import UnknownModelError, info, list_models
from keras_vae.weights import (
    WeightsError,
    check_file,
    check_fingerprint,
    read_weights,
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
    source = check_path("source", source)
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
    with in_float32():
        model = build(entry["factory"], entry["arguments"])
        read_weights(model, weights)
        check_fingerprint(model, entry["fingerprint"], source)
    if keras.config.dtype_policy().name != "float32":
        proven, model = model, build(entry["factory"], entry["arguments"])
        model.set_weights(proven.get_weights())
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
    source = check_path("source", source)
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

    They may come from anyone: see `keras_vae.config` for what is refused.

    Raises:
        ValueError: if there is no such factory, it does not take the arguments, or they are not
            plain or ask for too large a model.
    """
    check_config(factory, arguments)
    entries = map(info, list_models())
    if not any((e["factory"], e["arguments"]) == (factory, arguments) for e in entries):
        check_size(factory, arguments)  # which takes a tenth of a second or two
    return FACTORIES[factory](**arguments)


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
    with in_float32():
        clone = build(factory, arguments)
    write_folder(model, clone, folder, {"factory": factory, "arguments": arguments})


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

    The commit holds `config.json`, `model.weights.h5`, `metadata.json`, a model card (`README.md`),
    a picture, and for images the latent explorer (`explorer.html`, see `keras_vae.explorer`). The
    model is loaded from these files first: what does not load is not uploaded.

    Args:
        model: a model made by one of the factories, a folder that `save_to_folder` or
            `keras-vae train` wrote (a README.md in it is its card), or the name of a published
            model.
        repository: where to, such as `"me/mine"`; made if it is not there.
        token: of the Hub, with the right to write. Defaults to None, that of `hf auth login`.
        private: whether the repository is to be private. Defaults to False.
        licence: of the weights, as the Hub names it, such as `"apache-2.0"`. Defaults to None,
            that of a published model, and for one's own no word about it.
        x: images to be shown in the picture above their reconstructions, and in the explorer, the
            first 16. Defaults to None, samples only.
        commit_message: defaults to None, a line with the repository's name.

    Returns:
        The sha of the commit: `load(f"hf://{repository}@{sha}")` is this model for ever.

    Raises:
        ValueError: if there is no such model, it is not the factories', or it does not load.
        HubError: if the Hub does not take it; the message says what to do. See `load`.

    Example:

    >>> model.fit(x_train)
    >>> keras_vae.publish(model, "me/mine")
    """
    sharing.check_repository(repository)
    token = sharing.logged_in(token)
    with tempfile.TemporaryDirectory() as folder:
        folder, name = Path(folder), None
        is_place = isinstance(model, (str, os.PathLike))
        if is_place:
            name = sharing.stage(os.fspath(model), folder)
        else:
            save_to_folder(model, folder)
        with in_float32():
            loaded = load(model if is_place else folder, compile=False)
        entry = {**read_json(folder / CONFIG), **read_json(folder / METADATA)}
        check_file(folder / WEIGHTS, entry)
        entry["licence"] = licence or entry.get("licence")
        sharing.present(folder, loaded, entry, name=name, repository=repository, x=x)
        message = commit_message or f"Publish {repository} with keras_vae"
        options = {"token": token, "private": private, "commit_message": message}
        return sharing.upload(folder, repository, **options)


def _recipe(model, factory, arguments):
    """Factory and arguments as JSON will hold them: as given, or else as the model knows them."""
    if factory is None and arguments is None:
        factory, arguments = recorded(model)
    if factory is None or arguments is None:
        raise ValueError(
            "It is not known how this model was made: give factory= (one of "
            f"{', '.join(FACTORIES)}) and arguments=, those that the factory was given."
        )
    try:
        # NumPy's numbers and arrays become plain; nothing else has tolist.
        plain = json.dumps(arguments, default=lambda value: value.tolist())
        return factory, json.loads(plain)
    except (TypeError, AttributeError) as error:
        raise ValueError(
            "arguments must be plain: numbers, texts, lists. A model of other objects is saved "
            f"with model.save. Received: {arguments}"
        ) from error
