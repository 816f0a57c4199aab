"""The protocols of published figures: which images are measured, and how they are prepared."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from keras_vae.data.parts import Data


def binarized_once(data: Data, seed: int = 777) -> tuple[np.ndarray, np.ndarray]:
    """Binarises validation and test images once, by sampling, validation images first.

    The protocol of VampPrior (Tomczak & Welling 2017, arXiv 1705.07120) and Exemplar VAE
    (Norouzi et al. 2020, arXiv 2004.04795): NumPy's legacy generator, one binomial draw per pixel.

    Returns:
        The two parts as float32 images of zeros and ones.
    """
    rng = np.random.RandomState(seed)
    parts = (data.x_validation, data.x_test)
    grey = (part / 255.0 if part.dtype == np.uint8 else part for part in parts)
    return tuple(rng.binomial(1, part).astype("float32") for part in grey)


class Protocol(NamedTuple):
    """How a model is measured for publication.

    Attributes:
        dataset: the data set, a name in `DATASETS`.
        images: what is measured, for people: "the 10,000 test images of MNIST".
        binary: a function of the data that returns the binary test images on which a likelihood
            of binary data is measured; errors are measured on the test images as they are. None:
            everything is measured on these, and nothing under a likelihood of other values than
            theirs: bits per dimension of 256 levels are not those of binary images.
    """

    dataset: str
    images: str
    binary: Callable[[Data], np.ndarray] | None = None


def _test_binarized_once(data):
    return binarized_once(data)[1]


PROTOCOLS: Mapping[str, Protocol] = MappingProxyType(
    {
        "mnist-dynamic": Protocol("mnist", "the 10,000 test images of MNIST", _test_binarized_once),
        "fashion-dynamic": Protocol(
            "fashion-mnist", "the 10,000 test images of Fashion-MNIST", _test_binarized_once
        ),
        "kmnist-dynamic": Protocol(
            "kmnist", "the 10,000 test images of Kuzushiji-MNIST", _test_binarized_once
        ),
        "omniglot-dynamic": Protocol(
            "omniglot",
            "13,180 images of Omniglot at 28 x 28, of alphabets that are not among the training "
            "images (not the test images of papers)",
            _test_binarized_once,
        ),
        "mnist-static": Protocol(
            "binarized-mnist", "the 10,000 test images of MNIST as Larochelle binarised them"
        ),
        "cifar10-levels": Protocol(
            "cifar10", "the 10,000 test images of CIFAR-10, in 256 levels of each colour"
        ),
        "cifar100-levels": Protocol(
            "cifar100", "the 10,000 test images of CIFAR-100, in 256 levels of each colour"
        ),
        "svhn-levels": Protocol(
            "svhn-cropped", "the 26,032 test images of SVHN, in 256 levels of each colour"
        ),
        "celeba64-levels": Protocol(
            "celeb-a",
            "the 19,962 test images of CelebA, cropped to 148 x 148 and resized to 64 x 64, in 256 "
            "levels of each colour",
        ),
    }
)
