"""A watch over latents, or codes, that the model does not use."""

import keras
import numpy as np

from keras_vae.batches import check_end, check_kind
from keras_vae.checks import check_number


class CollapseWatch(keras.callbacks.Callback):
    """Says at the end of each epoch how much of its latent the model uses.

    The latent itself defines use: of a Gaussian one, latent j is active if Var_x(E_q[z_j]) > 0.01
    (Burda et al. 2015, arXiv 1509.00519, section 5); of a VQ model, codes are in use that the data
    is assigned to. The figures (`active_units`, or `perplexity` and `codebook_usage`) are added to
    the epoch's logs, and so to the history. If less than `warn_below` of the latents or codes is
    in use, a line says what may help.

    Args:
        x: data `(n, *data_shape)`, such as a thousand images of the validation set; or a pipeline
            of batches that can be read at every epoch.
        warn_below: share of latents or codes below which to warn. Defaults to 0.5.

    Raises:
        ValueError: if `x` has no end or can be read only once, as a generator.

    Example:

    >>> model.fit(x, epochs=50, callbacks=[keras_vae.callbacks.CollapseWatch(x[:1000])])
    """

    def __init__(self, x, warn_below=0.5):
        super().__init__()
        check_kind(x)
        check_end(x)
        if hasattr(x, "__next__"):
            raise ValueError(
                f"x is read at every epoch, and a {type(x).__name__} can be read once: pass an "
                "array, a dataset, or list(...) of its batches joined with np.concatenate."
            )
        self.x = x
        self.warn_below = check_number("warn_below", warn_below, 0, 1)

    def on_epoch_end(self, epoch, logs=None):
        use = self.model.latent.use(self.model.encode(self.x))
        if logs is not None:
            logs.update(use.figures)
        used, total = int(np.sum(use.values > use.threshold)), np.size(use.values)
        if used < self.warn_below * total:
            print(f"\n{total - used} of {total} {use.unit}s inactive: {use.advice}.", flush=True)
