"""The checkpoints of a run: each epoch is written to its folder, from which it resumes.

`state.json` names the checkpoint of the last epoch and holds the run's plan and history.
"""

import json
import math
import os
import shutil
import time
from pathlib import Path

import keras
import numpy as np

from keras_vae.files import read_json, write_json
from keras_vae.training.machine import made_on, peak_memory_mb

BEST = "best.weights.h5"
_STATE = {"plan": dict, "checkpoint": str, "history": list}


class Checkpoints(keras.callbacks.Callback):
    """Fixes the noise before each epoch, and writes a checkpoint after it.

    Args:
        folder: the run's folder.
        plan: what identifies the run, for `state.json`.
        history: logs of the epochs so far; each epoch is appended.
        seed: seed of the noise, with the number of the epoch.
        keep_best: whether to keep the weights of the epoch with the lowest `val_loss`.
    """

    def __init__(self, folder, plan, history, seed, keep_best):
        super().__init__()
        self.folder, self.plan, self.history, self.seed = folder, plan, history, seed
        self.keep_best = keep_best

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
        self.write(f"epoch-{epoch + 1:05d}.weights.h5")

    def write(self, name):
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


def resume(model, folder: Path, plan: dict) -> list:
    """Restores a model from the last checkpoint in a folder, if it has one.

    Returns:
        The history so far: a dict of logs for each epoch.

    Raises:
        ValueError: if the folder holds a run of another plan, or a damaged state.
    """
    if not (folder / "state.json").exists():
        return []
    state = read_state(folder)
    plan = json.loads(json.dumps(plan))
    if state["plan"] != plan:
        changed = [key for key in plan if state["plan"].get(key) != plan[key]]
        raise ValueError(
            f"{folder} holds a run of another plan ({', '.join(changed)} changed): resume that run "
            "with its own settings, or choose an empty folder."
        )
    restore_checkpoint(model, folder / state["checkpoint"])
    return state["history"]


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


def restore_checkpoint(model, checkpoint: Path):
    """Restores a compiled model and its optimizer from a checkpoint."""
    model.optimizer.build(model.trainable_variables)
    model.load_weights(checkpoint)


def best_epoch(history) -> dict:
    """Returns the logs of the epoch with the lowest `val_loss`, the first if there are several."""
    finite = [entry for entry in history if math.isfinite(entry["val_loss"])]
    return min(finite or history, key=lambda entry: entry["val_loss"])
