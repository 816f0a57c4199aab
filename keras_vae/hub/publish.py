"""Publishing a model on the Hugging Face Hub: its files and its card, in one commit."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import huggingface_hub

from keras_vae import explorer, plots, registry
from keras_vae.files import write_bytes
from keras_vae.hub import cards, folder
from keras_vae.hub.errors import explain
from keras_vae.hub.loading import load
from keras_vae.hub.place import REPOSITORY
from keras_vae.hub.source import resolve
from keras_vae.precision import in_float32

README, PICTURE, EXPLORER = "README.md", "samples.png", "explorer.html"
FILES = (*folder.FILES, README, PICTURE, EXPLORER)
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
    token = check(model, repository, token)
    with tempfile.TemporaryDirectory() as staged:
        staged, name = Path(staged), None
        if isinstance(model, (str, os.PathLike)):
            name = model if model in registry.entries() else None
            _copy(os.fspath(model), staged)
        else:
            folder.save_to_folder(model, staged)
        with in_float32():
            loaded = load(staged, compile=False)
        facts = folder.describe(loaded, staged / folder.WEIGHTS)
        entry = {**folder.read_entry(staged), **facts}
        entry["licence"] = licence or entry.get("licence")
        _present(staged, loaded, entry, name=name, repository=repository, x=x)
        commit_message = commit_message or f"Publish {repository} with keras_vae"
        return upload(staged, repository, token, private, commit_message)


def check(model, repository, token=None) -> str:
    """Refuses what `publish` cannot publish before anything is computed; returns the token.

    Raises:
        ValueError: if there is no such model, or `repository` is not the id of a repository.
        AccessError: if there is no token.
    """
    from huggingface_hub.errors import LocalTokenNotFoundError  # a third of a second

    if isinstance(model, (str, os.PathLike)):
        _find(model)
    check_repository(repository)
    token = token or huggingface_hub.get_token()
    if not token:
        raise explain(LocalTokenNotFoundError(), "publishing", repository=repository)
    return token


def check_repository(repository):
    """Refuses anything that is not the id of a repository on the Hub."""
    if not isinstance(repository, str) or not REPOSITORY.fullmatch(repository):
        raise ValueError(
            f"A repository of the Hub is NAMESPACE/NAME, as 'me/mine'. Received: {repository!r}"
        )


def upload(staged, repository, token, private, commit_message) -> str:
    """Uploads those of `FILES` that a folder holds in one commit, and returns its sha.

    The repository is made if it does not exist.

    Raises:
        HubError: if the token may not write, or there is no connection; see `advice.toml`.
    """
    from huggingface_hub.errors import HTTPError  # not above: it takes a third of a second

    api, paths = huggingface_hub.HfApi(token=token), [Path(staged, name) for name in FILES]
    add = huggingface_hub.CommitOperationAdd
    files = [add(path.name, path) for path in paths if path.is_file()]
    try:
        # None leaves it to the organization's own default.
        api.create_repo(repository, private=private or None, exist_ok=True)
        if private and not api.model_info(repository).private:
            raise FileExistsError  # an earlier repository, which is public
        return api.create_commit(repository, files, commit_message=commit_message).oid
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        raise explain(error, "publishing", repository=repository) from error


def _find(source):
    found = resolve(source)
    if found.weights is None:
        where = "of another library" if found.folder else "on the Hub already"
        raise ValueError(f"{source} is {where}: give a model, a folder of ours or its name.")
    return found


def _copy(source, staged):
    """Copies a published model or a model's folder."""
    found = _find(source)
    entry, weights, _ = found.open()
    folder.write_entry(staged, {key: entry[key] for key in entry if key not in _HERE})
    shutil.copyfile(weights, staged / folder.WEIGHTS)
    if not found.entry and (Path(source) / README).is_file():
        shutil.copyfile(Path(source) / README, staged / README)


def _present(staged, model, entry, *, name, repository, x):
    """Writes a model's card, picture and explorer beside it; an existing card is kept."""
    shown = {}
    figure = plots.overview(model, x)
    if figure is not None:
        plots.save(figure, staged / PICTURE)
        caption = cards.caption(samples=model.latent.generates, images=x is not None)
        shown = {"picture": PICTURE, "caption": caption}
    # Not every model can be explored: not one of vectors, nor one without images to start from.
    with contextlib.suppress(explorer.NotExplorableError):
        explorer.write(model, staged / EXPLORER, x, name=name or repository.split("/")[-1])
        shown["explorer"] = EXPLORER
    if not (staged / README).exists():
        card = cards.model_card(entry, name=name, repository=repository, **shown)
        write_bytes(staged / README, card.encode())
