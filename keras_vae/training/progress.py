"""The progress of a run: a bar over all epochs in a terminal, a line per epoch elsewhere."""

import sys
import time

import keras

from keras_vae.progress import in_terminal

_HIDDEN = ("val_rate", "val_distortion")


class Progress(keras.callbacks.Callback):
    """Shows the progress of a run; a context in which the bar is visible."""

    async_safe = True  # Keras need not wait for the figures of a batch: a GPU would wait with it

    def __init__(self, epochs, steps):
        super().__init__()
        from rich import progress
        from rich.console import Console

        self.epochs, self.steps = epochs, steps
        self.terminal = in_terminal(sys.stderr)
        self.bar = progress.Progress(
            progress.TextColumn("epoch {task.fields[epoch]}"),
            progress.BarColumn(),
            progress.TextColumn("{task.percentage:3.0f} %  {task.fields[figures]}"),
            progress.TimeRemainingColumn(),
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
        figures = "  ".join(f"{k} {v:.2f}" for k, v in logs.items() if k not in _HIDDEN)
        self.bar.update(self.task, figures=figures)
        if not self.terminal:
            seconds = time.perf_counter() - self.started
            print(f"epoch {epoch + 1}/{self.epochs}  {figures}  {seconds:.1f} s", flush=True)
