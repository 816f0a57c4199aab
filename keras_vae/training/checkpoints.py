"""The checkpoints of a run: it is written to its folder as it goes, and resumes from there.

`state.json` names the last checkpoint, says how far it is in its epoch (`unfinished`), and holds
the run's plan and history.
"""

import json
import math
import shutil
import time
from pathlib import Path

import keras
import numpy as np

from keras_vae.checks import is_array
from keras_vae.files import read_json, replacing, write_json
from keras_vae.training.machine import made_on, peak_memory_mb

BEST, STATE = "best.npz", "state.json"
_STATE = {"plan": dict, "checkpoint": str, "history": list}
_NOTHING = {"step": 0, "seconds": 0.0, "skipped": 0}  # of an epoch that begins
_METRIC = "metric_"


class Checkpoints(keras.callbacks.Callback):
    """Fixes the noise before each epoch; writes a checkpoint after it, and while it lasts.

    Args:
        folder: the run's folder.
        plan: what identifies the run, for `state.json`.
        history: logs of the epochs so far; each epoch is appended.
        unfinished: of the epoch that the model is in the middle of, `step`, `seconds`, `skipped`
            and `metrics`, as `resume` returns them; None if it begins one.
        seed: seed of the noise, with the number of the epoch.
        keep_best: whether to keep the weights of the epoch with the lowest `val_loss`.
        patience: epochs without a lower `val_loss` after which training stops; 0: it does not.
        save_minutes: after how many minutes an epoch that still goes on is saved.

    Attributes:
        first_step: the step of its epoch that training begins at, or goes on from.
    """

    every_step = False  # see `VAE.compile`: with several steps in a dispatch, it is saved after one

    def __init__(
        self, folder, plan, history, unfinished, seed, keep_best, patience=0, save_minutes=10
    ):
        super().__init__()
        self.folder, self.plan, self.history, self.seed = folder, plan, history, seed
        self.keep_best, self.patience, self.save_minutes = keep_best, patience, save_minutes
        self.unfinished = unfinished
        self.first_step = unfinished["step"] if unfinished else 0

    def keep_start(self, x_validation):
        """Writes the model as it is as epoch 0, so that training cannot make it worse."""
        size = {"batch_size": 500} if is_array(x_validation) else {}
        logs = self.model.evaluate(x_validation, **size, verbose=0, return_dict=True)
        figures = {f"val_{key}": float(value) for key, value in logs.items()}
        used = {"seconds": 0.0, "peak_memory_mb": peak_memory_mb()}
        self.history.append({"epoch": 0, **figures, **used})
        self.write("epoch-00000.npz")

    def on_epoch_begin(self, epoch, logs=None):
        self.saved = self.started = time.perf_counter()
        self.before, self.iterations = dict(_NOTHING), self._iterations()
        if self.unfinished:  # its noise goes on from the checkpoint
            self.before = {key: self.unfinished[key] for key in _NOTHING}
            metrics = zip(self.model.metrics_variables, self.unfinished["metrics"], strict=True)
            for variable, value in metrics:
                variable.assign(value)
            self.unfinished = None
            return
        states = [v for v in self.model.variables if v.name == "seed_generator_state"]
        for key, state in enumerate(states):  # dropout has one, too
            state.assign(np.array([self.seed + 1, (epoch * len(states) + key) << 16]))

    def on_train_batch_begin(self, batch, logs=None):
        # Not at its end: where no callback needs that, Keras does not wait for the step.
        if batch and time.perf_counter() - self.saved >= 60 * self.save_minutes:
            self.write_step(batch)

    def on_epoch_end(self, epoch, logs=None):
        figures = {key: float(value) for key, value in logs.items()}
        if "skipped" in figures:
            figures["skipped"] += self.before["skipped"]
        used = {"seconds": self._seconds(), "peak_memory_mb": peak_memory_mb()}
        self.history.append({"epoch": epoch + 1, **figures, **used})
        self.first_step = 0
        self.write(f"epoch-{epoch + 1:05d}.npz")
        if is_stalled(self.history, self.patience):
            self.model.stop_training = True

    def write_step(self, done):
        """Writes a checkpoint after so many steps of this `fit`, in the middle of an epoch."""
        step, epoch = self.first_step + done, epochs_done(self.history) + 1
        skipped = done - (self._iterations() - self.iterations)
        unfinished = {
            "step": step,
            "seconds": self._seconds(),
            "skipped": self.before["skipped"] + skipped,
        }
        self.write(f"epoch-{epoch:05d}-step-{step:09d}.npz", unfinished)
        self.saved = time.perf_counter()

    def write(self, name, unfinished=None):
        """Writes the checkpoint, then the state that names it, then removes the one before."""
        write_checkpoint(self.model, self.folder / name, with_metrics=unfinished is not None)
        if self.keep_best and unfinished is None and best_epoch(self.history) is self.history[-1]:
            with replacing(self.folder / BEST) as partial:
                shutil.copyfile(self.folder / name, partial)
        state = {"plan": self.plan, "checkpoint": name, "history": self.history}
        state |= {"unfinished": unfinished, "made_on": made_on()}
        write_json(self.folder / STATE, state)
        for old in self.folder.glob("*epoch-*.npz"):
            if old.name != name:
                old.unlink()

    def _seconds(self):
        return round(self.before["seconds"] + time.perf_counter() - self.started, 3)

    def _iterations(self):
        return int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))


def resume(model, folder: Path, plan: dict) -> tuple[list, dict | None]:
    """Restores a model from the last checkpoint in a folder, if it has one.

    Returns:
        The history so far, a dict of logs for each epoch; and, if the checkpoint is in the middle
        of an epoch, how far it is in it, as `Checkpoints` takes it, else None.

    Raises:
        ValueError: if the folder holds a run of another plan, or a damaged state.
    """
    if not has_state(folder):
        return [], None
    state = read_state(folder)
    check_plan(folder, state["plan"], plan)
    metrics = restore_checkpoint(model, folder / state["checkpoint"])
    unfinished = state.get("unfinished")
    return state["history"], unfinished and {**unfinished, "metrics": metrics}


def check_plan(folder: Path, theirs, ours):
    """Raises ValueError if the run in a folder has another plan, and says what differs."""
    ours = json.loads(json.dumps(ours))
    if theirs != ours:
        changed = ", ".join(dict.fromkeys(_changed(theirs, ours)))
        raise ValueError(
            f"{folder} holds a run of another plan ({changed} changed): use its own settings, or "
            "choose an empty folder."
        )


def has_state(folder: Path) -> bool:
    """Whether a folder holds a run."""
    return (folder / STATE).exists()


def place_of(folder: Path) -> str:
    """Says from where the run in a folder goes on, such as `"Step 1,200 of epoch 3"`."""
    state = read_state(folder)
    if not (unfinished := state.get("unfinished")):
        return "The last finished epoch"
    return f"Step {unfinished['step']:,} of epoch {epochs_done(state['history']) + 1}"


def read_state(folder: Path) -> dict:
    """Reads the state of a run: `plan`, `checkpoint`, `history`, `unfinished` and `made_on`.

    Raises:
        ValueError: if it cannot be read or is damaged.
    """
    path = folder / STATE
    state = read_json(path)
    unfinished = state.get("unfinished")  # older runs have none
    whole = unfinished is None or (
        isinstance(unfinished, dict) and _NOTHING.keys() <= unfinished.keys()
    )
    if not whole or not all(isinstance(state.get(key), kind) for key, kind in _STATE.items()):
        raise ValueError(f"{path} is damaged: it must hold {', '.join(_STATE)}. Start a new run.")
    return state


def write_checkpoint(model, path: Path, with_metrics=False):
    """Writes the state of a compiled model and its optimizer: the variables of both, in order.

    A ladder has over a thousand of them, for which Keras's file of weights takes over a second.

    Args:
        model: the model.
        path: the file.
        with_metrics: whether to write the sums of which its metrics are the means, too. Defaults to
            False.
    """
    metrics = model.metrics_variables if with_metrics else ()
    metrics = {f"{_METRIC}{key}": variable for key, variable in enumerate(metrics)}
    metrics = {name: keras.ops.convert_to_numpy(value) for name, value in metrics.items()}
    with replacing(path) as partial, open(partial, "wb") as file:
        np.savez(file, *map(keras.ops.convert_to_numpy, _variables(model)), **metrics)


def restore_checkpoint(model, path: Path) -> list:
    """Restores what `write_checkpoint` wrote.

    Returns:
        The values of the variables of the model's metrics, if they were written: `fit` resets them.

    Raises:
        ValueError: if it cannot be read, or is of another model.
    """
    values, metrics = read_checkpoint(model, path)
    for variable, value in zip(_variables(model), values):
        if value.dtype.kind == "V":  # bfloat16, which NumPy's files do not know
            value = value.view(variable.dtype)
        variable.assign(value)
    return metrics


def read_checkpoint(model, path: Path) -> tuple[list, list]:
    """Reads what `write_checkpoint` wrote, for `restore_checkpoint`, and changes nothing."""
    variables = _variables(model)
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            metrics = [file[name] for name in file.files if name.startswith(_METRIC)]
            values = [file[name] for name in file.files if not name.startswith(_METRIC)]
    except Exception as error:  # a damaged zip raises a dozen kinds
        raise ValueError(f"{path} cannot be read: {error}. Start a new run.") from error
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise ValueError(f"{path} is the checkpoint of another model. Start a new run.")
    return values, metrics


def _variables(model):
    build_optimizer(model)
    return [*model.variables, *model.optimizer.variables]


def build_optimizer(model):
    """Makes the variables of a model's optimizer, if it has none yet."""
    if not model.optimizer.built:  # built again, one of loss scaling would have its own twice
        model.optimizer.build(model.trainable_variables)


def remove_partial(folder: Path):
    """Removes what a process that was killed left half written in a run's folder."""
    for name in ("epoch-*", BEST, STATE):
        for path in folder.glob(f".{name}.*.partial"):
            path.unlink()


def best_epoch(history) -> dict:
    """Returns the logs of the epoch with the lowest `val_loss`, the first if there are several."""
    finite = [entry for entry in history if math.isfinite(entry["val_loss"])]
    return min(finite or history, key=lambda entry: entry["val_loss"])


def epochs_done(history) -> int:
    """Returns the number of epochs that a history ends with; epoch 0 is the start itself."""
    return history[-1]["epoch"] if history else 0


def is_stalled(history, patience) -> bool:
    """Whether the lowest `val_loss` is as many epochs ago as patience allows; 0 allows any."""
    if not (patience and history):
        return False
    return epochs_done(history) - best_epoch(history)["epoch"] >= patience


def _changed(old, new):
    """The names of the settings that differ, those inside of dicts by their own names."""
    for key in {**new, **old}:
        values = old.get(key), new.get(key)
        if all(isinstance(value, dict) for value in values):
            yield from _changed(*values)
        elif values[0] != values[1]:
            yield "data" if key == "sha256" else key  # of data without a name
