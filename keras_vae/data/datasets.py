"""The data sets known by name: one record each, and how tensorflow-datasets reads them."""

import contextlib
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from keras_vae.data.parts import Data


class Dataset(NamedTuple):
    """What is known of a data set.

    Attributes:
        title: its name in a sentence.
        tfds: its name in tensorflow-datasets.
        version: the version there.
        host: the server that it is downloaded from.
        shape: of an image.
        train: the part to train on, a split of tensorflow-datasets.
        validation: the part to validate on.
        test: the part to test on.
        values: `"levels"` for the 256 levels of uint8, `"binary"` for zeros and ones.
        licence: of the images; None if none is stated.
        hub: its id on the Hugging Face Hub, or None.
        protocol: the protocol (see `PROTOCOLS`) of our published figures, or None.
    """

    title: str
    tfds: str
    version: str
    host: str
    shape: tuple[int, ...]
    train: str
    validation: str
    test: str = "test"
    values: str = "levels"
    licence: str | None = None
    hub: str | None = None
    protocol: str | None = None


DATASETS: Mapping[str, Dataset] = MappingProxyType(
    {
        "mnist": Dataset(
            title="MNIST",
            tfds="mnist",
            version="3.0.1",
            host="https://storage.googleapis.com",
            shape=(28, 28, 1),
            train="train[:50000]",
            validation="train[50000:]",
            licence="CC BY-SA 3.0",
            hub="ylecun/mnist",
            protocol="mnist-dynamic",
        ),
        "fashion-mnist": Dataset(
            title="Fashion-MNIST",
            tfds="fashion_mnist",
            version="3.0.1",
            host="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            shape=(28, 28, 1),
            train="train[:50000]",
            validation="train[50000:]",
            licence="MIT",
            hub="zalando-datasets/fashion_mnist",
            protocol="fashion-dynamic",
        ),
        # MNIST as Larochelle binarised it, once and for all: the "static" MNIST of papers.
        "binarized-mnist": Dataset(
            title="binarised MNIST",
            tfds="binarized_mnist",
            version="1.0.0",
            host="http://www.cs.toronto.edu",
            shape=(28, 28, 1),
            train="train",
            validation="validation",
            values="binary",
        ),
        "cifar10": Dataset(
            title="CIFAR-10",
            tfds="cifar10",
            version="3.0.2",
            host="https://www.cs.toronto.edu",
            shape=(32, 32, 3),
            train="train[:45000]",
            validation="train[45000:]",
            hub="uoft-cs/cifar10",
        ),
    }
)


def find(name: str) -> str | None:
    """Returns the name of a data set in `DATASETS`; that of tensorflow-datasets also works."""
    names = {name, *(ours for ours, record in DATASETS.items() if record.tfds == name)}
    return next(iter(names & DATASETS.keys()), None)


def read(name: str, data_dir=None) -> Data:
    """Reads a data set through tensorflow-datasets, which downloads it if it is not there.

    Args:
        name: a name in `DATASETS`.
        data_dir: folder of prepared data sets. Defaults to TFDS_DATA_DIR, else that package's own.

    Returns:
        Its parts: uint8 images, or float32 ones of zeros and ones if the data set is binary.

    Raises:
        ConnectionError: if it is not there and cannot be downloaded.
    """
    import tensorflow_datasets as tfds

    record = DATASETS[name]
    builder = tfds.builder(f"{record.tfds}:{record.version}", data_dir=data_dir)
    if not builder.data_path.exists():
        _download(name, record, builder)
    parts = {}
    for part in ("train", "validation", "test"):
        examples = builder.as_dataset(
            split=getattr(record, part), batch_size=-1, shuffle_files=False
        )
        x = np.asarray(examples["image"])
        parts[f"x_{part}"] = x.astype("float32") if record.values == "binary" else x
        if "label" in examples:
            parts[f"y_{part}"] = np.asarray(examples["label"])
    return Data(**parts)


def _download(name, record, builder):
    # Each in a folder of its own: TFDS mistakes MNIST's files for Fashion-MNIST's, as they have
    # the same names.
    downloads = Path(builder.data_path).parents[1] / "downloads" / record.tfds
    try:
        _check_reachable(record.host)
        builder.download_and_prepare(download_dir=downloads)
    except Exception as error:
        raise ConnectionError(
            f"{name} is not in {builder.data_path} and could not be downloaded "
            f"({type(error).__name__}: {error}). Set TFDS_DATA_DIR to a folder that has it, go "
            "online, or pass an .npz file with the array x_train."
        ) from error


def _check_reachable(url):
    """Raises OSError at once if a host does not answer; TFDS retries for many minutes."""
    with contextlib.suppress(urllib.error.HTTPError):  # it answered
        urllib.request.urlopen(url, timeout=20).close()
