"""A guard that stops a training run whose numbers are no longer finite, and undoes the damage."""

import keras
import numpy as np
from keras import ops

from keras_vae.checks import check_whole
from keras_vae.layer_places import layers_by_place


class NonFiniteGuard(keras.callbacks.Callback):
    """Stops `fit` at the first NaN or infinity, says where it is, and restores the last good state.

    It names the first term of the loss that is not finite: distortion, rate, then the latent's own
    terms and the loss. If the weights are not finite while the loss still is, it names the layer.
    Weights and optimizer are restored to the last copy that gave a finite loss.

    Args:
        every: steps between checks of the weights, each of which keeps a copy of them. Defaults to
            20. With 1 the layer named is the one in which it began.

    Example:

    >>> model.fit(x, epochs=50, callbacks=[keras_vae.callbacks.NonFiniteGuard()])
    """

    def __init__(self, every=20):
        super().__init__()
        self.every = check_whole("every", every, 1)

    def on_train_begin(self, logs=None):
        self.epoch, self.good, self.candidate, self.losses = 0, None, None, []
        bad = self._bad_layers()
        if bad:
            raise ValueError(
                f"The weights of {bad[0]} are not finite before the first step. Load or make the "
                "model again."
            )
        self.model.optimizer.build(self.model.trainable_variables)  # its state is copied too
        self.good = self._copy()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        terms = [name for name in ("distortion", "rate", *logs) if not np.isfinite(logs[name])]
        if terms:
            self._stop(batch, f"the {terms[0]} is {logs[terms[0]]:.3g}")
            return
        self.losses = [*self.losses[:1], float(logs["loss"])]  # the first and the last
        if self.candidate is not None:  # this loss was computed from it
            self.good, self.candidate = self.candidate, None
        if (batch + 1) % self.every == 0:
            bad = self._bad_layers()
            if bad:
                self._stop(batch, f"the weights of {bad[0]} are not finite")
            else:
                self.candidate = self._copy()

    def _stop(self, batch, reason):
        model = self.model
        for variable, value in zip(self._variables(), self.good):
            variable.assign(value)
        model.stop_training = True
        print(
            f"\nStopped in step {batch + 1} of epoch {self.epoch + 1}: {reason}. The last good "
            f"weights are restored. {self._advice()}",
            flush=True,
        )

    def _advice(self):
        """What may help, by what came before: a learning rate shows in steps that were made."""
        data = "in the data of this step (only the first batch of a pipeline is checked)"
        if not self.losses:
            return (
                "No step was made before, so the learning rate is not the cause: look for NaN "
                f"{data}, its weights, and layers or a likelihood of your own."
            )
        slower = "lower the learning rate, or give the optimizer a clipnorm."
        first, last = self.losses[0], self.losses[-1]
        if last - first > abs(first):
            return f"The loss had grown from {first:.3g} to {last:.3g}: {slower}"
        return f"The loss had not grown before: look for NaN {data}; if there is none, {slower}"

    def _variables(self):
        return [*self.model.variables, *self.model.optimizer.variables]

    def _copy(self):
        return [np.array(ops.convert_to_numpy(variable)) for variable in self._variables()]

    def _bad_layers(self):
        """Places of the innermost layers whose weights are not finite, in the model's order."""
        bad = [
            place
            for place, layer in layers_by_place(self.model).items()
            if not all(np.isfinite(ops.convert_to_numpy(w)).all() for w in layer.weights)
        ]
        return [place for place in bad if place and not any(f"{place}/" in other for other in bad)]
