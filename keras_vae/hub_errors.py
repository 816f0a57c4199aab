"""What can go wrong with the Hub: one class for each thing a caller would catch, and its cure."""

import errno

FULL = {errno.ENOSPC, errno.EDQUOT}
LOCKED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


class HubError(OSError):
    """The Hugging Face Hub, or the way to it, failed: nothing was loaded. Try again later."""


class NotFoundError(HubError):
    """The Hub has no such repository, revision or file."""


class AccessError(HubError):
    """The repository is gated or private, or the token was refused."""


class OfflineError(HubError):
    """The Hub cannot be reached, or must not be, and the model is not in the cache."""


class RateLimitError(HubError):
    """The Hub was asked too often."""


class HubTimeoutError(HubError, TimeoutError):
    """The Hub did not answer in time."""


class CacheError(HubError):
    """The cache cannot be written: the disk is full, or the folder is not ours to write."""


def explain(error, place, file) -> HubError:
    """Says what a failure of huggingface_hub means, and what to do about it.

    Args:
        error: what huggingface_hub raised.
        place: the model that was asked for, with `repository`, `revision`, `label`, `cache`.
        file: which of its files.
    """
    from huggingface_hub import constants, errors

    # Nearly every failure may come wrapped in this, which is also an EntryNotFoundError.
    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    endpoint = constants.ENDPOINT
    repository = f"{endpoint}/{place.repository}"
    log_in = "log in with `hf auth login`, or pass token="
    # By name: the classes are httpx's in huggingface_hub 1, httpx2's in huggingface_hub 2.
    kind = type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    code = getattr(error, "errno", None)
    if isinstance(error, errors.GatedRepoError):
        return AccessError(f"{place} is gated. Ask for access at {repository}, then {log_in}.")
    if isinstance(error, errors.RevisionNotFoundError):
        return NotFoundError(
            f"{repository} has no revision {place.revision!r}. A branch, a tag or a full commit "
            "sha would work."
        )
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return NotFoundError(
            f"{place} has no {file}: it is no model of keras_vae, which is config.json, "
            "metadata.json and model.weights.h5."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return NotFoundError(
            f"There is no model {repository}, or it is private. Check its name; if it is private, "
            f"{log_in}."
        )
    if isinstance(error, errors.LocalTokenNotFoundError):
        return AccessError(f'token=True, but no token is stored here: {log_in}"hf_…".')
    if status in (401, 403):
        return AccessError(
            f"{endpoint} refuses to show {file} of {place} ({status}): the token is missing, wrong "
            f"or of too few rights. To change it, {log_in}."
        )
    if status == 404:
        return NotFoundError(f"{endpoint} has no {file} of {place} (404).")
    if status == 429:
        wait = error.response.headers.get("Retry-After", "")
        when = f"in {wait} seconds" if wait.isdigit() else "in some minutes"
        return RateLimitError(
            f"{endpoint} was asked too often (429). Try again {when}. Its limit is higher for "
            f"those who {log_in}."
        )
    if status in (408, 504) or "Timeout" in kind:
        return HubTimeoutError(
            f"{endpoint} did not send {file} of {place} in time. Try again, or wait longer: set "
            "HF_HUB_DOWNLOAD_TIMEOUT and HF_HUB_ETAG_TIMEOUT, in seconds, to more than "
            f"{constants.HF_HUB_DOWNLOAD_TIMEOUT} and {constants.HF_HUB_ETAG_TIMEOUT}."
        )
    if status is not None:
        return HubError(
            f"{endpoint} answered {status} for {file} of {place}: the fault is there. Try again "
            "later."
        )
    if isinstance(error, errors.OfflineModeIsEnabled) or kind in ("ConnectError", "ProxyError"):
        return OfflineError(
            f"{endpoint} cannot be reached: {error}. Check the connection, the proxy and "
            "HF_ENDPOINT. To load without a connection, run beforehand: "
            f"keras-vae download {place.label or place}"
        )
    if isinstance(error, errors.FileMetadataError):
        return HubError(
            f"What answers at {endpoint} is no Hub. A network's login page, a proxy or a wrong "
            "HF_ENDPOINT may stand in between."
        )
    if code in FULL:
        return CacheError(
            f"The disk of the cache {place.cache} is full. Free some of it, or choose another "
            "folder with cache_dir= or HF_HOME."
        )
    if code in LOCKED:
        return CacheError(
            f"The cache {place.cache} cannot be written ({error.strerror}). Choose another folder "
            "with cache_dir= or HF_HOME."
        )
    return HubError(
        f"{file} of {place} did not come whole from {endpoint} ({kind}): the connection may have "
        "broken. Try again."
    )
