"""A model's place on the Hub: what an address such as `hf://org/repo/subfolder@revision` says."""

import dataclasses
import os
import re
from pathlib import Path

from huggingface_hub import constants

COMMIT = re.compile("[0-9a-f]{40}")
_NAME = r"(?![^/@]*(?:--|\.\.|\.git(?:[/@]|$)))[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?"
REPOSITORY = re.compile(f"{_NAME}/{_NAME}", re.ASCII)
_PART = r"[A-Za-z0-9_][\w.-]{0,94}"
_SUBFOLDER = re.compile(rf"(?!.*\.\.){_PART}(?:/{_PART}){{0,7}}/?", re.ASCII)
REVISION = re.compile(r"(?!.*(\.\.|//))[A-Za-z0-9_]([\w./+-]{0,198}[\w+-])?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Place:
    """A model on the Hub, and how to get it.

    Args:
        repository: `"org/repo"`.
        revision: a branch, a tag or a commit.
        subfolder: where the model is in the repository. Defaults to `""`, at its top.
        cache_dir: as for `keras_vae.load`.
        token: as for `keras_vae.load`.
        local_files_only: as for `keras_vae.load`.
    """

    repository: str
    revision: str
    subfolder: str = ""
    _: dataclasses.KW_ONLY
    cache_dir: str | os.PathLike | None = None
    token: str | bool | None = dataclasses.field(default=None, repr=False)
    local_files_only: bool = False

    def __post_init__(self):
        if not isinstance(self.revision, str) or not REVISION.fullmatch(self.revision):
            rule = "A revision is a branch, a tag or a commit: letters, digits and . _ - + /."
            raise ValueError(f"{rule} Received: {self.revision!r}")
        if isinstance(self.token, str) and not re.fullmatch("[!-~]+", self.token):
            # Checked here, since the client's message would show the token.
            raise ValueError("token must be a string without spaces or line ends, or a bool.")

    def __str__(self):
        return f"hf://{'/'.join(filter(None, (self.repository, self.subfolder)))}@{self.revision}"

    def inside(self, file):
        """The path of one of the model's files in the repository."""
        return f"{self.subfolder}/{file}" if self.subfolder else file

    @property
    def cache(self):
        return Path(self.cache_dir or constants.HF_HUB_CACHE).expanduser().absolute()

    @property
    def offline(self):
        return self.local_files_only or constants.HF_HUB_OFFLINE


def parse(source: str, revision: str | None = None) -> tuple[str, str, str]:
    """Returns the repository, the revision and the subfolder that an address names.

    Raises:
        ValueError: if it is not such an address, or if two different revisions are given.
    """
    address, at, own = source.removeprefix("hf://").partition("@")
    parts = address.split("/", 2)
    repository, subfolder = "/".join(parts[:2]), parts[2] if len(parts) > 2 else None
    is_address = source.startswith("hf://") and REPOSITORY.fullmatch(repository)
    if subfolder is not None:
        is_address = is_address and _SUBFOLDER.fullmatch(subfolder)
    if not is_address or (at and not REVISION.fullmatch(own)):
        raise ValueError(
            "A model on the Hugging Face Hub is 'hf://org/repo' or 'hf://org/repo@revision', such "
            "as 'hf://keras-vae/conv-mnist'; in a subfolder it is 'hf://org/repo/subfolder'. "
            f"Received: {source!r}"
        )
    if at and revision not in (None, own):
        raise ValueError(f"{source!r} names a revision, and revision={revision!r} another one.")
    revision = own if at else "main" if revision is None else revision
    return repository, revision, (subfolder or "").strip("/")
