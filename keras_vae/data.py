"""Data sets: MNIST and Fashion-MNIST through tensorflow-datasets, or your own .npz or pictures."""

import contextlib
import os
import urllib.error
import urllib.request
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_vae.checks import as_array
from keras_vae.pictures import read_folder

DATASETS = {"mnist": "mnist", "fashion-mnist": "fashion_mnist"}  # our name: that of TFDS
VERSION = "3.0.1"
HOSTS = {
    "mnist": "https://storage.googleapis.com",
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
}


class Data(NamedTuple):
    """Images `(n, height, width, channels)` and labels `(n,)`; None where there are none."""

    x_train: np.ndarray
    x_validation: np.ndarray
    x_test: np.ndarray | None = None
    y_train: np.ndarray | None = None
    y_validation: np.ndarray | None = None
    y_test: np.ndarray | None = None


def load(source: str, *, data_dir=None) -> Data:
    """Loads a data set: the last sixth of the training part validates.

    For MNIST and Fashion-MNIST that makes 50,000 / 10,000 / 10,000 uint8 images of shape
    (28, 28, 1), in the order of tensorflow-datasets 3.0.1.

    Args:
        source: `"mnist"`, `"fashion-mnist"`, the path of an .npz file with the array `x_train`
            and, if there are any, `x_validation`, `x_test`, `y_train`, `y_validation`, `y_test`
            (images without a channel axis are given one), or that of a folder of pictures, see
            `from_pictures`: a warning names those that cannot be read.
        data_dir: folder of prepared tensorflow-datasets. Defaults to TFDS_DATA_DIR, else that
            package's own. What is missing there is downloaded.

    Raises:
        ValueError: if the source is none of these, or the file is not such an .npz.
        FileNotFoundError: if there is no such file.
        ConnectionError: if a data set is not there and cannot be downloaded.
    """
    source = os.fspath(source)
    if source in DATASETS:
        return _split(**_from_tfds(source, data_dir))
    if source.endswith(".npz"):
        return _split(**_from_npz(Path(source)))
    if Path(source).is_dir():
        parts, refused = from_pictures(source)
        if refused:
            reasons = "; ".join(refused.values())
            warnings.warn(f"Left out {len(refused)} files: {reasons}", stacklevel=2)
        return parts
    raise ValueError(
        f"Unknown data {source!r}. Available: {', '.join(DATASETS)}, the path of an .npz file or "
        "of a folder of pictures."
    )


def from_pictures(folder, size=None, channels=None, progress=None) -> tuple[Data, dict]:
    """Reads a folder of pictures, shuffled (always alike), of which the last sixth validates.

    Args:
        folder: the folder; what is in folders in it counts.
        size: see `keras_vae.pictures.read_folder`, which also says what is done to them.
        channels: see there.
        progress: called with the number of files read, and with that of all.

    Returns:
        The data, and a dict of the files left out: `{path: reason}`.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if fewer than two pictures in it can be read.
    """
    x, refused = read_folder(folder, size, channels, progress)
    _check_enough(x)
    return _split(x[np.random.RandomState(0).permutation(len(x))]), refused


def binarized_once(data: Data, seed: int = 777) -> tuple[np.ndarray, np.ndarray]:
    """Binarises validation and test images once, by sampling, validation first.

    The protocol of VampPrior (Tomczak & Welling 2017, arXiv 1705.07120) and Exemplar VAE
    (Norouzi et al. 2020, arXiv 2004.04795): NumPy's legacy generator, one binomial draw a pixel.

    Returns:
        The two parts as float32 images of zeros and ones.
    """
    rng = np.random.RandomState(seed)
    parts = (data.x_validation, data.x_test)
    grey = (part / 255.0 if part.dtype == np.uint8 else part for part in parts)
    return tuple(rng.binomial(1, part).astype("float32") for part in grey)


def _split(x_train, x_validation=None, y_train=None, y_validation=None, x_test=None, y_test=None):
    if x_validation is None:
        held_out = max(1, len(x_train) // 6)
        x_train, x_validation = x_train[:-held_out], x_train[-held_out:]
        if y_train is not None:
            y_train, y_validation = y_train[:-held_out], y_train[-held_out:]
    return Data(x_train, x_validation, x_test, y_train, y_validation, y_test)


def _from_tfds(name, data_dir):
    import tensorflow_datasets as tfds

    builder = tfds.builder(f"{DATASETS[name]}:{VERSION}", data_dir=data_dir)
    if not builder.data_path.exists():
        # A download folder for each: TFDS takes MNIST's files for Fashion-MNIST's of the same name.
        downloads = Path(builder.data_path).parents[1] / "downloads" / DATASETS[name]
        try:
            _check_reachable(HOSTS[name])
            builder.download_and_prepare(download_dir=downloads)
        except Exception as error:
            raise ConnectionError(
                f"{name} is not in {builder.data_path} and could not be downloaded there "
                f"({type(error).__name__}: {error}). Set TFDS_DATA_DIR to a folder that has it, go "
                "online, or give an .npz file with the array x_train."
            ) from error
    parts = {}
    for key in ("train", "test"):
        part = builder.as_dataset(split=key, batch_size=-1, shuffle_files=False)
        parts[f"x_{key}"] = np.asarray(part["image"])
        parts[f"y_{key}"] = np.asarray(part["label"])
    return parts


def _check_reachable(url):
    """OSError at once if a host does not answer: TFDS itself tries again for many minutes."""
    with contextlib.suppress(urllib.error.HTTPError):  # it answered
        urllib.request.urlopen(url, timeout=20).close()


def _from_npz(path):
    if not path.exists():
        raise FileNotFoundError(
            f"No such file: {path}. An .npz with the array x_train is expected."
        )
    names = Data._fields
    try:
        with np.load(path, allow_pickle=False) as file:
            found = list(file.files)
            parts = {name: file[name] for name in names if name in file.files}
    except Exception as error:  # a damaged zip raises a dozen kinds
        raise ValueError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error
    if "x_train" not in parts:
        raise ValueError(
            f"{path} must hold the array x_train, and may hold {', '.join(names[1:])}. "
            f"Received: {', '.join(found) or 'nothing'}"
        )
    for name, array in parts.items():
        images = name.startswith("x_")
        if images:
            as_array(array, f"{path}: {name}")
        if array.ndim < (2 if images else 1):
            shape = "(n, ...)" if images else "(n,)"
            raise ValueError(f"{path}: {name} must have shape {shape}. Received: {array.shape}")
        if images and array.ndim == 3:
            parts[name] = array[..., None]
    _check_enough(parts["x_train"])
    return parts


def _check_enough(x):
    if len(x) < 2:
        raise ValueError(f"x_train must hold at least two images. Received: {len(x)}")
