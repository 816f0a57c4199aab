"""A training run in a folder: every epoch is kept, a killed run goes on where it was."""

import json
import math
import os
import platform
import shutil
import sys
import time
from pathlib import Path

import keras
import numpy as np

from keras_vae.backends import accelerator
from keras_vae.callbacks import Ramp
from keras_vae.checks import check_data, check_whole
from keras_vae.files import read_json, write_json
from keras_vae.progress import in_terminal

BEST = "best.weights.h5"


def train(
    model,
    x,
    x_validation,
    folder,
    *,
    epochs,
    batch_size=128,
    seed=0,
    beta_warmup=0,
    keep_best=False,
    plan=None,
):
    """Trains a compiled model, keeping each epoch, and goes on from the last one kept.

    Shuffling and noise are set from `seed` and the epoch, so that a resumed run sees what an
    uninterrupted one would have seen. If the optimizer averages the weights (`use_ema=True`), the
    average is what is validated, and what the model is left with.

    Args:
        model: a compiled `keras_vae.VAE`.
        x: training data `(n, *data_shape)`.
        x_validation: validation data, or None.
        folder: where the checkpoint and `state.json` go; made if it is not there.
        epochs: passes over `x`.
        batch_size: examples per step. Defaults to 128.
        seed: whole number. Defaults to 0.
        beta_warmup: epochs over which beta rises linearly to the model's. Defaults to 0.
        keep_best: whether the model is left as it was after the epoch of the lowest `val_loss`,
            instead of the last. Needs validation data. Defaults to False.
        plan: anything JSON that identifies the run; a folder of another plan is refused.

    Returns:
        The history: a list with a dict of logs for each epoch.

    Raises:
        ValueError: if the data is not what the model takes, or the folder holds a run of another
            plan.
    """
    epochs, batch_size = check_whole("epochs", epochs, 1), check_whole("batch_size", batch_size, 1)
    # As a whole: `fit` sees batches drawn from it, of which it checks the first.
    x = check_data(x, model.data_shape, model.likelihood, "x_train")
    if x_validation is not None:
        x_validation = check_data(x_validation, model.data_shape, model.likelihood, "x_validation")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "n": len(x), "run": plan}
    history = _resume(model, folder, plan)
    if len(history) < epochs:
        run = _Run(folder, plan, history, seed, keep_best)
        _fit(model, x, x_validation, run, epochs, batch_size, seed, Ramp("beta", beta_warmup))
    if keep_best:
        model.load_weights(folder / BEST)
    finish(model)
    return history


def finish(model):
    """Leaves a model with what its training made: with the average of its weights, if one is kept.

    An optimizer of Keras keeps one with `use_ema=True`; checkpoints hold both.
    """
    model.optimizer.finalize_variable_values(model.trainable_variables)


def best_epoch(history) -> dict:
    """Returns the logs of the epoch with the lowest `val_loss`, the first of several."""
    finite = [entry for entry in history if math.isfinite(entry["val_loss"])]
    return min(finite or history, key=lambda entry: entry["val_loss"])


def _fit(model, x, x_validation, run, epochs, batch_size, seed, ramp):
    done, steps = len(run.history), math.ceil(len(x) / batch_size)
    # The average is what is validated, as it is what comes out.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # of loss scaling
    averaged = [keras.callbacks.SwapEMAWeights()] if optimizer.use_ema else []
    with _Progress(epochs, steps) as progress:
        # One fit for all epochs: at the end of each, TensorFlow was seen to wait for the thread
        # that tunes its input pipeline, about as long as the epoch had taken.
        model.fit(
            _batches(x, batch_size, seed, range(done, epochs)),
            steps_per_epoch=steps,
            initial_epoch=done,
            epochs=epochs,
            shuffle=False,
            validation_data=None if x_validation is None else (x_validation, None),
            validation_batch_size=500,
            verbose=0,
            callbacks=[ramp, *averaged, run, progress],
        )


def _batches(x, batch_size, seed, epochs):
    for epoch in epochs:
        order = np.random.default_rng([seed, epoch]).permutation(len(x))
        for start in range(0, len(x), batch_size):
            yield (x[order[start : start + batch_size]],)


def _resume(model, folder, plan):
    path = folder / "state.json"
    if not path.exists():
        return []
    state = read_json(path)
    kinds = {"plan": dict, "checkpoint": str, "history": list}
    if not all(isinstance(state.get(key), kind) for key, kind in kinds.items()):
        raise ValueError(f"{path} is damaged: it must hold {', '.join(kinds)}. Begin anew.")
    plan = json.loads(json.dumps(plan))
    if state["plan"] != plan:
        other = [key for key in plan if state["plan"].get(key) != plan[key]]
        raise ValueError(
            f"{folder} holds a run of another plan ({', '.join(other)} differ): continue that one "
            "as it was, or choose an empty folder."
        )
    model.optimizer.build(model.trainable_variables)
    model.load_weights(folder / state["checkpoint"])
    return state["history"]


class _Run(keras.callbacks.Callback):
    """Sets the noise before each epoch, and keeps the epoch after it."""

    def __init__(self, folder, plan, history, seed, keep_best):
        super().__init__()
        self.folder, self.plan, self.history, self.seed = folder, plan, history, seed
        self.keep_best = keep_best

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()
        states = [v for v in self.model.variables if v.name == "seed_generator_state"]
        for key, state in enumerate(states):  # also those of dropout
            state.assign(np.array([self.seed + 1, (epoch * len(states) + key) << 16]))

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.perf_counter() - self.started, 3)
        figures = {key: float(value) for key, value in logs.items()}
        used = {"seconds": seconds, "peak_memory_mb": _peak_memory_mb()}
        self.history.append({"epoch": epoch + 1, **figures, **used})
        self.keep(f"epoch-{epoch + 1:05d}.weights.h5")

    def keep(self, name):
        """Writes the checkpoint, then the state that names it, then removes the one before."""
        partial = self.folder / f"partial-{name}"
        self.model.save_weights(partial)
        if self.keep_best and best_epoch(self.history) is self.history[-1]:
            shutil.copyfile(partial, self.folder / f"partial-{BEST}")
            os.replace(self.folder / f"partial-{BEST}", self.folder / BEST)
        os.replace(partial, self.folder / name)
        state = {"plan": self.plan, "checkpoint": name, "history": self.history}
        state["made_on"] = made_on()
        write_json(self.folder / "state.json", state)
        for old in self.folder.glob("*epoch-*.weights.h5"):
            if old.name != name:
                old.unlink()


def made_on() -> dict:
    """What this process trains on: `backend`, `keras` and `machine`."""
    parts = [f"{os.cpu_count()} CPU cores", platform.machine(), accelerator()]
    return {
        "backend": keras.backend.backend(),
        "keras": keras.version(),
        "machine": ", ".join(part for part in parts if part),
    }


def _peak_memory_mb():
    """The most memory that this process has held, in 10^6 bytes; None where it cannot be told."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)


class _Progress(keras.callbacks.Callback):
    """A bar over all epochs in a terminal; a line for each epoch elsewhere."""

    async_safe = True  # Keras need not wait for the figures of a batch: a GPU would wait with it

    def __init__(self, epochs, steps):
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.epochs, self.steps = epochs, steps
        self.terminal = in_terminal(sys.stderr)
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %  {task.fields[figures]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not self.terminal,
        )
        self.task = self.bar.add_task("", total=epochs * steps, epoch=f"1/{epochs}", figures="")
        self.epoch = 0

    def __enter__(self):
        self.bar.start()
        return self

    def __exit__(self, *exception):
        self.bar.stop()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.started = epoch, time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        done = self.epoch * self.steps + batch + 1
        self.bar.update(self.task, completed=done, epoch=f"{self.epoch + 1}/{self.epochs}")

    def on_epoch_end(self, epoch, logs=None):
        hidden = ("val_rate", "val_distortion")
        figures = "  ".join(f"{k} {v:.2f}" for k, v in logs.items() if k not in hidden)
        self.bar.update(self.task, figures=figures)
        if not self.terminal:
            seconds = time.perf_counter() - self.started
            print(f"epoch {epoch + 1}/{self.epochs}  {figures}  {seconds:.1f} s", flush=True)
