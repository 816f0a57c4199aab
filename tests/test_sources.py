"""Training from images that are read by position: as from the same images in an array."""

import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import on_default_backend, quick_first

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
    """A model of the same first weights in every process, whatever ran in it before."""
    made, rng = keras_vae.mlp_vae((6, 5, 1), 2, (8,), **settings), np.random.default_rng(3)
    for weight in made.trainable_variables:
        weight.assign(rng.normal(0, 0.2, weight.shape))
    made.compile(keras.optimizers.Adam(1e-2))
    return made


def run(folder, x=X[:60], x_validation=X[60:], made=None, epochs=2, **options):
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


@pytest.fixture
def kill_at(monkeypatch):
    """A function that has runs killed once they are saved at a step of an epoch, from 0."""
    write = Checkpoints.write_step

    def kill_at(epoch, step):
        def write_and_kill(self, done):
            write(self, done)
            if len(self.history) == epoch and self.first_step + done == step:
                raise Killed

        monkeypatch.setattr(Checkpoints, "write_step", write_and_kill)

    return kill_at


def run_and_kill(folder, *parts, **options):
    with pytest.raises(Killed):
        run(folder, *parts, save_minutes=0, **options)


@pytest.mark.parametrize("of", quick_first(["source", "array"]))
def test_a_run_killed_in_mid_epoch_goes_on_at_the_step(tmp_path, whole, kill_at, of):
    def parts():
        return (X[:60], X[60:]) if of == "array" else (Positions(X[:60]), Positions(X[60:]))

    kill_at(1, 2)
    run_and_kill(tmp_path, *parts(), beta_warmup=1)
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["unfinished"]["step"] == 2 and len(state["history"]) == 1
    assert [path.name for path in tmp_path.glob("*.npz")] == [state["checkpoint"]]
    assert state["checkpoint"] == "epoch-00002-step-000000002.npz"
    x, x_validation = parts()
    second, history = run(tmp_path, x, x_validation, beta_warmup=1)
    check_equal(second, whole[0])
    check_same(history, whole[1])
    assert [entry["epoch"] for entry in history] == [1, 2]
    assert history[1]["seconds"] >= state["unfinished"]["seconds"] > 0
    if of == "source":  # all at the door, and then what is left of the second epoch
        left = np.random.default_rng([0, 1]).permutation(60)[32:]
        assert set(x.read[61:]) == set(left)


@pytest.mark.long
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="it takes one step at a time")
def test_a_run_of_several_steps_in_a_dispatch_goes_on_at_the_end_of_one(tmp_path, whole, kill_at):
    def joined():
        made = model()
        made.compile(keras.optimizers.Adam(1e-2), steps_per_execution=2)
        return made

    kill_at(1, 2)
    run_and_kill(tmp_path, made=joined(), beta_warmup=1)
    second, history = run(tmp_path, made=joined(), beta_warmup=1)
    check_equal(second, whole[0])
    check_same(history, whole[1])


@pytest.mark.long
def test_a_run_may_be_killed_again_and_again(tmp_path, whole, kill_at):
    for epoch, step in ((0, 1), (0, 3), (1, 2)):
        kill_at(epoch, step)
        run_and_kill(tmp_path, beta_warmup=1)
    second, history = run(tmp_path, beta_warmup=1)
    check_equal(second, whole[0])
    check_same(history, whole[1])


@pytest.mark.long
def test_averages_and_steps_left_out_go_on_in_mid_epoch(tmp_path, kill_at):
    def averaging():
        made = model(likelihood="gaussian")
        made.compile(keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9))
        return made

    x = np.random.default_rng(0).normal(size=X.shape).astype("float32")
    x[np.random.default_rng([0, 1]).permutation(60)[5]] *= 1e4  # in the first batch of epoch 2
    parts, options = (x[:60], x[60:]), {"skip_above": 1e4, "keep_best": True}
    once, expected = run(tmp_path / "once", *parts, averaging(), **options)
    assert [entry["skipped"] for entry in expected] == [1, 1]
    kill_at(1, 2)
    run_and_kill(tmp_path / "killed", *parts, averaging(), **options)
    again, history = run(tmp_path / "killed", *parts, averaging(), **options)
    check_equal(again, once)
    check_same(history, expected)


PROCESS = """
import os, signal, sys
import numpy as np
import test_sources
from keras_vae.training.checkpoints import Checkpoints
write = Checkpoints.write_step
def write_and_die(self, done):
    write(self, done)
    if len(self.history) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoints.write_step = write_and_die
test_sources.run(sys.argv[1], beta_warmup=1, save_minutes=0)
"""


@pytest.mark.long
def test_a_process_that_is_killed_in_mid_epoch_is_taken_up_by_another(tmp_path, whole):
    backend = {"KERAS_BACKEND": keras.backend.backend()}
    environment = os.environ | backend | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROCESS, str(tmp_path)]
    assert subprocess.run(command, env=environment, timeout=300).returncode == -signal.SIGKILL
    assert json.loads((tmp_path / "state.json").read_text())["unfinished"]["step"] == 1
    second, history = run(tmp_path, beta_warmup=1)
    check_equal(second, whole[0])
    check_same(history, whole[1])


class Faulty(Positions):
    def __getitem__(self, position):
        if position == 41 and len(self.read) > 61:  # after the check at the door
            raise OSError(5, "Input/output error", "/disk/shard-7")
        return super().__getitem__(position)


def test_the_error_of_a_source_is_raised_as_it_is(tmp_path):
    with pytest.raises(OSError, match="Input/output error: '/disk/shard-7'"):
        run(tmp_path, Faulty(X[:60]))


def test_examples_that_are_not_valid_are_refused_at_the_door_or_where_they_are_read(
    tmp_path, monkeypatch
):
    x = X[:60].astype("float32") / 255
    x[33, 2] = np.nan
    with pytest.raises(ValueError, match=r"Example 33 of x_train: x must be finite"):
        run(tmp_path / "run", Positions(x))
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(training.feeding, "_SAMPLE", 5)
    with pytest.raises(ValueError, match=r"Example 33 of x_train: x must be finite"):
        run(tmp_path / "run", Positions(x))
    for x, message in (
        (Positions(X[:60] % 2), "is uint8, which is read as images of 256 levels, but holds only"),
        (Positions(X[:60, 1:]), r"must have shape \(n, 6, 5, 1\)"),
        (Positions([*X[:9], X[9][1:]] * 6), "Example 9 of the source is uint8 of shape"),
        (Positions(X[:0]), "must hold at least one example"),
        (Positions([{}]), "as an array|must be an array of numbers"),
    ):
        monkeypatch.setattr(training.feeding, "_SAMPLE", 60)
        with pytest.raises(ValueError, match=message):
            run(tmp_path / "other", x)
    with pytest.raises(ValueError, match="has no 'picture'. It has: image, label"):
        Source(Positions(), "picture")


def test_what_needs_all_images_in_memory_is_refused(tmp_path):
    parts = data.Data(Source(Positions()), Source(Positions()))
    for options in ({"flips": True}, {"shifts": 1}):
        with pytest.raises(ValueError, match="shifts and flips make variants of images in memory"):
            training.default_recipe(parts, **options)
    recipe = training.default_recipe(parts, factory="mlp_vae", epochs=1)
    recipe["training"]["flips"] = True
    with pytest.raises(ValueError, match="shifts and flips make variants of images in memory"):
        training.follow(recipe, parts, tmp_path)
    with pytest.raises(ValueError, match="x_train is a source, so variants must be 1"):
        run(tmp_path, Positions(), variants=2)


def test_a_recipe_of_shards_is_that_of_pictures_and_begins_at_their_components(tmp_path):
    data.write_shards(X, tmp_path / "shards")
    parts = data.load(tmp_path / "shards")
    small = {"filters": [4], "hidden_units": [8], "latent_dim": 3}
    recipe = training.default_recipe(parts, arguments=small, epochs=1)
    arguments = recipe["model"]["arguments"]
    assert arguments["likelihood"] == "learned_gaussian" and arguments["linear"]
    assert recipe["training"]["shifts"] == 0
    of_shards, of_arrays = (training.recipes.build_stage(recipe) for _ in range(2))
    training.fit_linear(of_shards, parts.x_train, parts.x_validation)
    training.fit_linear(of_arrays, parts.x_train[:], parts.x_validation[:])
    check_equal(of_shards, of_arrays)


def test_a_source_is_known_by_some_of_its_images():
    def recipe(x):
        return training.default_recipe(data.Data(Source(Positions(x)), X[:3]))["data"]

    other = X.copy()
    other[40] += 1
    assert recipe(X) == recipe(X) != recipe(other)
    assert recipe(X) != recipe(X[:69])


def test_a_model_is_left_by_an_interrupted_first_epoch(tmp_path, kill_at):
    parts = data.Data(Source(Positions(X[:60])), X[60:])
    arguments = {"latent_dim": 2, "hidden_units": [4]}
    recipe = training.default_recipe(parts, factory="mlp_vae", arguments=arguments, epochs=2)
    kill_at(0, 1)
    with pytest.raises(Killed):
        training.follow(recipe, parts, tmp_path, save_minutes=0)
    made, history = training.restore(recipe, tmp_path, unfinished=True)
    assert history == [] and made.reconstruct(X[:2]).shape == (2, 6, 5, 1)


def test_methods_that_read_in_batches_take_a_source():
    made, x = model(), Source(Positions())
    np.testing.assert_array_equal(made.encode(x), made.encode(X))
    np.testing.assert_allclose(made.elbo(x, seed=1), made.elbo(X, seed=1), rtol=1e-5)


def test_fit_takes_batches_of_a_source():
    source, made = Positions(), model()
    x = data.Batches(Source(source), 16, seed=4, workers=2)
    assert len(x) == 5
    first = np.concatenate([np.asarray(x[i][0]) for i in range(5)])
    np.testing.assert_array_equal(first, X[np.random.default_rng([4, 0]).permutation(70)])
    history = made.fit(x, epochs=2, verbose=0, validation_data=(data.Batches(X, 32), None))
    last, before = source.read[-70:], source.read[-140:-70]
    assert sorted(last) == sorted(before) == list(range(70)) and last != before
    expected = made.evaluate(X, batch_size=32, verbose=0, return_dict=True)["loss"]
    assert history.history["val_loss"][1] == pytest.approx(expected, rel=1e-5)


def test_only_a_few_batches_are_read_ahead():
    x = Together(np.zeros((1000, 2), "uint8"))
    batches = backends.read_batches(Source(x), 10, lambda epoch: np.arange(1000), range(3))
    batches = iter(batches)
    for _ in range(20):
        next(batches)
    assert 200 <= len(x.read) <= 200 + 100


@on_default_backend
def test_a_sample_is_of_all_parts_of_a_source_and_the_first_of_an_array():
    numbers = np.arange(1000)
    assert sample(numbers, 5).tolist() == [0, 1, 2, 3, 4]
    drawn = sample(Source(Positions(numbers[:, None])), 200)[:, 0]
    assert len(set(drawn)) == 200 and (np.diff(drawn) > 0).all()
    assert all(((drawn >= low) & (drawn < low + 250)).sum() > 25 for low in range(0, 1000, 250))
    np.testing.assert_array_equal(sample(Source(Positions(numbers[:, None])), 2000)[:, 0], numbers)


@on_default_backend
def test_what_is_no_source_is_refused():
    for wrong in (3, "x", iter([1]), data.Batches(X)):
        with pytest.raises(ValueError, match="A source has a length"):
            Source(wrong)
