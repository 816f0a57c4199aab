"""Fixtures of tests about files of weights: a model, a good file, a copy to spoil."""

import shutil

import numpy as np
import pytest

KERNEL = "encoder/layers/dense/vars/0"
BIAS = "encoder/layers/dense/vars/1"


@pytest.fixture(scope="module")
def model(make):
    return make("mlp_vae", hidden_units=(8, 8))


@pytest.fixture(scope="module")
def good(make, tmp_path_factory):
    """A file of weights of a model like `model`, with other numbers."""
    path = tmp_path_factory.mktemp("good") / "good.weights.h5"
    other = make("mlp_vae", hidden_units=(8, 8), seed=1)
    rng = np.random.default_rng(0)
    other.set_weights([rng.normal(size=w.shape) for w in other.weights])
    other.save_weights(path)
    return path


@pytest.fixture
def path(good, tmp_path):
    """A copy of `good` that a test may spoil."""
    return shutil.copy(good, tmp_path / "other.weights.h5")
