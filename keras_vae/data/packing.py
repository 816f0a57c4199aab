"""Writes images and pictures to sharded TFRecord files, in which they are read by position."""

import itertools
import math
from pathlib import Path

import numpy as np

from keras_vae.checks import as_array, check_name, check_whole
from keras_vae.data.examples import write_prefix
from keras_vae.data.folders import LeftOut, find_files
from keras_vae.data.pictures import nothing_in, read_each, shape_of_files
from keras_vae.data.shards import find_shards
from keras_vae.data.tfrecords import HEAD, TAIL, framed
from keras_vae.files import naming
from keras_vae.locks import locked

_BATCH = 256  # images


def write_shards(images, folder, name="images", *, shard_bytes=200_000_000) -> list[Path]:
    """Writes images to sharded TFRecord files, each a `tf.train.Example`, for `read_shards`.

    The features are `image`, the raw values, and `shape`. Only a few hundred images are in memory
    at a time. The files get their names, such as `images.tfrecord-00000-of-00042`, when all of
    them are written: what an interrupted call leaves is never taken for a whole set, and the next
    call removes it.

    Args:
        images: an iterable of uint8 images of one shape, such as an array `(n, *shape)` or a
            generator.
        folder: where to write; created if necessary.
        name: of the set, up to 100 letters, digits, - and _. Defaults to `"images"`.
        shard_bytes: the size of a file, about. Defaults to 200,000,000.

    Returns:
        The paths of the files.

    Raises:
        OSError: if a file cannot be written.
        ValueError: if the folder holds a set of this name, there are no images, or they are not
            uint8 of one shape.
    """
    check_name(name)
    check_whole("shard_bytes", shard_bytes, 1)
    folder = Path(folder)
    with locked(folder):
        if name in find_shards(folder):
            raise ValueError(
                f"{folder} holds {name} already: remove its files, or choose another folder."
            )
        partials = _Partials(folder, name)
        try:
            _write(iter(images), partials, shard_bytes)
            return partials.rename()
        finally:
            partials.remove()


def pack_pictures(folder, out, size=None, channels=None, progress=None):
    """Writes the pictures in a folder to sharded TFRecord files, shuffled in a fixed order.

    Args:
        folder: the folder; its subfolders are read, too.
        out: the folder to write to, as in `write_shards`.
        size: as in `keras_vae.data.pictures.read_folder`, which says how pictures are fitted.
        channels: as there.
        progress: called with the number of files read so far and with that of all files.

    Returns:
        The paths of the files, and a dict of the files left out: `{path: reason}`.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if no picture in it can be read, or `out` holds a set already.
    """
    left = LeftOut()
    paths = find_files(folder, left)
    shape = shape_of_files(paths, size, channels)
    order = np.random.RandomState(0).permutation(len(paths))
    each = read_each([paths[key] for key in order], shape, left, progress)
    first = next(each, None)
    if first is None:
        raise nothing_in(folder, left)
    return write_shards(itertools.chain([first], each), out), left


class _Partials:
    """The files of a set that is not whole yet."""

    def __init__(self, folder, name):
        self.folder, self.name, self.count = folder, name, 0
        self.remove()  # those of a call that was killed

    def next(self):
        self.count += 1
        return self._path(self.count - 1)

    def rename(self):
        ends = (f".tfrecord-{i:05d}-of-{self.count:05d}" for i in range(self.count))
        paths = [self.folder / f"{self.name}{end}" for end in ends]
        for shard, path in enumerate(paths):
            self._path(shard).replace(path)
        return paths

    def remove(self):
        for path in self.folder.glob(f".{self.name}.tfrecord-*.partial"):
            path.unlink()

    def _path(self, shard):
        return self.folder / f".{self.name}.tfrecord-{shard:05d}.partial"


def _write(images, partials, shard_bytes):
    first = next(images, None)
    if first is None:
        raise ValueError("There are no images to write.")
    first = _checked(first, 0)
    prefix = np.frombuffer(write_prefix(first.shape), "uint8")
    size = HEAD + len(prefix) + first.size + TAIL
    per_shard, done = max(1, shard_bytes // size), 0
    images = itertools.chain([first], images)
    while batch := list(itertools.islice(images, min(_BATCH, per_shard))):
        path = partials.next()
        with open(path, "wb") as file:
            left = per_shard
            while batch:
                contents = np.empty((len(batch), len(prefix) + first.size), "uint8")
                contents[:, : len(prefix)] = prefix
                for row, image in enumerate(batch):
                    contents[row, len(prefix) :] = _checked(image, done + row, first).reshape(-1)
                with naming(partials.folder / partials.name):
                    file.write(framed(contents))
                    file.flush()
                done, left = done + len(batch), left - len(batch)
                batch = list(itertools.islice(images, min(_BATCH, left)))


def _checked(image, number, first=None):
    image = as_array(image, f"image {number}")
    if image.dtype != np.uint8 or not math.prod(image.shape) or not image.ndim:
        raise ValueError(
            "Shards hold images of 8 bits, uint8 arrays. Received, as image "
            f"{number}: {image.dtype} of shape {image.shape}"
        )
    if first is not None and image.shape != first.shape:
        raise ValueError(
            f"Image {number} has shape {image.shape}, and the first one {first.shape}: all must "
            "be alike."
        )
    return image
