"""A model's folder on its way to the Hugging Face Hub: its card, one commit, clear errors."""

import contextlib
import shutil
from pathlib import Path

from keras_vae import cards, explorer, plots, registry
from keras_vae.files import write_bytes, write_json
from keras_vae.folder import CONFIG, METADATA, WEIGHTS
from keras_vae.hub_errors import AccessError, HubError, OfflineError, RateLimitError
from keras_vae.weights import check_file

PICTURE, EXPLORER = "samples.png", "explorer.html"
FILES = (CONFIG, WEIGHTS, METADATA, "README.md", PICTURE, EXPLORER)


def check_repository(repository):
    """Refuses what is no id of a repository on the Hub."""
    from huggingface_hub.errors import HFValidationError  # lazily: it takes a third of a second
    from huggingface_hub.utils import validate_repo_id

    rule = f"A repository on the Hub is NAMESPACE/NAME, such as 'me/mine'. Received: {repository!r}"
    if not isinstance(repository, str) or repository.count("/") != 1:
        raise ValueError(rule)
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ValueError(f"{rule}. {error}") from error


def logged_in(token=None) -> str:
    """Returns the given token, or else that of `hf auth login`; refuses if there is none."""
    from huggingface_hub import get_token

    token = token or get_token()
    if not token:
        raise AccessError(
            "You are not logged in to the Hugging Face Hub. Run `hf auth login` with a token that "
            "may write (https://huggingface.co/settings/tokens), or set HF_TOKEN."
        )
    return token


def stage(source, folder):
    """Copies the files of a published model or of a folder; returns the published name, if any."""
    if source in registry.list_models():
        entry = registry.info(source)
        bundled = registry.PRETRAINED / entry["file"]
        check_file(bundled, entry)
        shutil.copyfile(bundled, folder / WEIGHTS)
        write_json(folder / CONFIG, {key: entry[key] for key in ("factory", "arguments")})
        here = ("factory", "arguments", "repository", "revision", "file")
        write_json(folder / METADATA, {key: entry[key] for key in entry if key not in here})
        return source
    if source.startswith("hf://"):
        raise ValueError(f"{source} is on the Hub: give a model, a folder or a published name.")
    for name in (CONFIG, WEIGHTS, METADATA, "README.md"):
        if (Path(source) / name).is_file():
            shutil.copyfile(Path(source) / name, folder / name)
    return None


def present(folder, model, entry, *, name, repository, x=None):
    """Writes a model's card, picture and explorer into its folder; a card that is there stays."""
    shown = {}
    figure = cards.draw(model, x)
    if figure is not None:
        plots.save(figure, folder / PICTURE)
        caption = cards.caption(samples=model.latent.generates, images=x is not None)
        shown = {"picture": PICTURE, "caption": caption}
    # Not every model can be explored: one of vectors, or without images to begin with, is not.
    with contextlib.suppress(explorer.NotExplorableError):
        explorer.write(model, folder / EXPLORER, x, name=name or repository.split("/")[-1])
        shown["explorer"] = EXPLORER
    if not (folder / "README.md").exists():
        card = cards.model_card(entry, name=name, repository=repository, **shown)
        write_bytes(folder / "README.md", card.encode())


def upload(folder, repository, *, token, private=False, commit_message) -> str:
    """Uploads those of `FILES` that a folder holds in one commit, and returns its sha.

    The repository is made if it is not there.

    Raises:
        HubError: if there is no right to write, or no connection; see `hub_errors`.
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
        raise _explained(error, repository) from error
    raise HubError(
        f"{repository} is there already, and public. Make it private in its settings on the Hub, "
        "or choose another name. Nothing was uploaded."
    )


def _explained(error, repository):
    """The error that says what to do about what huggingface_hub and its clients raise."""
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, RuntimeError) and error.__cause__:  # of a large file's upload
        error = error.__cause__
    if isinstance(error, OfflineModeIsEnabled):
        return OfflineError("This process is offline: HF_HUB_OFFLINE is set. Unset it to publish.")
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        kind, advice = _ADVICE.get(status, (HubError, _TROUBLE))
        said = f" The Hub said: {error.server_message}" if error.server_message else ""
        return kind(advice.format(repository=repository, status=status) + said)
    if isinstance(error, ValueError):
        return HubError(
            f"The Hub did not accept the card of {repository}, or what answers at "
            f"{constants.ENDPOINT} is no Hub ({error}). See to licence= and to your connection."
        )
    return OfflineError(
        f"The connection to {constants.ENDPOINT} failed ({error or type(error).__name__}). Publish "
        "again: what has arrived is not sent twice, and the commit is made as a whole or not at "
        "all."
    )


_TROUBLE = "The Hub did not take {repository} (status {status}). Publish again later."
_CONFLICT = "{repository} was changed by someone else at the same time. Publish again."
_ADVICE = {
    401: (
        AccessError,
        "The Hub does not know your token: mistyped, expired or revoked. Run `hf auth login` "
        "again, or set another HF_TOKEN.",
    ),
    403: (
        AccessError,
        "Your token may not write to {repository}. It needs the role 'write', and the namespace "
        "must be yours: `hf auth whoami` lists those you may publish under.",
    ),
    404: (AccessError, "{repository} is hidden from your token, or was removed."),
    409: (HubError, _CONFLICT),
    412: (HubError, _CONFLICT),
    429: (RateLimitError, "The Hub was asked too often. Publish again in some minutes."),
}
