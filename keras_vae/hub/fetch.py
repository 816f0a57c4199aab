"""Fetching a model from the Hub: its files of one commit, checked, in huggingface_hub's cache."""

import contextlib
import hashlib
import os
import re
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants

from keras_vae.files import sha256, write_bytes
from keras_vae.hub.errors import HubError, NotFoundError, WeightsError, explain
from keras_vae.hub.folder import FILES, read_metadata
from keras_vae.hub.formats import diffusers, tensor_files
from keras_vae.hub.place import COMMIT, Place
from keras_vae.hub.small_json import read_small_json
from keras_vae.layouts import CONFIG, LARGEST_JSON, METADATA, WEIGHTS

LARGEST_WEIGHTS = 2**31  # bytes of a model of another library, in all its files


def fetch(place: Place, published: dict | None = None) -> Path:
    """Puts a model's files in the cache, checks the weights' sha256, returns their folder.

    All files are of one commit. A commit that is in the cache needs no request; a branch or
    tag is looked up on the Hub each time, unless downloads are off.

    Args:
        place: the model.
        published: the registry's entry of the model, whose size and sha256 the weights must have.
            Defaults to None: those of the repository's own metadata.json or, in a repository of
            another library, the sha256 that the Hub keeps of each large file.

    Raises:
        HubError: if something is not there or cannot be fetched; see its subclasses.
        WeightsError: if the files are damaged, are not a model, or are not the published ones.
    """
    try:
        commit = _commit(place)
        folder = _file(place, commit, CONFIG).parent
        is_foreign = "_class_name" in read_small_json(folder / CONFIG)
        if published and is_foreign != ("files" in published):
            raise WeightsError(f"{place} does not hold the published model, but another one.")
        fetch_weights = _fetch_tensors if is_foreign else _fetch_ours
        fetch_weights(place, commit, published)
    except HubError as error:
        old = _cached(place)
        if old and not place.offline:
            error.args = (f"{error} {_EARLIER.format(_snapshot(place, old).name)}",)
        raise
    if not place.offline and not COMMIT.fullmatch(place.revision):
        # Which commit this branch or tag was, for loading without a connection. The client would
        # note it before the files are here: after an update that failed, it would no longer find
        # the earlier copy. A cache that is read-only still loads.
        with contextlib.suppress(OSError):
            reference = _snapshot(place, folder).parents[1] / "refs" / place.revision
            reference.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(reference, commit.encode())
    return folder


def _fetch_ours(place, commit, published):
    metadata = read_metadata(_file(place, commit, METADATA).parent)
    if published and any(metadata[key] != published[key] for key in ("bytes", "sha256")):
        raise WeightsError(
            f"{place} does not hold the published weights. To load what it holds, checked by "
            f"its own metadata: keras_vae.load('{place}')"
        )
    _file(place, commit, WEIGHTS, (metadata["bytes"], metadata["bytes"]), metadata["sha256"])


def _fetch_tensors(place, commit, published):
    """The files of a repository of diffusers: those that the registry names, or those it has."""
    if published:
        for file in published["files"]:
            size = file["bytes"]
            sizes = (0, LARGEST_WEIGHTS) if size is None else (size, size)
            _file(place, commit, file["name"], sizes, file["sha256"])
        return
    name = next((name for name in diffusers.WEIGHTS if _has(place, commit, name)), None)
    if name is None:
        for name in diffusers.PICKLES:
            if _has(place, commit, name):
                raise WeightsError(diffusers.REFUSED_PICKLE.format(f"{name} of {place}"))
        raise NotFoundError(f"{place} holds no {diffusers.WEIGHTS[0]}.")
    files, left = [name], LARGEST_WEIGHTS
    if name.endswith(".json"):
        files = [path.name for path in tensor_files.shards(_file(place, commit, name))]
    for file in files:
        left -= _file(place, commit, file, (0, left)).stat().st_size


_EARLIER = "An earlier copy, of commit {}, is in the cache: local_files_only=True loads it."


def _commit(place):
    """The commit that a revision names: on the Hub or, when downloads are off, in the cache."""
    if COMMIT.fullmatch(place.revision) and not place.offline:
        return place.revision
    if not place.offline:
        return _head(place, place.revision, CONFIG).commit_hash
    folder = _cached(place)
    if not folder:
        raise _absent(place, CONFIG)
    return _snapshot(place, folder).name


def _cached(place):
    """The folder of a revision in the cache, if all its files are there."""
    path = _in_cache(place, place.revision, CONFIG)
    if not path:
        return None
    try:
        if "_class_name" in read_small_json(path):
            complete = all(file.is_file() for file in diffusers.weights_in(path.parent))
        else:
            complete = all((path.parent / file).is_file() for file in FILES)
    except WeightsError:
        complete = False
    return path.parent if complete else None


def _snapshot(place, folder):
    """The folder of a commit in the cache, which is named after it, from that of the model."""
    return folder.parents[place.subfolder.count("/")] if place.subfolder else folder


def _in_cache(place, revision, file):
    """A file's path in the cache; None if it is not there, False if the Hub has none either."""
    found = huggingface_hub.try_to_load_from_cache(
        place.repository, place.inside(file), place.cache, revision
    )
    return Path(found) if isinstance(found, str) else None if found is None else False


def _has(place, commit, file):
    """Whether a commit has a file. If not, this is noted in the cache, as the client does."""
    if (found := _in_cache(place, commit, file)) is not None or place.offline:
        return bool(found)
    try:
        _head(place, commit, file)
    except NotFoundError:
        config = _in_cache(place, commit, CONFIG)
        snapshots = _snapshot(place, config.parent).parent
        with contextlib.suppress(OSError):
            note = snapshots.parent / ".no_exist" / commit / place.inside(file)
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()
        return False
    return True


def _file(place, commit, file, sizes=(0, LARGEST_JSON), expected=None):
    """One file, from the cache or the Hub; a damaged copy is removed and fetched once more.

    Args:
        place: the model.
        commit: of the repository.
        file: its name.
        sizes: the fewest and the most bytes that it may have.
        expected: its sha256. Defaults to None: the sha256, or git's own hash, that the Hub tells.
    """
    for _ in range(2):
        path, told = _in_cache(place, commit, file), None
        if not path:
            path, told = _download(place, commit, file, sizes)
        with _explained(place, file):
            # The cache names a file by what the Hub told of it or, on a file system without
            # symbolic links, by its own name.
            fault = _fault(path, expected or told or _blob(path).name)
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


def _download(place, commit, file, sizes):
    """Downloads a file of moderate size; returns its path and the hash that the Hub tells."""
    if place.offline:
        raise _absent(place, file)
    # Asked for first, since the client has no limit and hides why a file is not available. Some
    # mirrors do not say (None).
    told, (smallest, largest) = _head(place, commit, file), sizes
    if told.size is not None and not smallest <= told.size <= largest:
        raise WeightsError(
            f"{file} of {place} was not downloaded: {told.size} bytes, not {smallest} to {largest}."
        )
    with _explained(place, file):
        options = {"revision": commit, "cache_dir": place.cache, "token": place.token}
        inside = place.inside(file)
        path = Path(huggingface_hub.hf_hub_download(place.repository, inside, **options))
    got = _snapshot(place, path.parent).name
    if got != commit:
        raise HubError(f"{place}: the Hub answers with commit {got}, not {commit}.")
    return path, told.etag


def _absent(place, file):
    error = huggingface_hub.errors.LocalEntryNotFoundError("downloads are off")
    return explain(error, "loading", place=place, file=file, url=_url(place))


def _url(place):
    return f"{constants.ENDPOINT}/{place.repository}"


def _head(place, revision, file):
    with _explained(place, file):
        url = huggingface_hub.hf_hub_url(place.repository, place.inside(file), revision=revision)
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
        raise explain(error, "loading", place=place, file=file, url=_url(place)) from error


def _fault(path, wanted):
    """What is wrong with a file's content, if anything; `wanted` is a hash, or tells nothing."""
    hashes = {64: sha256, 40: _git_hash}
    if not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", wanted):
        return None
    got = hashes[len(wanted)](path)
    return None if got == wanted else f"its hash is {got} where {wanted} was expected"


def _git_hash(path):
    content = path.read_bytes()
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def _blob(path):
    """The file that a file of a snapshot links to: one step, since a blob may itself be a link."""
    return path.parent / os.readlink(path) if path.is_symlink() else path
