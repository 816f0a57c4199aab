"""Callbacks for `fit`: schedules of the loss, and a watch over latents that are given up."""

import keras
import numpy as np

from keras_vae.checks import check_number, check_whole
from keras_vae.evaluation import ACTIVE


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


class CollapseWatch(keras.callbacks.Callback):
    """Says at the end of each epoch how many latents, or codes, the model makes use of.

    A Gaussian latent's unit j is active if Var_x(E_q[z_j]) > 0.01 (Burda et al. 2015, arXiv
    1509.00519, section 4); of a VQ model the share of the codebook that the data is given. They
    are added to the epoch's logs, as `active_units` or `codebook_usage`, and so to the history.
    When less than `warn_below` of them are in use, a line says what may help.

    Args:
        x: data `(n, *data_shape)`, such as a thousand images of the validation set.
        warn_below: share of latents or codes below which to say so. Defaults to 0.5.

    Example:

    >>> model.fit(x, epochs=50, callbacks=[keras_vae.callbacks.CollapseWatch(x[:1000])])
    """

    def __init__(self, x, warn_below=0.5):
        super().__init__()
        self.x = x
        self.warn_below = check_number("warn_below", warn_below, 0, 1)

    def on_epoch_end(self, epoch, logs=None):
        latent = self.model.latent
        code = self.model.encode(self.x)
        if latent.stochastic:
            used, total = int(np.sum(np.var(code, axis=0) > ACTIVE)), code[0].size
            what, cure = "latents", "lower beta, warm up longer, or set free bits to 0.25"
            figure = {"active_units": used}
        else:
            used, total = len(np.unique(code)), latent.num_codes
            what, cure = "codes", "raise revive_below, or make the codebook smaller"
            figure = {"codebook_usage": used / total}
        if logs is not None:
            logs.update(figure)
        if used < self.warn_below * total:
            print(f"\n{total - used} of {total} {what} inactive: {cure}.", flush=True)
