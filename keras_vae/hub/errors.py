"""What can go wrong with a model's source: one error class for each thing a caller would catch.

LOADING and PUBLISHING are tables: for each class, the failures that it stands for, by name or
status, and what to do about them.
"""

import errno
import re


class UnknownModelError(ValueError):
    """There is no published model and no folder with a model of this name."""


class WeightsError(ValueError):
    """The weights are not those that the model's entry describes. Nothing was loaded."""


class HubError(OSError):
    """The Hugging Face Hub, or the connection to it, failed. Nothing was loaded."""


class NotFoundError(HubError):
    """The Hub has no such repository, revision or file."""


class AccessError(HubError):
    """The repository is gated or private, or the token was refused."""


class OfflineError(HubError):
    """The Hub cannot be reached, or downloads are off, and the model is not in the cache."""


class RateLimitError(HubError):
    """Too many requests were sent to the Hub."""


class HubTimeoutError(HubError, TimeoutError):
    """The Hub did not answer in time."""


class CacheError(HubError):
    """The cache cannot be written: the disk is full, or the folder is not writable."""


def explain(error, advice, **words) -> HubError:
    """Turns a failure of huggingface_hub into the error that says what to do about it.

    Args:
        error: what huggingface_hub, or a library below it, raised.
        advice: LOADING or PUBLISHING.
        words: what the sentences of the table mention.
    """
    from huggingface_hub import constants

    # The first wraps most failures of a download, the second those of a large file's upload.
    wrappers = ("LocalEntryNotFoundError", "RuntimeError")
    if type(error).__name__ in wrappers and error.__cause__ is not None:
        error = error.__cause__
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    headers = getattr(response, "headers", {})
    # The header is "120", or the Hub's own '"resolvers";r=0;t=120'.
    told = headers.get("Retry-After") or headers.get("RateLimit", "")
    wait = re.search(r"(?:^|;t=)(\d+)$", told)
    said = getattr(error, "server_message", None)
    # By name: the classes are those of httpx in huggingface_hub 1, of httpx2 in huggingface_hub 2.
    name, *bases = (kind.__name__ for kind in type(error).__mro__)
    code = errno.errorcode.get(getattr(error, "errno", None))
    found = {
        key: (kind, sentence)
        for kind, sentences in advice.items()
        for keys, sentence in sentences.items()
        for key in keys.split()
    }
    keys = (name, str(status), "status" if status else None, code, *bases)
    kind, sentence = next(found[key] for key in keys if key in found)
    words |= {
        "error": str(error) or name,
        "name": name,
        "status": status,
        "said": f" The Hub said: {said}" if said else "",
        "when": f"in {wait[1]} seconds" if wait else "in some minutes",
        "endpoint": constants.ENDPOINT,
        "timeouts": f"{constants.HF_HUB_DOWNLOAD_TIMEOUT} and {constants.HF_HUB_ETAG_TIMEOUT}",
        "log_in": "log in with `hf auth login`, or pass token=",
    }
    return kind(sentence.format(**words))


LOADING = {
    NotFoundError: {
        "RevisionNotFoundError": "{url} has no revision {revision!r}. Give a branch, a tag or a "
        "full commit sha.",
        "RemoteEntryNotFoundError": "{place} has no {file}: it is not a model of keras_vae, which "
        "consists of config.json, metadata.json and model.weights.h5.",
        "RepositoryNotFoundError": "There is no model {url}, or it is private. Check its name; if "
        "it is private, {log_in}.",
        "404": "{endpoint} has no {file} of {place} (404).",
    },
    AccessError: {
        "GatedRepoError": "{place} is gated. Ask for access at {url}, then {log_in}.",
        "LocalTokenNotFoundError": 'token=True, but no token is stored here: {log_in}"hf_…".',
        "401 403": "{endpoint} refuses to show {file} of {place} ({status}): the token is missing, "
        "wrong or lacks the right to read it. To change that, {log_in}.",
    },
    OfflineError: {
        "OfflineModeIsEnabled ConnectError ProxyError UnsupportedProtocol": "{endpoint} cannot be "
        "reached: {error}. Check the connection, the proxy and HF_ENDPOINT. To load without a "
        "connection, run beforehand: keras-vae download {label}",
    },
    RateLimitError: {
        "429": "Too many requests to {endpoint} (429). Try again {when}. The limit is higher for "
        "those who {log_in}.",
    },
    HubTimeoutError: {
        "408 504 TimeoutError TimeoutException": "{endpoint} did not send {file} of {place} in "
        "time. Try again, or wait longer: set HF_HUB_DOWNLOAD_TIMEOUT and HF_HUB_ETAG_TIMEOUT, in "
        "seconds, to more than {timeouts}.",
    },
    CacheError: {
        "ENOSPC EDQUOT": "The disk of the cache {cache} is full. Free some space, or choose "
        "another folder with cache_dir= or HF_HOME.",
        "EACCES EPERM EROFS ENOTDIR EEXIST": "The cache {cache} cannot be written ({error}). "
        "Choose another folder with cache_dir= or HF_HOME.",
    },
    HubError: {
        "FileMetadataError": "What answers at {endpoint} is not the Hub. A network's login page, a "
        "proxy or a wrong HF_ENDPOINT may stand in between.",
        "status": "{endpoint} answered {status} for {file} of {place}: the fault is there. Try "
        "again later.",
        "Exception": "{file} of {place} did not arrive whole from {endpoint} ({name}): the "
        "connection may have broken. Try again.",
    },
}
PUBLISHING = {
    OfflineError: {
        "OfflineModeIsEnabled": "This process is offline: HF_HUB_OFFLINE is set. Unset it to "
        "publish.",
        "Exception": "The connection to {endpoint} failed ({error}). Publish again: what has "
        "arrived is not sent twice, and the commit is made as a whole or not at all.",
    },
    AccessError: {
        "401": "The Hub does not know your token: it is mistyped, expired or revoked. Run "
        "`hf auth login` again, or set another HF_TOKEN.{said}",
        "403": "Your token may not write to {repository}. It needs the role 'write', and the "
        "namespace must be yours: `hf auth whoami` lists those you may publish under.{said}",
        "404": "{repository} is hidden from your token, or was removed.{said}",
    },
    RateLimitError: {
        "429": "Too many requests to the Hub. Publish again {when}.{said}",
    },
    HubError: {
        "409 412": "Someone else changed {repository} at the same time. Publish again.{said}",
        "status": "The Hub did not take {repository} (status {status}). Publish again later.{said}",
        "ValueError": "The Hub did not accept the card of {repository}, or what answers at "
        "{endpoint} is not the Hub ({error}). Check licence= and your connection.",
    },
}
