"""What can go wrong with a model's source: one error class for each thing a caller would catch.

The sentences that say what to do are in advice.toml.
"""

import errno
import re
import tomllib
from pathlib import Path

from huggingface_hub import constants


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


def explain(error, task: str, **words) -> HubError:
    """Turns a failure of huggingface_hub into the error that says what to do about it.

    Args:
        error: what huggingface_hub, or a library below it, raised.
        task: `"loading"` or `"publishing"`.
        words: what the sentences of the task mention.
    """
    # The first wraps most failures of a download, the second those of a large file's upload.
    wrappers = ("LocalEntryNotFoundError", "RuntimeError")
    if type(error).__name__ in wrappers and error.__cause__ is not None:
        error = error.__cause__
    response = getattr(error, "response", None)
    status, headers = getattr(response, "status_code", None), getattr(response, "headers", {})
    # The header is "120", or the Hub's own '"resolvers";r=0;t=120'.
    wait = headers.get("Retry-After") or headers.get("RateLimit", "")
    wait = re.search(r"(?:^|;t=)(\d+)$", wait)
    # By name: the classes are those of httpx in huggingface_hub 1, of httpx2 in huggingface_hub 2.
    name, *bases = (kind.__name__ for kind in type(error).__mro__)
    code = errno.errorcode.get(getattr(error, "errno", None))
    keys = (name, str(status), "status" if status else code, *bases)
    advice = tomllib.loads(Path(__file__).with_name("advice.toml").read_text("utf-8"))[task]
    kind, sentence = next(
        (globals()[kind], sentence)
        for key in keys
        for kind, sentences in advice.items()
        for shared, sentence in sentences.items()
        if key in shared.split()
    )
    said = getattr(error, "server_message", None)
    words |= {"error": str(error) or name, "name": name, "status": status}
    words["said"] = f" The Hub said: {said}" if said else ""
    words["when"] = f"in {wait[1]} seconds" if wait else "in some minutes"
    words["timeouts"] = f"{constants.HF_HUB_DOWNLOAD_TIMEOUT} and {constants.HF_HUB_ETAG_TIMEOUT}"
    words["log_in"] = "log in with `hf auth login`, or pass token="
    return kind(sentence.format(endpoint=constants.ENDPOINT, **words))
