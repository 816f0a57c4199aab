"""Training runs in a folder: resumed runs equal uninterrupted ones."""

import json
import os

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import training
from keras_vae.training import train

X = np.random.default_rng(0).integers(0, 256, (64, 6, 5, 1), dtype="uint8")


def model():
    keras.utils.set_random_seed(3)
    made = keras_vae.mlp_vae((6, 5, 1), 2, (8,))
    made.compile(keras.optimizers.Adam(1e-2))
    return made


class Killed(Exception):
    pass


def run(folder, made=None, epochs=3, **kwargs):
    made = made or model()
    return made, train(made, X, X[:8], folder, epochs=epochs, batch_size=16, **kwargs)


def test_a_run_killed_in_mid_epoch_ends_as_an_uninterrupted_one(tmp_path, monkeypatch):
    whole, history = run(tmp_path / "whole", beta_warmup=2)

    def kill(self, batch, logs=None):
        if self.epoch == 1 and batch == 2:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training._Progress, "on_train_batch_end", kill)
        run(tmp_path / "killed", beta_warmup=2)
    second, resumed = run(tmp_path / "killed", beta_warmup=2)

    for one, other in zip(whole.get_weights(), second.get_weights()):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    assert [entry["epoch"] for entry in resumed] == [1, 2, 3]
    assert resumed[-1]["loss"] == pytest.approx(history[-1]["loss"], rel=1e-5)


def averaging():
    made = model()
    made.compile(keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.9))
    return made


@pytest.mark.parametrize("keep_best", [False, True])
def test_a_run_that_averages_its_weights_validates_and_leaves_the_average(tmp_path, keep_best):
    made, history = run(tmp_path, averaging(), keep_best=keep_best)
    got = made.evaluate(X[:8], batch_size=500, verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(history[-1]["val_loss"], rel=1e-5)
    again, _ = run(tmp_path, averaging(), keep_best=keep_best)  # it was finished
    last = averaging()
    last.optimizer.build(last.trainable_variables)
    last.load_weights(next(tmp_path.glob("epoch-*.h5")))
    for one, other in zip(made.get_weights(), again.get_weights()):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    # A checkpoint goes on from the weights themselves.
    average, kept = (m.decoder.get_weights()[0] for m in (made, last))
    assert np.abs(kept - average).max() > 1e-3


def test_a_resumed_run_has_the_average_of_an_uninterrupted_one(tmp_path, monkeypatch):
    whole, _ = run(tmp_path / "whole", averaging())

    def kill(self, batch, logs=None):
        if self.epoch == 2:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training._Progress, "on_train_batch_end", kill)
        run(tmp_path / "killed", averaging())
    resumed, _ = run(tmp_path / "killed", averaging())
    for one, other in zip(whole.get_weights(), resumed.get_weights()):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_a_run_goes_on_where_its_outputs_are_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    assert len(run(tmp_path)[1]) == 3


def test_only_the_last_checkpoint_is_kept_and_a_finished_run_is_not_trained_again(tmp_path):
    made, _ = run(tmp_path)
    assert [path.name for path in tmp_path.glob("*.h5")] == ["epoch-00003.weights.h5"]
    again, history = run(tmp_path)
    assert len(history) == 3
    for one, other in zip(made.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(other, one)


@pytest.mark.parametrize(("name", "example"), [("x_train", 61), ("x_validation", 3)])
def test_one_bad_example_among_many_is_named_and_nothing_is_written(tmp_path, name, example):
    parts = {"x_train": X / np.float32(255), "x_validation": X[:8] / np.float32(255)}
    parts[name][example, 2, 2] = np.nan
    with pytest.raises(ValueError, match=f"{name} must be finite.*in example {example}:"):
        train(model(), *parts.values(), tmp_path / "run", epochs=1, batch_size=4)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", ["{", "{}", '{"plan": {}, "checkpoint": "a", "history": 3}'])
def test_a_damaged_state_is_named(tmp_path, content):
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(ValueError, match="state.json"):
        run(tmp_path)


def test_a_folder_with_a_run_of_another_plan_is_refused(tmp_path):
    run(tmp_path, plan={"model": "one"})
    with pytest.raises(ValueError, match="another plan"):
        run(tmp_path, plan={"model": "two"})


def test_beta_rises_over_the_warm_up_to_the_models_own(tmp_path):
    made, history = run(tmp_path, beta_warmup=1)
    betas = [(entry["loss"] - entry["distortion"]) / entry["rate"] for entry in history]
    np.testing.assert_allclose(betas, [0.5, 1.0, 1.0], rtol=1e-4)
    assert float(made.beta) == 1.0


def test_the_best_epoch_is_what_is_kept_if_asked_for(tmp_path, monkeypatch):
    seen = []

    def fresh():  # learns, and then unlearns
        keras.utils.set_random_seed(3)
        made = keras_vae.mlp_vae((6, 5, 1), 2, (8,))
        rate = keras.optimizers.schedules.PiecewiseConstantDecay([8], [0.01, -0.01])
        made.compile(keras.optimizers.SGD(rate))
        return made

    keep = training._Run.keep

    def keep_and_remember(self, name):
        keep(self, name)
        seen.append(self.model.get_weights())

    monkeypatch.setattr(training._Run, "keep", keep_and_remember)
    made, history = run(tmp_path, fresh(), epochs=4, keep_best=True)
    losses = [entry["val_loss"] for entry in history]
    best = int(np.argmin(losses))
    assert best == 1  # two epochs of four steps at the rate that learns
    assert training.best_epoch(history)["epoch"] == 2
    again, _ = run(tmp_path, fresh(), epochs=4, keep_best=True)
    for one, other, expected in zip(made.get_weights(), again.get_weights(), seen[best]):
        np.testing.assert_array_equal(one, expected)
        np.testing.assert_array_equal(other, expected)


def test_every_epoch_notes_the_time_and_the_memory_that_the_process_took(tmp_path):
    _, history = run(tmp_path)
    assert all(entry["seconds"] > 0 for entry in history)
    peaks = [entry["peak_memory_mb"] for entry in history]
    assert peaks == sorted(peaks)  # a peak does not come down
    assert 100 < peaks[0] < 100_000  # Python, NumPy and a backend take more than 100 MB


def test_the_state_says_on_what_the_run_was_made(tmp_path):
    run(tmp_path)
    made_on = json.loads((tmp_path / "state.json").read_text())["made_on"]
    assert made_on["backend"] == keras.backend.backend() and made_on["keras"] == keras.version()
    assert made_on["machine"].startswith(f"{os.cpu_count()} CPU cores")


def test_an_epoch_that_diverged_is_not_the_best():
    history = [{"epoch": 1, "val_loss": float("nan")}, {"epoch": 2, "val_loss": 3.0}]
    assert training.best_epoch(history)["epoch"] == 2
