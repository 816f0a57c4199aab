"""Fetching a model from the Hub: three files of one commit, checked, in huggingface_hub's cache."""

import contextlib
import dataclasses
import hashlib
import os
import re
from pathlib import Path

from keras_vae.files import sha256, write_bytes
from keras_vae.hub.errors import LOADING, HubError, OfflineError, WeightsError, explain
from keras_vae.hub.folder import FILES, LARGEST_JSON, WEIGHTS, read_metadata

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
        label: the argument of `keras-vae download` that fetches this. Defaults to the address.
        cache_dir: as for `keras_vae.load`.
        token: as for `keras_vae.load`.
        local_files_only: as for `keras_vae.load`.
    """

    repository: str
    revision: str
    _: dataclasses.KW_ONLY
    label: str | None = None
    cache_dir: str | os.PathLike | None = None
    token: str | bool | None = dataclasses.field(default=None, repr=False)
    local_files_only: bool = False

    def __post_init__(self):
        if not isinstance(self.revision, str) or not REVISION.fullmatch(self.revision):
            raise ValueError(
                "A revision is a branch, a tag or a commit: letters, digits and . _ - + /. "
                f"Received: {self.revision!r}"
            )
        if isinstance(self.token, str) and not re.fullmatch("[!-~]+", self.token):
            # Checked here, since the client's message would show the token.
            raise ValueError("token must be a string without spaces or line ends, or a bool.")

    def __str__(self):
        return f"hf://{self.repository}@{self.revision}"

    @property
    def cache(self):
        from huggingface_hub import constants

        return Path(self.cache_dir or constants.HF_HUB_CACHE).expanduser().absolute()

    @property
    def offline(self):
        from huggingface_hub import constants

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
        for file in FILES:
            if file != WEIGHTS:
                folder = _file(place, commit, file).parent
        metadata = read_metadata(folder)
        if published and any(metadata[key] != published[key] for key in ("bytes", "sha256")):
            raise WeightsError(
                f"{place} holds other weights than the published: sha256 {metadata['sha256']}, "
                f"not {published['sha256']}. To load them, checked by their own metadata: "
                f"keras_vae.load('{place}')"
            )
        _file(place, commit, WEIGHTS, metadata)
    except HubError as error:
        old = _cached(place)
        if old and not place.offline:
            copy = f"An earlier copy, of commit {old.name}, is in the cache"
            error.args = (f"{error} {copy}: local_files_only=True loads it.",)
        raise
    _remember(place, folder)
    return folder


def _commit(place):
    """The commit that a revision names: on the Hub or, when downloads are off, in the cache."""
    if place.offline:
        folder = _cached(place)
        if folder is None:
            raise OfflineError(
                f"{place} is not in the cache {place.cache}, and downloads are off "
                "(local_files_only=True or HF_HUB_OFFLINE=1). While online, run: "
                f"keras-vae download {place.label or place}"
            )
        return folder.name
    if COMMIT.fullmatch(place.revision):
        return place.revision
    return _head(place, place.revision, FILES[0]).commit_hash


def _cached(place):
    """The folder of a revision in the cache, if all three files are there."""
    path = _path_in_cache(place, FILES[0], place.revision)
    complete = path and all((path.parent / file).is_file() for file in FILES)
    return path.parent if complete else None


def _path_in_cache(place, file, revision):
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(place.repository, file, place.cache, revision)
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
        with _explained(place, file):
            for copy in (path.resolve(), _blob(path), path):
                copy.unlink(missing_ok=True)
    raise WeightsError(
        f"{file} of {place} arrived damaged, twice: {fault}. Neither copy was kept. Try another "
        "connection; if that does not help, the repository itself is damaged."
    )


def _download(place, commit, file, metadata):
    from huggingface_hub import hf_hub_download

    # Asked for first, since the client has no limit and hides why a file is not available. Some
    # mirrors do not say (None).
    size = _head(place, commit, file).size
    smallest, largest = (metadata["bytes"],) * 2 if metadata else (0, LARGEST_JSON)
    if size is not None and not smallest <= size <= largest:
        raise WeightsError(
            f"{file} of {place} has {size} bytes where {largest} are "
            f"{'expected' if metadata else 'the most allowed'}: it was not downloaded."
        )
    with _explained(place, file):
        options = {"revision": commit, "cache_dir": place.cache, "token": place.token}
        path = Path(hf_hub_download(place.repository, file, **options))
    if path.parent.name != commit:
        raise HubError(f"{place}: the Hub answers with commit {path.parent.name}, not {commit}.")
    return path


def _head(place, revision, file):
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import FileMetadataError

    with _explained(place, file):
        url = hf_hub_url(place.repository, file, revision=revision)
        timeout = constants.HF_HUB_ETAG_TIMEOUT
        head = get_hf_file_metadata(url, token=place.token, timeout=timeout)
        if not COMMIT.fullmatch(head.commit_hash or ""):
            raise FileMetadataError("no commit")
    return head


@contextlib.contextmanager
def _explained(place, file):
    from huggingface_hub import constants
    from huggingface_hub.errors import HTTPError

    try:
        yield
    except (HTTPError, OSError, RuntimeError) as error:
        words = {"place": place, "file": file, "revision": place.revision, "cache": place.cache}
        words |= {"url": f"{constants.ENDPOINT}/{place.repository}", "label": place.label or place}
        raise explain(error, LOADING, **words) from error


def _fault(path, metadata):
    """What is wrong with a file's content, if anything."""
    # The cache names a file by its sha256 if it was in git LFS, else by git's own hash of it.
    expected = metadata["sha256"] if metadata else _blob(path).name
    if re.fullmatch("[0-9a-f]{64}", expected):
        got = sha256(path)
    elif COMMIT.fullmatch(expected):
        content = path.read_bytes()
        blob = b"blob %d\0" % len(content) + content
        got = hashlib.sha1(blob, usedforsecurity=False).hexdigest()
    else:
        return None  # a file system without symbolic links
    return None if got == expected else f"its hash is {got} where {expected} was expected"


def _blob(path):
    """The file that a file of a snapshot links to: one step, since a blob may itself be a link."""
    return path.parent / os.readlink(path) if path.is_symlink() else path


def _remember(place, folder):
    """Notes which commit a branch or tag was, for loading without a connection.

    The client would note it before the files are here: after an update that failed, the earlier
    copy would no longer be found.
    """
    reference = folder.parents[1] / "refs" / place.revision
    if COMMIT.fullmatch(place.revision) or place.offline:
        return
    # A cache that is read-only still loads; only offline, the commit must then be given.
    with contextlib.suppress(OSError):
        if not reference.is_file() or reference.read_text() != folder.name:
            reference.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(reference, folder.name.encode())
