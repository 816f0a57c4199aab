"""The progress of a run: a bar over all epochs in a terminal, a line per epoch elsewhere."""

import sys
import time

import keras

from keras_vae.progress import in_terminal
from keras_vae.training.checkpoints import best_epoch


class Progress(keras.callbacks.Callback):
    """Shows the progress of a run; a context in which the bar is visible.

    Args:
        epochs: number of epochs.
        steps: steps in each.
        checkpoints: the `Checkpoints` of the run, which know its history and first step.
    """

    every_step = False  # see `VAE.compile`
    async_safe = True  # Keras need not wait for the figures of a batch: a GPU would wait with it

    def __init__(self, epochs, steps, checkpoints):
        super().__init__()
        from rich import progress
        from rich.console import Console

        self.epochs, self.steps, self.checkpoints = epochs, steps, checkpoints
        self.terminal = in_terminal(sys.stderr)
        self.bar = progress.Progress(
            progress.TextColumn("epoch {task.fields[epoch]}"),
            progress.BarColumn(bar_width=6),
            progress.TextColumn("{task.fields[figures]}"),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not self.terminal,
        )
        figures = _figures(checkpoints.history)
        self.task = self.bar.add_task(
            "", total=epochs * steps, epoch=f"1/{epochs}", figures=figures
        )
        self.epoch = 0

    def __enter__(self):
        self.bar.start()
        return self

    def __exit__(self, *exception):
        self.bar.stop()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.started = epoch, time.perf_counter()
        self.before = self.epoch * self.steps + self.checkpoints.first_step

    def on_train_batch_end(self, batch, logs=None):
        done = self.before + batch + 1
        self.bar.update(self.task, completed=done, epoch=f"{self.epoch + 1}/{self.epochs}")

    def on_epoch_end(self, epoch, logs=None):
        figures = _figures(self.checkpoints.history)
        self.bar.update(self.task, figures=figures)
        if not self.terminal:
            seconds = time.perf_counter() - self.started
            print(f"epoch {epoch + 1}/{self.epochs}  {figures}  {seconds:.1f} s", flush=True)


def _figures(history):
    """Losses of the last epoch and the best one, short enough for a line of 80 characters."""
    if not history:
        return ""
    shown = [f"{key} {history[-1][key]:.5g}" for key in ("loss", "val_loss") if key in history[-1]]
    if "val_loss" in history[-1]:
        best = best_epoch(history)
        shown.append(f"best {best['val_loss']:.5g} ({best['epoch']})")
    return " ".join(shown)
