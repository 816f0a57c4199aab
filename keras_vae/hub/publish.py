"""Publishing a model on the Hugging Face Hub: its files and its card, in one commit."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from keras_vae import explorer, plots
from keras_vae.files import write_bytes, write_json
from keras_vae.hub import cards
from keras_vae.hub.errors import PUBLISHING, AccessError, HubError, explain
from keras_vae.hub.fetch import REPOSITORY
from keras_vae.hub.folder import (
    CONFIG,
    METADATA,
    WEIGHTS,
    in_float32,
    read_entry,
    save_to_folder,
    split,
)
from keras_vae.hub.loading import load
from keras_vae.hub.registry import list_models
from keras_vae.hub.source import resolve

README, PICTURE, EXPLORER = "README.md", "samples.png", "explorer.html"
FILES = (CONFIG, WEIGHTS, METADATA, README, PICTURE, EXPLORER)
_HERE = ("repository", "revision", "file")  # what the registry says of this machine and the Hub


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
        model: a model that `save_to_folder` can save; a folder that `save_to_folder` or
            `keras-vae train` wrote (a README.md in it is its card); or the name of a published
            model.
        repository: where to publish, such as `"me/mine"`; made if it does not exist.
        token: a token of the Hub that may write. Defaults to None, that of `hf auth login`.
        private: whether the repository is to be private. Defaults to False.
        licence: of the weights, as the Hub names it, such as `"apache-2.0"`. Defaults to None:
            that of a published model; for your own, the card does not mention one.
        x: images for the picture, which shows the first 16 above their reconstructions, and for the
            explorer. Defaults to None, samples only.
        commit_message: defaults to None, a line with the repository's name.

    Returns:
        The sha of the commit: `load(f"hf://{repository}@{sha}")` always loads this very model.

    Raises:
        ValueError: if there is no such model, or it cannot be saved, or does not load.
        HubError: if the Hub does not accept it; the message says what to do. See `load`.

    Example:

    >>> model.fit(x_train)
    >>> keras_vae.publish(model, "me/mine")
    """
    check_repository(repository)
    token = _logged_in(token)
    with tempfile.TemporaryDirectory() as folder:
        folder, name = Path(folder), None
        if isinstance(model, (str, os.PathLike)):
            name = model if model in list_models() else None
            _copy(os.fspath(model), folder)
        else:
            save_to_folder(model, folder)
        with in_float32():
            loaded = load(folder, compile=False)
        entry = read_entry(folder)
        entry["licence"] = licence or entry.get("licence")
        _present(folder, loaded, entry, name=name, repository=repository, x=x)
        message = commit_message or f"Publish {repository} with keras_vae"
        return upload(folder, repository, token=token, private=private, commit_message=message)


def check_repository(repository):
    """Refuses anything that is not the id of a repository on the Hub."""
    if not isinstance(repository, str) or not REPOSITORY.fullmatch(repository):
        raise ValueError(
            f"A repository on the Hub is NAMESPACE/NAME, such as 'me/mine'. "
            f"Received: {repository!r}"
        )


def upload(folder, repository, *, token, private=False, commit_message) -> str:
    """Uploads those of `FILES` that a folder holds in one commit, and returns its sha.

    The repository is made if it does not exist.

    Raises:
        HubError: if the token may not write, or there is no connection; see `errors.PUBLISHING`.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HTTPError

    api = HfApi(token=token)
    paths = [Path(folder, name) for name in FILES]
    files = [CommitOperationAdd(path.name, path) for path in paths if path.is_file()]
    try:
        # None leaves it to the organization's own default.
        api.create_repo(repository, private=private or None, exist_ok=True)
        is_public = private and not api.model_info(repository).private
        if not is_public:
            return api.create_commit(repository, files, commit_message=commit_message).oid
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        raise explain(error, PUBLISHING, repository=repository) from error
    raise HubError(
        f"{repository} exists already, and is public. Make it private in its settings on the Hub, "
        "or choose another name. Nothing was uploaded."
    )


def _logged_in(token):
    """The given token, or else that of `hf auth login`; AccessError if there is none."""
    from huggingface_hub import get_token

    token = token or get_token()
    if not token:
        raise AccessError(
            "You are not logged in to the Hugging Face Hub. Run `hf auth login` with a token that "
            "may write (https://huggingface.co/settings/tokens), or set HF_TOKEN."
        )
    return token


def _copy(source, folder):
    """Copies a published model or a model's folder."""
    found = resolve(source)
    if found.weights is None:
        raise ValueError(f"{source} is on the Hub: give a model, a folder or a published name.")
    entry, weights = found.open()
    config, metadata = split({key: entry[key] for key in entry if key not in _HERE})
    write_json(folder / CONFIG, config)
    write_json(folder / METADATA, metadata)
    shutil.copyfile(weights, folder / WEIGHTS)
    if not found.entry and (Path(source) / README).is_file():
        shutil.copyfile(Path(source) / README, folder / README)


def _present(folder, model, entry, *, name, repository, x):
    """Writes a model's card, picture and explorer into its folder; an existing card is kept."""
    shown = {}
    figure = cards.draw(model, x)
    if figure is not None:
        plots.save(figure, folder / PICTURE)
        caption = cards.caption(samples=model.latent.generates, images=x is not None)
        shown = {"picture": PICTURE, "caption": caption}
    # Not every model can be explored: not one of vectors, nor one without images to start from.
    with contextlib.suppress(explorer.NotExplorableError):
        explorer.write(model, folder / EXPLORER, x, name=name or repository.split("/")[-1])
        shown["explorer"] = EXPLORER
    if not (folder / README).exists():
        card = cards.model_card(entry, name=name, repository=repository, **shown)
        write_bytes(folder / README, card.encode())
