"""Training runs in a folder: resumed runs equal uninterrupted ones."""

import io
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import ON_DEFAULT_BACKEND, on_default_backend, quick_first
from PIL import Image
from rich.console import Console

import keras_vae
from keras_vae import data, training
from keras_vae.training import defaults, train
from keras_vae.training.checkpoints import Checkpoints, restore_checkpoint, write_checkpoint
from keras_vae.training.feeding import epochs_of_batches
from keras_vae.training.progress import Progress
from keras_vae.training.progress import _figures as figures

X = np.random.default_rng(0).integers(0, 256, (64, 6, 5, 1), dtype="uint8")


# Where to make a graph takes longer than the steps.
EAGERLY = {"run_eagerly": ON_DEFAULT_BACKEND}


def model(**options):
    keras.utils.set_random_seed(3)
    made = keras_vae.mlp_vae((6, 5, 1), 2, (8,))
    made.compile(keras.optimizers.Adam(1e-2), **{**EAGERLY, **options})
    return made


class Killed(Exception):
    pass


def run(folder, made=None, epochs=3, **kwargs):
    made = made or model()
    return made, train(made, X, X[:8], folder, epochs=epochs, batch_size=16, **kwargs)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, its model and its history."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, *run(folder, model(run_eagerly=False), beta_warmup=1)


def run_and_kill(folder, made, at_epoch, at_batch, **options):
    """Stops a run in the middle of an epoch, as a kill would."""

    def kill(self, batch, logs=None):
        if self.epoch == at_epoch and batch == at_batch:
            raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Progress, "on_train_batch_end", kill)
        run(folder, made, **options)


def check_equal(ours, theirs):
    for one, other in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_a_run_killed_in_mid_epoch_ends_as_an_uninterrupted_one(finished, tmp_path):
    _, whole, history = finished
    run_and_kill(tmp_path, model(), 1, 2, beta_warmup=1)
    second, resumed = run(tmp_path, beta_warmup=1)
    check_equal(second, whole)
    assert [entry["epoch"] for entry in resumed] == [1, 2, 3]
    assert resumed[-1]["loss"] == pytest.approx(history[-1]["loss"], rel=1e-5)


def averaging():
    made = model()
    made.compile(keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9), **EAGERLY)
    return made


@pytest.mark.parametrize("keep_best", quick_first([True, False]))
def test_a_run_that_averages_its_weights_validates_and_leaves_the_average(tmp_path, keep_best):
    made, history = run(tmp_path, averaging(), keep_best=keep_best)
    got = made.evaluate(X[:8], batch_size=500, verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(history[-1]["val_loss"], rel=1e-5)
    again, _ = run(tmp_path, averaging(), keep_best=keep_best)  # it is finished
    check_equal(again, made)
    # A checkpoint continues from the weights themselves.
    last = averaging()
    restore_checkpoint(last, next(tmp_path.glob("epoch-*.npz")))
    average, kept = (m.decoder.get_weights()[0] for m in (made, last))
    assert np.abs(kept - average).max() > 1e-3


@pytest.mark.long
def test_a_resumed_run_has_the_average_of_an_uninterrupted_one(tmp_path):
    whole, _ = run(tmp_path / "whole", averaging(), epochs=2)
    run_and_kill(tmp_path / "killed", averaging(), 1, 0, epochs=2)
    resumed, _ = run(tmp_path / "killed", averaging(), epochs=2)
    check_equal(resumed, whole)


def test_a_run_goes_on_where_its_outputs_are_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    assert len(run(tmp_path, epochs=1)[1]) == 1


def test_only_the_last_checkpoint_is_kept_and_a_finished_run_is_not_trained_again(finished):
    folder, made, _ = finished
    assert [path.name for path in folder.glob("*.npz")] == ["epoch-00003.npz"]
    again, history = run(folder, beta_warmup=1)
    assert len(history) == 3
    check_equal(again, made)


@pytest.mark.parametrize(("name", "example"), [("x_train", 61), ("x_validation", 3)])
def test_one_bad_example_among_many_is_named_and_nothing_is_written(tmp_path, name, example):
    parts = {"x_train": X / np.float32(255), "x_validation": X[:8] / np.float32(255)}
    parts[name][example, 2, 2] = np.nan
    with pytest.raises(ValueError, match=f"{name} must be finite.*in example {example}\\."):
        train(model(), *parts.values(), tmp_path / "run", epochs=1, batch_size=4)
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_trained_is_refused_before_anything_is_written(tmp_path):
    folder = tmp_path / "run"
    for option in ({"keep_best": True}, {"keep_start": True}, {"patience": 3}):
        with pytest.raises(ValueError, match="needs validation data: give x_validation"):
            train(model(), X, None, folder, epochs=1, **option)
    with pytest.raises(ValueError, match=r"not compiled: call model.compile\(optimizer\)"):
        train(keras_vae.mlp_vae((6, 5, 1), 2, (8,)), X, None, folder, epochs=1)
    unbuilt = keras_vae.VAE(*(keras.Sequential([keras.layers.Dense(4)]) for _ in range(2)))
    unbuilt.compile()
    with pytest.raises(ValueError, match="The model is not built"):
        train(unbuilt, X, None, folder, epochs=1)
    assert not folder.exists()


@pytest.mark.parametrize("content", ["{", "{}", '{"plan": {}, "checkpoint": "a", "history": 3}'])
def test_a_damaged_state_is_named(tmp_path, content):
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(ValueError, match="state.json"):
        run(tmp_path)


def test_a_folder_with_a_run_of_another_plan_is_refused(finished):
    with pytest.raises(ValueError, match=r"another plan \(run changed\)"):
        run(finished[0], plan={"model": "another"})


def test_beta_rises_over_the_warm_up_to_the_models_own(finished):
    _, made, history = finished
    betas = [(entry["loss"] - entry["distortion"]) / entry["rate"] for entry in history]
    np.testing.assert_allclose(betas, [0.5, 1.0, 1.0], rtol=1e-4)
    assert float(made.beta) == 1.0


def test_the_best_epoch_is_what_is_kept_if_asked_for(tmp_path, monkeypatch):
    seen = []

    write = Checkpoints.write

    def write_and_remember(self, name):
        write(self, name)
        seen.append(self.model.get_weights())

    monkeypatch.setattr(Checkpoints, "write", write_and_remember)
    made, history = run(tmp_path, unlearning(), epochs=4, keep_best=True)
    losses = [entry["val_loss"] for entry in history]
    best = int(np.argmin(losses))
    assert best == 1  # two epochs of four steps at the rate that learns
    assert training.best_epoch(history)["epoch"] == 2
    again, _ = run(tmp_path, unlearning(), epochs=4, keep_best=True)
    for one, other, expected in zip(made.get_weights(), again.get_weights(), seen[best]):
        np.testing.assert_array_equal(one, expected)
        np.testing.assert_array_equal(other, expected)


def unlearning():
    """A model that learns in the first two epochs of four steps, and then unlearns."""
    keras.utils.set_random_seed(3)
    made = keras_vae.mlp_vae((6, 5, 1), 2, (8,))
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([8], [0.01, -0.01])
    made.compile(keras.optimizers.SGD(rate), **EAGERLY)
    return made


def test_a_run_stops_where_val_loss_has_not_fallen_and_goes_on_with_more_patience(tmp_path):
    options = {"keep_best": True, "epochs": 9}
    made, history = run(tmp_path, unlearning(), patience=2, **options)
    assert training.best_epoch(history)["epoch"] == 2
    assert history[-1]["epoch"] == 4  # two epochs after the best
    again, same = run(tmp_path, unlearning(), patience=2, **options)
    assert same == history
    check_equal(again, made)
    longer, more = run(tmp_path, unlearning(), patience=3, **options)
    assert [entry["epoch"] for entry in more] == [1, 2, 3, 4, 5]
    check_equal(longer, made)


def test_a_run_goes_on_with_more_epochs_and_is_finished_with_fewer(tmp_path, finished):
    _, whole, history = finished
    run(tmp_path, epochs=2, beta_warmup=1)
    made, longer = run(tmp_path, epochs=3, beta_warmup=1)
    check_equal(made, whole)
    assert longer[-1]["loss"] == pytest.approx(history[-1]["loss"], rel=1e-5)
    again, same = run(tmp_path, epochs=1, beta_warmup=1)
    assert same == longer
    check_equal(again, made)


@pytest.mark.parametrize("given", [{"epochs": 0}, {"batch_size": 0}, {"epochs": -1}])
def test_no_epochs_and_no_batches_are_not_the_default(tmp_path, given):
    with pytest.raises(ValueError, match=f"{min(given)} must be a whole number >= 1"):
        training.train(model(), X, X[:8], tmp_path / "run", **given)
    with pytest.raises(ValueError, match=f"{min(given)} must be a whole number >= 1"):
        defaults.schedule(1000, **given)


def test_a_damaged_best_epoch_is_found_before_more_is_trained(tmp_path):
    run(tmp_path, epochs=1, keep_best=True)
    (tmp_path / "best.npz").write_bytes((tmp_path / "best.npz").read_bytes()[:100])
    with pytest.raises(ValueError, match="best.npz cannot be read"):
        run(tmp_path, epochs=3, keep_best=True)
    assert len(json.loads((tmp_path / "state.json").read_text())["history"]) == 1


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    for name in ("epoch-00001.npz", "best.npz", "state.json", "mine.npz"):
        (tmp_path / f".{name}.123.partial").write_bytes(b"half")
    run(tmp_path, epochs=1)
    assert [path.name for path in tmp_path.glob(".*")] == [".mine.npz.123.partial"]


def test_a_new_run_does_not_care_for_the_best_epoch_of_another(tmp_path):
    (tmp_path / "best.npz").write_bytes(b"of another run")
    run(tmp_path, epochs=1, keep_best=True)


@pytest.mark.parametrize("seed", [-1, 2**33, None, 1.5])
def test_the_seed_of_a_run_is_valid_on_every_backend(tmp_path, seed):
    with pytest.raises(ValueError, match="seed must be a whole number"):
        run(tmp_path / "run", seed=seed)
    assert not (tmp_path / "run").exists()


def test_the_start_is_epoch_0_if_asked_for_and_may_be_the_best(tmp_path):
    start = model()
    start.compile(keras.optimizers.SGD(-0.01))  # unlearns
    before = start.get_weights()
    made, history = run(tmp_path, start, epochs=2, keep_best=True, keep_start=True)
    assert [entry["epoch"] for entry in history] == [0, 1, 2]
    assert training.best_epoch(history)["epoch"] == 0
    for one, other in zip(made.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_progress_shows_the_losses_and_the_best_epoch_in_80_columns():
    history = [
        {"epoch": 136, "loss": -14951.234, "val_loss": -14950.5, "val_rate": 3.0},
        {"epoch": 137, "loss": -1234.567, "val_loss": float("nan"), "rate": 1.0},
    ]
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    checkpoints = Checkpoints(None, {}, history, None, 0, False)
    progress = Progress(1370, 27, checkpoints)
    progress.bar.live.console = console
    progress.on_epoch_begin(137)
    progress.on_train_batch_end(3)
    progress.bar.update(progress.task, figures=figures(history))
    console.print(progress.bar.get_renderable())
    line = console.file.getvalue().splitlines()[0]
    assert line.startswith("epoch 138/1370 ") and len(line) <= 80
    assert "loss -1234.6 val_loss nan best -14950 (136)" in line


def test_an_epoch_takes_one_variant_of_each_example():
    x = np.arange(30).reshape(30, 1)  # three variants of ten examples
    batches = [np.asarray(b[0])[:, 0] for b in epochs_of_batches(x, 4, 5, range(2), variants=3)]
    assert [len(batch) for batch in batches] == [4, 4, 2] * 2
    for epoch in (batches[:3], batches[3:]):
        assert sorted(np.concatenate(epoch) % 10) == list(range(10))
    assert len(set(np.concatenate(batches))) > 10


def test_every_epoch_records_the_time_and_the_memory_that_the_process_took(finished):
    *_, history = finished
    assert all(entry["seconds"] > 0 for entry in history)
    peaks = [entry["peak_memory_mb"] for entry in history]
    assert peaks == sorted(peaks)  # a peak does not come down
    assert 100 < peaks[0] < 100_000  # Python, NumPy and a backend take more than 100 MB


def test_the_state_says_on_what_the_run_was_made(finished):
    made_on = json.loads((finished[0] / "state.json").read_text())["made_on"]
    assert made_on["backend"] == keras.backend.backend() and made_on["keras"] == keras.version()
    assert made_on["machine"].startswith(f"{os.cpu_count()} CPU cores")


def test_an_epoch_that_diverged_is_not_the_best():
    history = [{"epoch": 1, "val_loss": float("nan")}, {"epoch": 2, "val_loss": 3.0}]
    assert training.best_epoch(history)["epoch"] == 2


def test_batches_come_in_the_order_of_seed_and_epoch_on_every_backend():
    got = [np.asarray(batch[0]) for batch in epochs_of_batches(X, 10, 5, range(1, 3))]
    expected = []
    for epoch in (1, 2):
        order = np.random.default_rng([5, epoch]).permutation(64)
        expected += [X[order[start : start + 10]] for start in range(0, 64, 10)]
    assert [len(batch) for batch in got] == 2 * [10, 10, 10, 10, 10, 10, 4]
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("n", "given", "expected"),
    [
        (50_000, {}, (20, 128)),
        (10_000, {}, (38, 128)),  # 79 steps an epoch: 3,000 in all
        (9_999, {}, (20, 32)),
        (695, {}, (137, 32)),
        (695, {"epochs": 3}, (3, 32)),
        (695, {"batch_size": 695}, (3000, 695)),
    ],
)
def test_few_images_get_smaller_batches_and_more_epochs(n, given, expected):
    assert training.schedule(n, **given) == expected


@pytest.mark.long
def test_pictures_get_a_likelihood_of_grey_values_unless_the_factory_has_one(make):
    for name in keras_vae.FACTORIES:
        arguments = training.picture_arguments(name)
        model = make(name, (8, 8, 3), **arguments)
        assert model.likelihood.observes == "reals"
        assert arguments in ({}, {"likelihood": "learned_gaussian"})


SMALL = {"latent_dim": 2, "hidden_units": [4]}


def test_python_trains_on_own_data_as_the_command_does(tmp_path):
    parts = data.Data(X[:48], X[48:])
    options = {"factory": "mlp_vae", "arguments": SMALL, "epochs": 2}
    recipe = training.default_recipe(parts, **options)
    assert recipe["model"]["arguments"]["input_shape"] == [6, 5, 1]
    model, history = training.follow(recipe, parts, tmp_path)
    assert model.made_by and len(history) == 2
    loss = model.evaluate(X[48:], batch_size=500, verbose=0, return_dict=True)["loss"]
    best = training.best_epoch(history)
    assert loss == pytest.approx(best["val_loss"], rel=1e-5)
    again, _ = training.restore(recipe, tmp_path)
    np.testing.assert_array_equal(again.reconstruct(X), model.reconstruct(X))


def test_a_recipe_identifies_own_data_by_its_content():
    parts = data.Data(X[:48], X[48:])
    other = parts._replace(x_validation=X[47:63])
    ours, same, theirs = (training.default_recipe(x)["data"] for x in (parts, parts, other))
    assert ours == same != theirs
    assert training.default_recipe(parts, "mnist")["data"] == {"name": "mnist"}


def test_pictures_get_the_same_recipe_in_python_as_in_the_command(tmp_path):
    for key, image in enumerate(X[:4]):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{key}.png")

    def arguments(parts, **options):
        return training.default_recipe(parts, **options)["model"]["arguments"]

    parts = data.load(tmp_path)
    assert parts.pictures
    expected = {"input_shape": [6, 5, 1], "likelihood": "learned_gaussian"}
    networks = {"hidden_units": [256], "kernel_size": 3}
    assert arguments(parts) == {**expected, "linear": True, "latent_dim": 10, **networks}
    assert arguments(parts, arguments={"latent_dim": 3})["latent_dim"] == 3
    of_map = {"latent_shape": [2, 2, 4]}
    assert arguments(parts, arguments=of_map) == {**expected, **of_map}
    assert training.default_recipe(parts, factory="mlp_vae")["model"]["arguments"] == expected
    chosen = arguments(parts, arguments={"likelihood": "bernoulli"})
    assert chosen == {"input_shape": [6, 5, 1], "likelihood": "bernoulli"}
    assert arguments(parts, factory="vq_vae") == {"input_shape": [6, 5, 1]}
    assert arguments(data.Data(X[:3], X[3:4])) == {"input_shape": [6, 5, 1]}


@pytest.mark.long
@on_default_backend
def test_the_package_has_training_without_a_further_import():
    code = "import keras_vae; print(keras_vae.training.default_recipe.__name__)"
    command, environment = [sys.executable, "-c", code], os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.stdout == "default_recipe\n", result.stderr


@pytest.mark.parametrize("policy", ["float32", "bfloat16", "mixed_float16"])
def test_a_checkpoint_has_every_number_of_model_and_optimizer(policy, tmp_path):
    def trained(seed):
        keras.config.set_dtype_policy(policy)
        try:
            made = model()
        finally:
            keras.config.set_dtype_policy("float32")
        made.fit(X[seed:], batch_size=16, verbose=0)
        return made

    def state(made):
        return [*made.variables, *made.optimizer.variables]

    first, second = trained(0), trained(8)
    write_checkpoint(first, tmp_path / "a.npz")
    restore_checkpoint(second, tmp_path / "a.npz")
    assert len(state(first)) > len(first.weights) + 2
    for ours, theirs in zip(state(second), state(first), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (ours, theirs)))
    with pytest.raises(ValueError, match="is the checkpoint of another model"):
        restore_checkpoint(averaging(), tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:99])
    with pytest.raises(ValueError, match=r"a\.npz cannot be read"):
        restore_checkpoint(second, tmp_path / "a.npz")
