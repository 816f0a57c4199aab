"""Schedules of what the loss weighs."""

import keras

from keras_vae.checks import check_whole


class Ramp(keras.callbacks.Callback):
    """Raises a number of the loss from near 0 to what the model was made with, epoch by epoch.

    `Ramp("beta", 10)` is the warm-up of Bowman et al. 2016 (arXiv 1511.06349, section 3.1);
    `Ramp("beta", 5, period=10)` starts anew every 10 epochs (Fu et al. 2019, arXiv 1903.10145);
    `Ramp("capacity", 100)` is the schedule of Burgess et al. 2018. In epoch e of the ramp, from 0,
    the number is (e + 1) / (epochs + 1) of the model's, at most all of it. After `fit` it is the
    model's again.

    Args:
        name: `"beta"` or `"capacity"`.
        epochs: epochs of the ramp; 0 changes nothing.
        period: epochs after which the ramp starts anew. Defaults to None, never.

    Raises:
        ValueError: if an argument is out of its range, or the model has no such number.

    Example:

    >>> model.fit(x, epochs=50, callbacks=[keras_vae.callbacks.Ramp("beta", 10)])
    """

    def __init__(self, name, epochs, *, period=None):
        super().__init__()
        if name not in ("beta", "capacity"):
            raise ValueError(f'name must be "beta" or "capacity". Received: {name!r}')
        self.name = name
        self.epochs = check_whole("epochs", epochs, 0)
        self.period = None if period is None else check_whole("period", period, self.epochs + 1)

    def on_train_begin(self, logs=None):
        if getattr(self.model, self.name) is None:
            raise ValueError(f"The model was made without {self.name}: there is nothing to raise.")
        self.full = float(getattr(self.model, self.name))

    def on_epoch_begin(self, epoch, logs=None):
        epoch = epoch if self.period is None else epoch % self.period
        setattr(self.model, self.name, self.full * min(1.0, (epoch + 1) / (self.epochs + 1)))

    def on_train_end(self, logs=None):
        setattr(self.model, self.name, self.full)
