"""Fetching a model from the Hub: three files of one commit, checked, in huggingface_hub's cache."""

import contextlib
import dataclasses
import hashlib
import os
import re
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants

from keras_vae.files import sha256, write_bytes
from keras_vae.hub.errors import HubError, WeightsError, explain
from keras_vae.hub.folder import CONFIG, FILES, LARGEST_JSON, METADATA, WEIGHTS, read_metadata

COMMIT = re.compile("[0-9a-f]{40}")
_NAME = r"(?![^/@]*(?:--|\.\.|\.git(?:[/@]|$)))[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?"
REPOSITORY = re.compile(f"{_NAME}/{_NAME}", re.ASCII)
REVISION = re.compile(r"(?!.*(\.\.|//))[A-Za-z0-9_]([\w./+-]{0,198}[\w+-])?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Place:
    """A model on the Hub, and how to get it.

    Args:
        repository: `"org/repo"`.
        revision: a branch, a tag or a commit.
        cache_dir: as for `keras_vae.load`.
        token: as for `keras_vae.load`.
        local_files_only: as for `keras_vae.load`.
    """

    repository: str
    revision: str
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
        return f"hf://{self.repository}@{self.revision}"

    @property
    def cache(self):
        return Path(self.cache_dir or constants.HF_HUB_CACHE).expanduser().absolute()

    @property
    def offline(self):
        return self.local_files_only or constants.HF_HUB_OFFLINE


def parse(source: str, revision: str | None = None) -> tuple[str, str]:
    """Returns the repository and the revision that `"hf://org/repo@revision"` names.

    Raises:
        ValueError: if it is not such an address, or if two different revisions are given.
    """
    address, at, own = source.removeprefix("hf://").partition("@")
    is_address = source.startswith("hf://") and REPOSITORY.fullmatch(address)
    if not is_address or (at and not REVISION.fullmatch(own)):
        raise ValueError(
            "A model on the Hugging Face Hub is 'hf://org/repo' or 'hf://org/repo@revision', "
            f"such as 'hf://keras-vae/conv-mnist'. Received: {source!r}"
        )
    if at and revision not in (None, own):
        raise ValueError(f"{source!r} names a revision, and revision={revision!r} another one.")
    return address, own if at else "main" if revision is None else revision


def fetch(place: Place, published: dict | None = None) -> Path:
    """Puts a model's three files in the cache, checks the weights' sha256, returns their folder.

    All three files are of one commit. A commit that is in the cache needs no request; a branch or
    tag is looked up on the Hub each time, unless downloads are off.

    Args:
        place: the model.
        published: the registry's entry of the model, whose size and sha256 the weights must have.
            Defaults to None: those of the repository's own metadata.json.

    Raises:
        HubError: if something is not there or cannot be fetched; see its subclasses.
        WeightsError: if the files are damaged, are not a model, or are not the published ones.
    """
    try:
        commit = _commit(place)
        for file in (CONFIG, METADATA):
            folder = _file(place, commit, file).parent
        metadata = read_metadata(folder)
        if published and any(metadata[key] != published[key] for key in ("bytes", "sha256")):
            raise WeightsError(
                f"{place} does not hold the published weights. To load what it holds, checked by "
                f"its own metadata: keras_vae.load('{place}')"
            )
        _file(place, commit, WEIGHTS, metadata)
    except HubError as error:
        old = _cached(place)
        if old and not place.offline:
            error.args = (f"{error} {_EARLIER.format(old.name)}",)
        raise
    if not place.offline and not COMMIT.fullmatch(place.revision):
        # Which commit this branch or tag was, for loading without a connection. The client would
        # note it before the files are here: after an update that failed, it would no longer find
        # the earlier copy. A cache that is read-only still loads.
        with contextlib.suppress(OSError):
            reference = folder.parents[1] / "refs" / place.revision
            reference.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(reference, folder.name.encode())
    return folder


_EARLIER = "An earlier copy, of commit {}, is in the cache: local_files_only=True loads it."


def _commit(place):
    """The commit that a revision names: on the Hub or, when downloads are off, in the cache."""
    if COMMIT.fullmatch(place.revision) and not place.offline:
        return place.revision
    if not place.offline:
        return _head(place, place.revision, CONFIG).commit_hash
    with _explained(place, CONFIG):
        folder = _cached(place)
        if not folder:
            raise huggingface_hub.errors.LocalEntryNotFoundError("downloads are off")
    return folder.name


def _cached(place):
    """The folder of a revision in the cache, if all three files are there."""
    path = _path_in_cache(place, CONFIG, place.revision)
    return path and all((path.parent / file).is_file() for file in FILES) and path.parent


def _path_in_cache(place, file, revision):
    path = huggingface_hub.try_to_load_from_cache(place.repository, file, place.cache, revision)
    return Path(path) if isinstance(path, str) else None


def _file(place, commit, file, metadata=None):
    """One file, from the cache or the Hub; a damaged copy is removed and fetched once more."""
    for _ in range(2):
        path = _path_in_cache(place, file, commit) or _download(place, commit, file, metadata)
        with _explained(place, file):
            fault = _fault(path, metadata)
            if not fault:
                return path
            if place.offline:
                raise WeightsError(f"{path} is damaged: {fault}. While online, load it again.")
            for copy in (path.resolve(), _blob(path), path):
                copy.unlink(missing_ok=True)
    raise WeightsError(
        f"{file} of {place} arrived damaged, twice: {fault}. Neither copy was kept. The connection "
        "or the repository itself is at fault."
    )


def _download(place, commit, file, metadata):
    # Asked for first, since the client has no limit and hides why a file is not available. Some
    # mirrors do not say (None).
    size, (smallest, largest) = _head(place, commit, file).size, (0, LARGEST_JSON)
    if metadata:
        smallest = largest = metadata["bytes"]
    if size is not None and not smallest <= size <= largest:
        raise WeightsError(
            f"{file} of {place} was not downloaded: {size} bytes, not {smallest} to {largest}."
        )
    with _explained(place, file):
        options = {"revision": commit, "cache_dir": place.cache, "token": place.token}
        path = Path(huggingface_hub.hf_hub_download(place.repository, file, **options))
    if path.parent.name != commit:
        raise HubError(f"{place}: the Hub answers with commit {path.parent.name}, not {commit}.")
    return path


def _head(place, revision, file):
    with _explained(place, file):
        url = huggingface_hub.hf_hub_url(place.repository, file, revision=revision)
        options = {"token": place.token, "timeout": constants.HF_HUB_ETAG_TIMEOUT}
        head = huggingface_hub.get_hf_file_metadata(url, **options)
        if not COMMIT.fullmatch(head.commit_hash or ""):
            raise huggingface_hub.errors.FileMetadataError("no commit")
    return head


@contextlib.contextmanager
def _explained(place, file):
    from huggingface_hub.errors import HTTPError  # not above: it takes a third of a second

    try:
        yield
    except (HTTPError, OSError, RuntimeError) as error:
        words = {"place": place, "file": file, "url": f"{constants.ENDPOINT}/{place.repository}"}
        raise explain(error, "loading", **words) from error


def _fault(path, metadata):
    """What is wrong with a file's content, if anything."""
    # The cache names a file by its sha256 if it was in git LFS, else by git's own hash of it; or,
    # on a file system without symbolic links, by its name.
    expected = metadata["sha256"] if metadata else _blob(path).name
    content = b"" if metadata else path.read_bytes()
    of_git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    got = {64: sha256(path), 40: of_git.hexdigest()}.get(len(expected), expected)
    return None if got == expected else f"its hash is {got} where {expected} was expected"


def _blob(path):
    """The file that a file of a snapshot links to: one step, since a blob may itself be a link."""
    return path.parent / os.readlink(path) if path.is_symlink() else path
