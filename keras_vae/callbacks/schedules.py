"""Schedules for the settings of an objective."""

import keras

from keras_vae.checks import check_whole


class Ramp(keras.callbacks.Callback):
    """Raises a setting of the objective from near 0 to the model's own, in epochs or in steps.

    `Ramp("beta", 10)` is the warm-up of Bowman et al. 2016 (arXiv 1511.06349, section 3.1);
    `Ramp("beta", 5, period=10)` starts over every 10 epochs (Fu et al. 2019, arXiv 1903.10145);
    `Ramp("capacity", 100)` is the schedule of Burgess et al. 2018. In epoch e of the ramp, counted
    from 0, training uses (e + 1) / (epochs + 1) of the setting, and all of it after the ramp. With
    `steps` the same goes for training steps, which one `fit` counts from 0; if `compile` was given
    `steps_per_execution`, the share stays the same for so many steps.
    Validation always uses all of it, so `val_loss` is comparable across epochs. The setting itself
    does not change: a model saved or interrupted in mid-ramp keeps its own.

    Args:
        name: of the setting: `"beta"`, `"capacity"` or another of `model.objective`.
        epochs: epochs of the ramp; 0 changes nothing. Defaults to None, for `steps`.
        steps: training steps of the ramp, instead of epochs. Defaults to None.
        period: epochs, or steps, after which the ramp starts over. Defaults to None, never.

    Raises:
        ValueError: if an argument is out of its range, or the model has no such setting.

    Example:

    >>> model.fit(x, epochs=50, callbacks=[keras_vae.callbacks.Ramp("beta", 10)])
    """

    def __init__(self, name, epochs=None, *, steps=None, period=None):
        super().__init__()
        if (epochs is None) == (steps is None):
            raise ValueError(
                f"Give epochs or steps, one of them. Received epochs={epochs}, steps={steps}"
            )
        self.name, self.by_step = name, epochs is None
        self.length = check_whole(*(("steps", steps) if self.by_step else ("epochs", epochs)), 0)
        self.period = None if period is None else check_whole("period", period, self.length + 1)

    def on_train_begin(self, logs=None):
        if self.model.objective.get(self.name) is None:
            raise ValueError(
                f"The objective of this model has no {self.name!r} to raise. Its settings: "
                f"{', '.join(self.model.objective.settings())}."
            )

        self.before, self.steps = 0, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.before += self.steps
        if not self.by_step:
            self._raise(epoch)

    def on_train_batch_begin(self, batch, logs=None):
        step = self.before + batch
        # After the ramp nothing changes; on JAX, touching the model costs time.
        if self.by_step and (self.period or step <= self.length):
            self._raise(step)
        self.steps = batch + 1

    def on_epoch_end(self, epoch, logs=None):
        # With several steps per execution the last batch that began is not the last of the epoch.
        self.steps = (self.params or {}).get("steps") or self.steps

    @property
    def every_step(self):
        """Whether the ramp needs a call at every step: see `VAE.compile`."""
        return self.by_step

    def on_train_end(self, logs=None):
        self.model.objective.ramp(self.name)

    def _raise(self, done):
        done = done if self.period is None else done % self.period
        self.model.objective.ramp(self.name, min(1.0, (done + 1) / (self.length + 1)))
