"""Sharded TFRecord files of images: read by position, so that any order costs the same."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from keras_vae.batches import READERS
from keras_vae.data.examples import read_image
from keras_vae.data.sources import Source
from keras_vae.data.tfrecords import find_records, read_records

_SHARD = re.compile(r"(?P<name>.+)\.tfrecord-(?P<shard>\d{5,})-of-(?P<shards>\d{5,})")


class Shards:
    """The images of sharded TFRecord files, by position: a source for `Source`.

    Args:
        paths: the files, in order.
        key: the feature that holds the image. Defaults to `"image"`.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if one is not a TFRecord file, or is cut off.
    """

    def __init__(self, paths, key="image"):
        self.paths, self.key = list(paths), key
        with ThreadPoolExecutor(READERS) as readers:
            self.offsets = list(readers.map(find_records, self.paths))
        self.starts = np.cumsum([0, *(len(offsets) - 1 for offsets in self.offsets)])

    def __len__(self):
        return int(self.starts[-1])

    def __getitem__(self, position):
        return self.__getitems__([position])[0]

    def __getitems__(self, positions):
        """Returns the images at some positions, in their order."""
        positions = np.asarray(positions)
        shards = np.searchsorted(self.starts, positions, side="right") - 1
        images = [None] * len(positions)
        for shard in np.unique(shards):
            places = np.flatnonzero(shards == shard)
            numbers = positions[places] - self.starts[shard]
            path, offsets = self.paths[shard], self.offsets[shard]
            contents = read_records(path, offsets[numbers], offsets[numbers + 1], numbers)
            for place, number, content in zip(places, numbers, contents):
                try:
                    images[place] = read_image(content, self.key)
                except ValueError as error:
                    raise ValueError(
                        f"{path}: record {number}, counted from 0, holds no image: {error}"
                    ) from error
        return images

    def __repr__(self):
        return f"<{len(self)} images in {len(self.paths)} TFRecord files, from {self.paths[0]}>"


def read_shards(path, name=None, *, key="image") -> Source:
    """Returns the images of sharded TFRecord files, which are read as they are needed.

    The files are `NAME.tfrecord-00000-of-00042` and so on, as `write_shards` and
    tensorflow-datasets write them. Their records are looked through once, without what they
    contain; a few of them, if they seem to have one length. Each takes 8 bytes of memory, and is
    checked against its checksum when it is read.

    Args:
        path: the folder.
        name: which files to read, if there are several sets in it, such as `"mnist-train"`.
            Defaults to None, the only one.
        key: the feature that holds the image: a PNG or JPEG file, or raw uint8 values beside a
            feature `shape`. Defaults to `"image"`.

    Returns:
        A `Source` of uint8 images `(n, height, width, channels)`.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if there is no such set in the folder, if shards are missing, are no TFRecord
            files or are cut off, or if they do not hold images.
    """
    sets = find_shards(path)
    if name is None and len(sets) == 1:
        name = next(iter(sets))
    if name not in sets:
        found = ", ".join(sets) or "none"
        wanted = "a name, as there are several" if name is None and sets else f"{name!r}"
        raise ValueError(f"{path} holds these sets of TFRecord files: {found}. Wanted: {wanted}.")
    return Source(Shards(sets[name], key))


def find_shards(path) -> dict[str, list[Path]]:
    """Returns the sets of sharded TFRecord files in a folder: of each name the files, in order.

    Raises:
        ValueError: if files of a set are missing.
    """
    found = {}
    for file in sorted(Path(path).iterdir()) if Path(path).is_dir() else ():
        match = _SHARD.fullmatch(file.name)
        if match and not file.name.startswith("."):
            key = match["name"], int(match["shards"])
            found.setdefault(key, {})[int(match["shard"])] = file
    sets = {}
    for (name, count), files in found.items():
        if missing := sorted(set(range(count)) - set(files)):
            raise ValueError(
                f"{path} lacks {len(missing)} of {count} files of {name}: the first is "
                f"{name}.tfrecord-{missing[0]:05d}-of-{count:05d}. Copy or write them again."
            )
        if name in sets:
            raise ValueError(f"{path} holds {name} twice, in different numbers of files.")
        sets[name] = [files[shard] for shard in range(count)]
    return sets
