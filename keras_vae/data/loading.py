"""Loads data from a name, an .npz file, a folder of pictures, or one of TFRecord files."""

import os
import warnings
from pathlib import Path

import numpy as np

from keras_vae.data import datasets
from keras_vae.data.arrays import read_npz
from keras_vae.data.parts import Data, complete
from keras_vae.data.pictures import read_folder
from keras_vae.data.shards import find_shards, read_shards

_PARTS = ("train", "validation", "test")
_HELD_OUT = 10_000  # images of shards that validate, at most


def load(source: str, *, data_dir=None) -> Data:
    """Loads a data set, in three parts: to train on, to validate on, to test on.

    Data sets known by name are uint8 images in the order of tensorflow-datasets. The last images of
    its training part validate, unless it has a validation part:

    - `"mnist"`, `"fashion-mnist"`, `"kmnist"`: 50,000 / 10,000 / 10,000 of shape (28, 28, 1);
    - `"binarized-mnist"`: as many, float32, of zeros and ones, without labels;
    - `"omniglot"`: 18,000 / 1,280 / 13,180, resized to (28, 28, 1); the test images are of other
      alphabets, so this is not the split of papers;
    - `"cifar10"`, `"cifar100"`: 45,000 / 5,000 / 10,000 of shape (32, 32, 3);
    - `"svhn-cropped"`: 66,000 / 7,257 / 26,032 of shape (32, 32, 3);
    - `"celeb-a"`: 162,770 / 19,867 / 19,962, without labels: the 148 x 148 pixels from row 40 and
      column 15, resized to (64, 64, 3); they take 2.5 GB of memory.

    Args:
        source: a name in `keras_vae.data.DATASETS`; or the path of an .npz file with the array
            `x_train` and, if there are any, `x_validation`, `x_test`, `y_train`, `y_validation`
            and `y_test` (images without a channel axis are given one); or that of a folder of
            pictures (see `from_pictures`), where a warning lists those that cannot be read; or
            that of a folder of sharded TFRecord files (see `from_shards`), which are read as they
            are needed. Of your own images the last sixth validates if there is no `x_validation`.
        data_dir: folder of prepared tensorflow-datasets. Defaults to TFDS_DATA_DIR, else that
            package's own. A data set that is not there is downloaded.

    Raises:
        ValueError: if the source is none of these, or the file is not such an .npz.
        FileNotFoundError: if there is no such file.
        ConnectionError: if a data set is not there and cannot be downloaded.
    """
    source = os.fspath(source)
    name = datasets.find(source)
    if name is not None:
        return datasets.read(name, data_dir)
    if source.lower().endswith(".npz"):
        return read_npz(source)
    if find_shards(source):
        return from_shards(source)
    if Path(source).is_dir():
        parts, refused = from_pictures(source)
        if refused or refused.frames:
            reasons = " ".join(refused.lines())
            warnings.warn(f"Left out {len(refused)} files: {reasons}", stacklevel=2)
        return parts
    of_array = (
        f" An .npy file does not say what it holds: np.savez('x.npz', x_train=np.load({source!r}))"
        if source.lower().endswith(".npy")
        else ""
    )
    raise ValueError(
        f"Unknown data {source!r}. Available: {', '.join(datasets.DATASETS)}, the path of an .npz "
        f"file or of a folder of pictures or TFRecord files.{of_array}"
    )


def from_pictures(folder, size=None, channels=None, progress=None) -> tuple[Data, dict]:
    """Reads a folder of pictures, shuffled in a fixed order, of which the last sixth validates.

    Args:
        folder: the folder; its subfolders are read, too.
        size: as in `keras_vae.data.pictures.read_folder`, which says how pictures are fitted.
        channels: as there.
        progress: called with the number of files read so far and with that of all files.

    Returns:
        The data, and a dict of the files left out: `{path: reason}`; its `lines()` say it in short.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if fewer than two pictures in it can be read.
    """
    x, refused = read_folder(folder, size, channels, progress)
    x = x[np.random.RandomState(0).permutation(len(x))]
    return complete({"x_train": x, "pictures": True}), refused


def from_shards(folder) -> Data:
    """Finds sharded TFRecord files of images, which are read as they are needed.

    The sets in the folder whose names end in `train`, `validation` and `test`, as those of
    tensorflow-datasets do, are these parts. If there is one set only, or none validates, a sixth of
    the training images does, at most 10,000, drawn from all of them, always the same ones.

    Args:
        folder: the folder; see `keras_vae.data.read_shards`.

    Returns:
        The data, with a `keras_vae.data.Source` for each part.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if files are missing or damaged, or the sets are not such parts.
    """
    sets = list(find_shards(folder))
    parts = {part: [name for name in sets if name.endswith(part)] for part in _PARTS}
    if len(sets) == 1:
        parts = {"train": sets}
    known = sum(map(len, parts.values())) == len(sets)
    if not known or len(parts["train"]) != 1 or max(map(len, parts.values())) > 1:
        raise ValueError(
            f"{folder} must hold one set of TFRecord files, or sets whose names end in train, "
            f"validation and test, one each. Received: {', '.join(sets) or 'none'}"
        )
    found = {f"x_{part}": read_shards(folder, *names) for part, names in parts.items() if names}
    x = found["x_train"]
    if "x_validation" not in found:
        if len(x) < 2:
            raise ValueError(f"{folder} must hold at least two images. Received: {len(x)}")
        order, count = np.random.default_rng(0).permutation(len(x)), max(1, len(x) // 6)
        held_out, rest = np.split(order, [min(_HELD_OUT, count)])
        found |= {"x_train": x.take(np.sort(rest)), "x_validation": x.take(np.sort(held_out))}
    return Data(**found, pictures=len(x.shape) == 4 and x.shape[-1] in (1, 3, 4))
