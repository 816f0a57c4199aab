"""Schedules for the settings of an objective."""

import keras

from keras_vae.checks import check_whole


class Ramp(keras.callbacks.Callback):
    """Raises a setting of the objective from near 0 to the model's own, epoch by epoch.

    `Ramp("beta", 10)` is the warm-up of Bowman et al. 2016 (arXiv 1511.06349, section 3.1);
    `Ramp("beta", 5, period=10)` starts over every 10 epochs (Fu et al. 2019, arXiv 1903.10145);
    `Ramp("capacity", 100)` is the schedule of Burgess et al. 2018. In epoch e of the ramp, counted
    from 0, training uses (e + 1) / (epochs + 1) of the setting, and all of it after the ramp.
    Validation always uses all of it, so `val_loss` is comparable across epochs. The setting itself
    does not change: a model saved or interrupted in mid-ramp keeps its own.

    Args:
        name: of the setting: `"beta"`, `"capacity"` or another of `model.objective`.
        epochs: epochs of the ramp; 0 changes nothing.
        period: epochs after which the ramp starts over. Defaults to None, never.

    Raises:
        ValueError: if an argument is out of its range, or the model has no such setting.

    Example:

    >>> model.fit(x, epochs=50, callbacks=[keras_vae.callbacks.Ramp("beta", 10)])
    """

    def __init__(self, name, epochs, *, period=None):
        super().__init__()
        self.name = name
        self.epochs = check_whole("epochs", epochs, 0)
        self.period = None if period is None else check_whole("period", period, self.epochs + 1)

    def on_train_begin(self, logs=None):
        if self.model.objective.get(self.name) is None:
            raise ValueError(
                f"The objective of this model has no {self.name!r} to raise. Its settings: "
                f"{', '.join(self.model.objective.settings)}."
            )

    def on_epoch_begin(self, epoch, logs=None):
        epoch = epoch if self.period is None else epoch % self.period
        self.model.objective.ramp(self.name, min(1.0, (epoch + 1) / (self.epochs + 1)))

    def on_train_end(self, logs=None):
        self.model.objective.ramp(self.name)
