"""Training from images that are read by position: as from the same images in an array."""

import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import on_default_backend

import keras_vae
from keras_vae import backends, data, training
from keras_vae.data.sources import Source, sample
from keras_vae.training import train
from keras_vae.training.checkpoints import Checkpoints

X = np.random.default_rng(0).integers(0, 256, (70, 6, 5, 1), dtype="uint8")


class Positions:
    """A source of the protocol of Grain and `tfds.data_source`: examples are dicts, one a call."""

    def __init__(self, x=X):
        self.x, self.read = x, []

    def __len__(self):
        return len(self.x)

    def __getitem__(self, position):
        self.read.append(position)
        return {"image": self.x[position], "label": 3}


class Together(Positions):
    """One that reads many examples in a call."""

    def __getitems__(self, positions):
        return [self[position] for position in positions]


def model(**settings):
    keras.utils.set_random_seed(3)
    made = keras_vae.mlp_vae((6, 5, 1), 2, (8,), **settings)
    made.compile(keras.optimizers.Adam(1e-2))
    return made


def run(folder, x=X[:60], x_validation=X[60:], made=None, epochs=3, **options):
    made = made or model()
    return made, train(made, x, x_validation, folder, epochs=epochs, batch_size=16, **options)


def check_equal(ours, theirs):
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def check_same(ours, theirs):
    """Whether two histories say the same, but for the time that it took."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs):
        for key in one.keys() - {"seconds", "peak_memory_mb"}:
            assert other[key] == pytest.approx(one[key], rel=1e-4), key


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run on arrays: its model and its history."""
    return run(tmp_path_factory.mktemp("whole"), beta_warmup=1)


def shards(folder):
    data.write_shards(X, folder, shard_bytes=1000)
    return data.read_shards(folder)


def h5(folder):
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "x.h5", "w") as file:
        file["x"] = X
    return h5py.File(folder / "x.h5")["x"]


def memory_map(folder):
    np.save(folder / "x.npy", X)
    return np.load(folder / "x.npy", mmap_mode="r")


@pytest.mark.parametrize(
    "made", [lambda _: Positions(), lambda _: Together(), shards, h5, memory_map]
)
def test_a_run_on_a_source_has_the_weights_of_a_run_on_the_array(tmp_path, whole, made):
    x = Source(made(tmp_path))
    parts = x.take(np.arange(60)), x.take(np.arange(60, 70))
    ours, history = run(tmp_path / "run", *parts, beta_warmup=1)
    check_equal(ours, whole[0])
    check_same(history, whole[1])


def test_a_source_needs_no_class_of_ours(tmp_path, whole):
    ours, _ = run(tmp_path, Positions(X[:60]), Together(X[60:]), beta_warmup=1)
    check_equal(ours, whole[0])


class Killed(Exception):
    pass


def kill_at(step):
    """Raises once a checkpoint of a step of the second epoch has been written."""
    write = Checkpoints.write_step

    def write_and_kill(self, done):
        write(self, done)
        if len(self.history) == 1 and self.first_step + done == step:
            raise Killed

    patch = pytest.MonkeyPatch()
    patch.setattr(Checkpoints, "write_step", write_and_kill)
    return patch


@pytest.mark.parametrize("of", ["array", "source"])
def test_a_run_killed_between_steps_goes_on_at_that_step(tmp_path, whole, of):
    def parts():
        return (X[:60], X[60:]) if of == "array" else (Positions(X[:60]), Positions(X[60:]))

    with kill_at(2).context() as patch, pytest.raises(Killed):
        patch.setattr(Checkpoints, "write_step", kill_at_write(2))
        run(tmp_path, *parts(), beta_warmup=1, save_minutes=0)
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["unfinished"]["step"] == 2 and len(state["history"]) == 1
    assert state["checkpoint"] == "epoch-00002-step-000000002.npz"
    x, x_validation = parts()
    second, history = run(tmp_path, x, x_validation, beta_warmup=1)
    check_equal(second, whole[0])
    check_same(history, whole[1])
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    if of == "source":  # 60 for the check at the door, 28 of the second epoch, 60 of the third
        assert len(x.read) == 1 + 60 + 28 + 60
