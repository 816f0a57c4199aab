"""The checkpoints of a run: each epoch is written to its folder, from which it resumes.

`state.json` names the checkpoint of the last epoch and holds the run's plan and history.
"""

import json
import math
import shutil
import time
from pathlib import Path

import keras
import numpy as np

from keras_vae.files import read_json, replacing, write_json
from keras_vae.training.machine import made_on, peak_memory_mb

BEST = "best.npz"
_STATE = {"plan": dict, "checkpoint": str, "history": list}


class Checkpoints(keras.callbacks.Callback):
    """Fixes the noise before each epoch, and writes a checkpoint after it.

    Args:
        folder: the run's folder.
        plan: what identifies the run, for `state.json`.
        history: logs of the epochs so far; each epoch is appended.
        seed: seed of the noise, with the number of the epoch.
        keep_best: whether to keep the weights of the epoch with the lowest `val_loss`.
        patience: epochs without a lower `val_loss` after which training stops; 0: it does not.
    """

    def __init__(self, folder, plan, history, seed, keep_best, patience=0):
        super().__init__()
        self.folder, self.plan, self.history, self.seed = folder, plan, history, seed
        self.keep_best, self.patience = keep_best, patience

    def keep_start(self, x_validation):
        """Writes the model as it is as epoch 0, so that training cannot make it worse."""
        logs = self.model.evaluate(x_validation, batch_size=500, verbose=0, return_dict=True)
        figures = {f"val_{key}": float(value) for key, value in logs.items()}
        used = {"seconds": 0.0, "peak_memory_mb": peak_memory_mb()}
        self.history.append({"epoch": 0, **figures, **used})
        self.write("epoch-00000.npz")

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()
        states = [v for v in self.model.variables if v.name == "seed_generator_state"]
        for key, state in enumerate(states):  # dropout has one, too
            state.assign(np.array([self.seed + 1, (epoch * len(states) + key) << 16]))

    def on_epoch_end(self, epoch, logs=None):
        seconds = round(time.perf_counter() - self.started, 3)
        figures = {key: float(value) for key, value in logs.items()}
        used = {"seconds": seconds, "peak_memory_mb": peak_memory_mb()}
        self.history.append({"epoch": epoch + 1, **figures, **used})
        self.write(f"epoch-{epoch + 1:05d}.npz")
        if is_stalled(self.history, self.patience):
            self.model.stop_training = True

    def write(self, name):
        """Writes the checkpoint, then the state that names it, then removes the one before."""
        write_checkpoint(self.model, self.folder / name)
        if self.keep_best and best_epoch(self.history) is self.history[-1]:
            with replacing(self.folder / BEST) as partial:
                shutil.copyfile(self.folder / name, partial)
        state = {"plan": self.plan, "checkpoint": name, "history": self.history}
        state["made_on"] = made_on()
        write_json(self.folder / "state.json", state)
        for old in self.folder.glob("*epoch-*.npz"):
            if old.name != name:
                old.unlink()


def resume(model, folder: Path, plan: dict) -> list:
    """Restores a model from the last checkpoint in a folder, if it has one.

    Returns:
        The history so far: a dict of logs for each epoch.

    Raises:
        ValueError: if the folder holds a run of another plan, or a damaged state.
    """
    if not has_state(folder):
        return []
    state = read_state(folder)
    plan = json.loads(json.dumps(plan))
    if state["plan"] != plan:
        changed = ", ".join(dict.fromkeys(_changed(state["plan"], plan)))
        raise ValueError(
            f"{folder} holds a run of another plan ({changed} changed): resume that run "
            "with its own settings, or choose an empty folder."
        )
    restore_checkpoint(model, folder / state["checkpoint"])
    return state["history"]


def has_state(folder: Path) -> bool:
    """Whether a folder holds a run."""
    return (folder / "state.json").exists()


def read_state(folder: Path) -> dict:
    """Reads the state of a run: `plan`, `checkpoint`, `history` and `made_on`.

    Raises:
        ValueError: if it cannot be read or is damaged.
    """
    path = folder / "state.json"
    state = read_json(path)
    if not all(isinstance(state.get(key), kind) for key, kind in _STATE.items()):
        raise ValueError(f"{path} is damaged: it must hold {', '.join(_STATE)}. Start a new run.")
    return state


def write_checkpoint(model, path: Path):
    """Writes the state of a compiled model and its optimizer: the variables of both, in order.

    A ladder has over a thousand of them, for which Keras's file of weights takes over a second.
    """
    with replacing(path) as partial, open(partial, "wb") as file:
        np.savez(file, *map(keras.ops.convert_to_numpy, _variables(model)))


def restore_checkpoint(model, path: Path):
    """Restores what `write_checkpoint` wrote.

    Raises:
        ValueError: if it cannot be read, or is of another model.
    """
    variables = _variables(model)
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            values = [file[name] for name in file.files]
    except Exception as error:  # a damaged zip raises a dozen kinds
        raise ValueError(f"{path} cannot be read: {error}. Start a new run.") from error
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise ValueError(f"{path} is the checkpoint of another model. Start a new run.")
    for variable, value in zip(variables, values):
        if value.dtype.kind == "V":  # bfloat16, which NumPy's files do not know
            value = value.view(variable.dtype)
        variable.assign(value)


def _variables(model):
    model.optimizer.build(model.trainable_variables)
    return [*model.variables, *model.optimizer.variables]


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
