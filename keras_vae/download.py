"""Fetching a model from the Hub: three files of one commit, checked, in huggingface_hub's cache."""

import contextlib
import dataclasses
import hashlib
import os
import re
from pathlib import Path

from keras_vae.files import sha256, write_bytes
from keras_vae.folder import FILES, LARGEST_JSON, read_metadata
from keras_vae.hub_errors import HubError, OfflineError, explain
from keras_vae.weights import WeightsError

COMMIT = re.compile(r"[0-9a-f]{40}")
NAME = re.compile(r"(?!.*(--|\.\.|\.git$))[A-Za-z0-9_]([\w.-]{0,94}[A-Za-z0-9_])?", re.ASCII)
REVISION = re.compile(r"(?!.*(\.\.|//))[A-Za-z0-9_]([\w./+-]{0,198}[\w+-])?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Place:
    """A model on the Hub, and how to come to it.

    Args:
        repository: `"org/repo"`.
        revision: a branch, a tag or a commit.
        label: what `keras-vae download` is to be given to fetch this. Defaults to the address.
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
            # Here, since the client's message would show the token.
            raise ValueError("token must be a string without spaces or line ends, or a bool.")

    def __str__(self):
        return f"hf://{self.repository}@{self.revision}"

    @property
    def cache(self):
        from huggingface_hub import constants

        return Path(self.cache_dir or constants.HF_HUB_CACHE).expanduser()

    @property
    def offline(self):
        from huggingface_hub import constants

        return self.local_files_only or constants.HF_HUB_OFFLINE


def parse(source: str, revision: str | None = None) -> tuple[str, str]:
    """Returns the repository and the revision that `"hf://org/repo@revision"` names.

    Raises:
        ValueError: if it is no such address, or if a revision is given twice, each time another.
    """
    head, _, rest = source.partition("://")
    address, at, own = rest.partition("@")
    names = address.split("/")
    good = head == "hf" and len(names) == 2 and all(NAME.fullmatch(name) for name in names)
    if not good or (at and not REVISION.fullmatch(own)):
        raise ValueError(
            "A model on the Hugging Face Hub is 'hf://org/repo' or 'hf://org/repo@revision', "
            f"such as 'hf://keras-vae/conv-mnist'. Received: {source!r}"
        )
    if at and revision is not None and revision != own:
        raise ValueError(
            f"{source!r} names a revision already, and revision={revision!r} another. Give one."
        )
    if at:
        return address, own
    return address, "main" if revision is None else revision


def fetch(place: Place, published: dict | None = None) -> Path:
    """Puts a model's three files in the cache, checks the weights' sha256, returns their folder.

    All three are of one commit. A commit that is in the cache is fetched without any request, and
    a branch or tag is looked up on the Hub each time, unless downloads are off.

    Args:
        place: the model.
        published: the registry's entry of the model. Its size and sha256 are to be the weights';
            `None`: those of the repository's own metadata.json are.

    Raises:
        HubError: if something is not there or cannot be fetched; see its subclasses.
        WeightsError: if the files are damaged, or are not those of a model, or not the published.
    """
    try:
        commit = _commit(place)
        for file in ("config.json", "metadata.json"):
            folder = _file(place, commit, file).parent
        metadata = read_metadata(folder)
        if published and any(metadata[key] != published[key] for key in ("bytes", "sha256")):
            raise WeightsError(
                f"{place} holds other weights than the published: sha256 {metadata['sha256']} "
                f"where {published['sha256']} is in the registry. To load them, checked by their "
                f"own metadata: keras_vae.load('{place}')"
            )
        _file(place, commit, "model.weights.h5", metadata)
    except HubError as error:
        old = _cached(place)
        if old and not place.offline:
            error.args = (
                f"{error} An earlier copy, of commit {old.name}, is in the cache: "
                "local_files_only=True loads it.",
            )
        raise
    _remember(place, folder)
    return folder


def _commit(place):
    """The commit that a revision names: on the Hub, or when downloads are off in the cache."""
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
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(place.repository, FILES[0], place.cache, place.revision)
    if not isinstance(path, str):
        return None
    folder = Path(path).parent
    return folder if all((folder / file).is_file() for file in FILES) else None


def _file(place, commit, file, metadata=None):
    """One file, from the cache or else the Hub; a damaged copy is removed and fetched once more."""
    from huggingface_hub import try_to_load_from_cache

    for _ in range(2):
        path = try_to_load_from_cache(place.repository, file, place.cache, commit)
        path = Path(path) if isinstance(path, str) else _download(place, commit, file, metadata)
        with _explained(place, file):
            fault = _fault(path, metadata)
        if not fault:
            return path
        if place.offline:
            raise WeightsError(f"{path} is damaged: {fault}. While online, load it anew.")
        with _explained(place, file):
            for copy in (path.resolve(), _blob(path), path):
                copy.unlink(missing_ok=True)
    raise WeightsError(
        f"{file} of {place} came damaged, twice: {fault}. Neither copy was kept. Try another "
        "connection; if it stays so, the repository itself is damaged."
    )


def _download(place, commit, file, metadata):
    from huggingface_hub import hf_hub_download

    # Asked for here too since the client has no limit, and hides why a file cannot be had.
    size = _head(place, commit, file).size
    if metadata and size not in (None, metadata["bytes"]):
        raise WeightsError(
            f"{file} of {place} has {size} bytes where metadata.json speaks of "
            f"{metadata['bytes']}: it was not downloaded."
        )
    if not metadata and size is not None and size > LARGEST_JSON:
        raise WeightsError(
            f"{file} of {place} has {size} bytes, where {LARGEST_JSON} are allowed: it was not "
            "downloaded."
        )
    with _explained(place, file):
        path = hf_hub_download(
            place.repository, file, revision=commit, cache_dir=place.cache, token=place.token
        )
        path = Path(path)
        if path.parent.name != commit:
            raise HubError(
                f"{place}: the Hub answers with commit {path.parent.name}, not {commit}."
            )
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
    from huggingface_hub.errors import HTTPError

    try:
        yield
    except HubError:
        raise
    except (HTTPError, OSError, RuntimeError) as error:
        raise explain(error, place, file) from error


def _fault(path, metadata):
    """What is wrong with a file's content, if anything."""
    if metadata:
        expected, got = metadata["sha256"], sha256(path)
    else:
        # The cache names a file by git's hash of it, or by its sha256 if it was in git LFS.
        expected = _blob(path).name
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

    The client would note it before the files are here: an update that fails would then hide the
    earlier copy.
    """
    reference = folder.parents[1] / "refs" / place.revision
    if COMMIT.fullmatch(place.revision) or place.offline:
        return
    # A cache that cannot be written still loads; only offline, the commit must then be named.
    with contextlib.suppress(OSError):
        if not reference.is_file() or reference.read_text() != folder.name:
            reference.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(reference, folder.name.encode())
