"""A watch over latents, or codes, that the model gives up."""

import keras
import numpy as np

from keras_vae.checks import check_number
from keras_vae.evaluation import ACTIVE


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
