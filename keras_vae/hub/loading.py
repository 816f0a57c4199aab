"""Loading: a model from its source, proven by its size, its sha256 and its fingerprint."""

import warnings
from functools import partial
from pathlib import Path

import keras

from keras_vae.checks import check_sizes
from keras_vae.hub.building import build_blank
from keras_vae.hub.fetch import fetch
from keras_vae.hub.fingerprint import check_fingerprint
from keras_vae.hub.source import resolve
from keras_vae.model import VAE
from keras_vae.precision import in_float32


def load(
    source,
    *,
    input_shape: tuple | None = None,
    revision: str | None = None,
    cache_dir=None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    compile: bool = True,
) -> VAE:
    """Loads a trained model.

    The size and sha256 of the weights are checked before the file is opened. Afterwards the outputs
    for a fixed input (the fingerprint) are checked. The expected values are those of the registry
    for a published model, and those of its own metadata for any other. Files of another library
    have the sha256 that the Hub tells; their fingerprint is checked if the registry knows it.

    Args:
        source: the name of a published model (its weights come with this package); a model on the
            Hugging Face Hub, `"hf://org/repo"` or `"hf://org/repo@revision"`; or a folder that
            `save_to_folder` or `keras-vae train` wrote, such as `"./my-model"`. Autoencoders of
            diffusers (AutoencoderKL, AutoencoderTiny, VQModel) are loaded from the Hub, where they
            may lie in a subfolder (`"hf://org/repo/vae"`), or from a folder.
        input_shape: shape of the data, for a model that takes images of any size: the model then
            takes this one only, as `export` and the explorer need. An axis that is None stays as it
            is. Defaults to None, as the model is.
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
        model = build_blank(entry, partial(kind.check, path=weights))
        kind.read(model, weights)
        if entry["fingerprint"] is not None:  # not known of every model of another library
            check_fingerprint(model, entry["fingerprint"], str(source))
    if input_shape is not None:
        entry = _of_shape(entry, input_shape, model.data_shape)
    if input_shape is not None or keras.config.dtype_policy().name != "float32":
        proven, model = model, build_blank(entry)
        model.set_weights(proven.get_weights())
    if entry.get("float16_warning") and model.encoder.compute_dtype == "float16":
        warnings.warn(entry["float16_warning"], stacklevel=2)
    if compile:
        model.compile(keras.optimizers.Adam(1e-3))
    return model


def _of_shape(entry, input_shape, data_shape):
    """The entry of a model of any size, for data of one shape only."""
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != len(data_shape):
        raise ValueError(f"input_shape must fit {data_shape}. Received: {input_shape!r}")
    pairs = list(zip(input_shape, data_shape))
    shape = check_sizes("input_shape", [have if size is None else size for size, have in pairs])
    if any(have not in (None, size) for size, have in zip(shape, data_shape)):
        raise ValueError(f"input_shape must fit {data_shape}. Received: {input_shape!r}")
    if "arguments" not in entry:
        raise ValueError(
            "input_shape is for models of a factory; this one has networks of its own."
        )
    return {**entry, "arguments": {**entry["arguments"], "input_shape": list(shape)}}


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
        The folder in the cache: config.json, metadata.json and model.weights.h5; of a model of
        another library its own files. `load` takes it.

    Raises:
        UnknownModelError: if there is no such model.
        WeightsError: if the files are damaged, or not those that were published.
        HubError: if the Hub, or the connection to it, fails; see `load`.
        ValueError: if the model is on this machine only.
    """
    found = resolve(source, revision=revision, cache_dir=cache_dir, token=token)
    if found.place is None:
        what = "is a folder on this machine" if found.entry is None else "comes with this package"
        raise ValueError(f"{str(source)!r} {what}: there is nothing to download.")
    return fetch(found.place, found.entry)
