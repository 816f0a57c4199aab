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
        shape: of an image. Images of another shape are resized to it, and made grey if it has one
            channel.
        train: the part to train on, a split of tensorflow-datasets.
        validation: the part to validate on.
        test: the part to test on.
        values: `"levels"` for the 256 levels of uint8, `"binary"` for zeros and ones.
        licence: of the images; None if none is stated.
        hub: its id on the Hugging Face Hub, or None.
        protocol: the protocol (see `PROTOCOLS`) of published figures, or None.
        crop: what is cut out of each image before it is resized: top, left, height and width in
            pixels; None for all of it.
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
    crop: tuple[int, int, int, int] | None = None


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
            protocol="mnist-static",
        ),
        "kmnist": Dataset(
            title="Kuzushiji-MNIST",
            tfds="kmnist",
            version="3.0.1",
            host="http://codh.rois.ac.jp",
            shape=(28, 28, 1),
            train="train[:50000]",
            validation="train[50000:]",
            licence="CC BY-SA 4.0",
            protocol="kmnist-dynamic",
        ),
        # Not the file of papers (Burda et al. 2015): its test images are of the alphabets that it
        # is trained on, and these are of others.
        "omniglot": Dataset(
            title="Omniglot at 28 x 28",
            tfds="omniglot",
            version="3.0.0",
            host="https://github.com",
            shape=(28, 28, 1),
            train="train[:18000]",
            validation="train[18000:]",
            licence="MIT",
            protocol="omniglot-dynamic",
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
            protocol="cifar10-levels",
        ),
        "cifar100": Dataset(
            title="CIFAR-100",
            tfds="cifar100",
            version="3.0.2",
            host="https://www.cs.toronto.edu",
            shape=(32, 32, 3),
            train="train[:45000]",
            validation="train[45000:]",
            hub="uoft-cs/cifar100",
            protocol="cifar100-levels",
        ),
        "svhn-cropped": Dataset(
            title="SVHN",
            tfds="svhn_cropped",
            version="3.1.0",
            host="http://ufldl.stanford.edu",
            shape=(32, 32, 3),
            train="train[:66000]",
            validation="train[66000:]",
            licence="non-commercial use only",
            hub="ufldl-stanford/svhn",
            protocol="svhn-levels",
        ),
        # The part of Larsen et al. 2016 (arXiv 1512.09300), which NVAE takes too, at 64 x 64.
        "celeb-a": Dataset(
            title="CelebA at 64 x 64",
            tfds="celeb_a",
            version="2.1.0",
            host="https://drive.google.com",
            shape=(64, 64, 3),
            train="train",
            validation="validation",
            licence="non-commercial research only",
            protocol="celeba64-levels",
            crop=(40, 15, 148, 148),
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
    as_it_is = record.crop is None and builder.info.features["image"].shape == record.shape
    load, parts = _load if as_it_is else _load_fitted, {}
    for part in ("train", "validation", "test"):
        examples = load(builder, getattr(record, part), record)
        x = np.asarray(examples["image"])
        parts[f"x_{part}"] = x.astype("float32") if record.values == "binary" else x
        if "label" in examples:
            parts[f"y_{part}"] = np.asarray(examples["label"])
    return Data(**parts)


def _load(builder, split, record):
    """Images and labels of a split, as they are."""
    return builder.as_dataset(split=split, batch_size=-1, shuffle_files=False)


def _load_fitted(builder, split, record):
    """Images and labels of a split, each cut, made grey and resized as its record says.

    The images as they are would not fit in memory: those of CelebA take 19 GB.
    """
    import tensorflow as tf

    def fit(example):
        image = tf.cast(example["image"], tf.float32)
        if record.crop is not None:
            image = tf.image.crop_to_bounding_box(image, *record.crop)
        if record.shape[-1] == 1:
            image = tf.reduce_mean(image, axis=-1, keepdims=True)
        image = tf.image.resize(image, record.shape[:-1], "bilinear", antialias=True)
        levels = tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)
        return {"image": levels, **{key: example[key] for key in ("label",) if key in example}}

    dataset = builder.as_dataset(split=split, shuffle_files=False)
    batches = list(dataset.map(fit, tf.data.AUTOTUNE).batch(1000).as_numpy_iterator())
    return {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}


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
