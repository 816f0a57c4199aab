"""A training run in a folder: every epoch is kept, a killed run goes on where it was."""

import json
import os
import sys
import time
from pathlib import Path

import keras
import numpy as np

from keras_vae.checks import check_whole
from keras_vae.files import write_json


def train(
    model, x, x_validation, folder, *, epochs, batch_size=128, seed=0, beta_warmup=0, plan=None
):
    """Trains a compiled model, keeping each epoch, and goes on from the last one kept.

    Shuffling and noise are set from `seed` and the epoch, so that a resumed run sees what an
    uninterrupted one would have seen.

    Args:
        model: a compiled `keras_vae.VAE`.
        x: training data `(n, *data_shape)`.
        x_validation: validation data, or None.
        folder: where checkpoints and `history.jsonl` go; made if it is not there.
        epochs: passes over `x`.
        batch_size: examples per step. Defaults to 128.
        seed: whole number. Defaults to 0.
        beta_warmup: epochs over which beta rises linearly to the model's. Defaults to 0.
        plan: anything JSON that identifies the run; a folder of another plan is refused.

    Returns:
        The history: a list with a dict of logs for each epoch.

    Raises:
        ValueError: if the folder holds a run of another plan.
    """
    epochs = check_whole("epochs", epochs, 1)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "n": len(x), "run": plan}
    history = _resume(model, folder, plan)
    beta = float(model.beta)
    with _Progress(epochs, -(-len(x) // batch_size)) as progress:
        for epoch in range(len(history), epochs):
            started = time.perf_counter()
            order = np.random.default_rng([seed, epoch]).permutation(len(x))
            for key, generator in enumerate((model.seed_generator, model.latent.seed_generator)):
                generator.state.assign(np.array([seed + 1, 2 * epoch + key << 20]))
            model.beta = beta * min(1.0, (epoch + 1) / (beta_warmup + 1))
            logs = model.fit(
                x[order],
                batch_size=batch_size,
                initial_epoch=epoch,
                epochs=epoch + 1,
                shuffle=False,
                validation_data=None if x_validation is None else (x_validation, None),
                validation_batch_size=500,
                verbose=0,
                callbacks=[progress],
            ).history
            entry = {"epoch": epoch + 1, **{name: values[-1] for name, values in logs.items()}}
            history.append({**entry, "seconds": round(time.perf_counter() - started, 3)})
            _keep(model, folder, plan, history)
            progress.report(history[-1])
    model.beta = beta
    return history


def _resume(model, folder, plan):
    state = folder / "state.json"
    if not state.exists():
        return []
    state = json.loads(state.read_text())
    if state["plan"] != plan:
        raise ValueError(
            f"{folder} holds a run of another plan: continue that one as it was, or choose an "
            f"empty folder. There: {state['plan']}. Received: {plan}"
        )
    model.optimizer.build(model.trainable_variables)
    model.load_weights(folder / state["checkpoint"])
    return state["history"]


def _keep(model, folder, plan, history):
    """Writes the checkpoint, then the state that names it, then removes the one before."""
    name = f"epoch-{len(history):05d}.weights.h5"
    partial = folder / f"partial-{name}"
    model.save_weights(partial)
    os.replace(partial, folder / name)
    write_json(folder / "state.json", {"plan": plan, "checkpoint": name, "history": history})
    for old in folder.glob("*epoch-*.weights.h5"):
        if old.name != name:
            old.unlink()


class _Progress(keras.callbacks.Callback):
    """A bar over all epochs in a terminal; a line for each epoch elsewhere."""

    def __init__(self, epochs, steps):
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.epochs, self.steps = epochs, steps
        self.terminal = sys.stderr.isatty()
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
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        done = self.epoch * self.steps + batch + 1
        self.bar.update(self.task, completed=done, epoch=f"{self.epoch + 1}/{self.epochs}")

    def report(self, entry):
        hidden = ("epoch", "seconds", "val_rate", "val_distortion")
        shown = [name for name in entry if name not in hidden]
        figures = "  ".join(f"{name} {entry[name]:.2f}" for name in shown)
        self.bar.update(self.task, figures=figures)
        if not self.terminal:
            done = f"epoch {entry['epoch']}/{self.epochs}"
            print(f"{done}  {figures}  {entry['seconds']:.1f} s", flush=True)
