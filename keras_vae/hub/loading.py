"""Loading: a model from its source, proven by its size, its sha256 and its fingerprint."""

from functools import partial
from pathlib import Path

import keras

from keras_vae.hub.building import build
from keras_vae.hub.fetch import fetch
from keras_vae.hub.fingerprint import check_fingerprint
from keras_vae.hub.source import resolve
from keras_vae.model import VAE
from keras_vae.precision import in_float32


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

    The size and sha256 of the weights are checked before the file is opened. Afterwards the outputs
    for a fixed input (the fingerprint) are checked. The expected values are those of the registry
    for a published model, and those of its own metadata for any other.

    Args:
        source: the name of a published model (its weights come with this package); a model on the
            Hugging Face Hub, `"hf://org/repo"` or `"hf://org/repo@revision"`; or a folder that
            `save_to_folder` or `keras-vae train` wrote, such as `"./my-model"`.
        revision: a branch, tag or commit of the model on the Hub. Defaults to the weights of this
            package for a published model, and to the branch `"main"` of any other.
        cache_dir: folder for downloads. Defaults to the cache of huggingface_hub (HF_HOME).
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
        WeightsError: if the weights are missing, or are not those that the entry describes.
        HubError: if the Hub, or the connection to it, fails. It is an OSError; its subclasses in
            `keras_vae.hub` are `NotFoundError`, `AccessError`, `OfflineError`, `RateLimitError`,
            `HubTimeoutError` and `CacheError`.
        ValueError: if an argument is not one of those above.

    Example:

    >>> model = keras_vae.load("conv-mnist")
    >>> images = model.generate(16)
    """
    options = {"cache_dir": cache_dir, "token": token, "local_files_only": local_files_only}
    entry, weights, kind = resolve(source, revision=revision, **options).open()
    with in_float32():
        model = build(entry, partial(kind.check, path=weights))
        kind.read(model, weights)
        if entry["fingerprint"] is not None:  # not known of every model of another library
            check_fingerprint(model, entry["fingerprint"], str(source))
    if keras.config.dtype_policy().name != "float32":
        proven, model = model, build(entry)
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
        revision: as for `load`, but for a published model the default is the commit that its
            registry entry names.
        cache_dir: as for `load`.
        token: as for `load`.

    Returns:
        The folder in the cache: config.json, metadata.json and model.weights.h5. `load` takes it.

    Raises:
        UnknownModelError: if there is no such model.
        WeightsError: if the files are damaged, or not those that were published.
        HubError: if the Hub, or the connection to it, fails; see `load`.
        ValueError: if the model is on this machine only.
    """
    found = resolve(source, revision=revision, cache_dir=cache_dir, token=token)
    if found.place is None:
        raise ValueError(f"{str(source)!r} is on this machine: there is nothing to download.")
    return fetch(found.place, found.entry)
