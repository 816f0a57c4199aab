"""Leaves out training steps whose gradient is too large, and says how many."""

import math
import types

import keras
from keras import ops

from keras_vae.checks import check_number
from keras_vae.replicas import whole_gradients


class SkipSteps(keras.callbacks.Callback):
    """Leaves out each training step whose gradient is not finite, or has too large a norm.

    Deep hierarchies now and then have a gradient that is many times as large as usual, and one step
    with it can undo an epoch (Child 2021, arXiv 2011.10650). Such a step changes neither the
    weights nor the optimizer, nor does it count for the learning rate's schedule. A line at the end
    of an epoch says how many steps were left out, if any; their number is `skipped` in the epoch's
    logs. The norm is that of all gradients together, before clipping, and of the whole batch if
    several devices or processes share it.
    The loss is in nats per example: that of a new model of MNIST may have a norm above 1,000.

    Args:
        above: the largest norm with which a step is made. Defaults to None: any finite one.

    Raises:
        ValueError: if `above` is not a number above 0, or if the optimizer scales the loss, as
            under mixed_float16, where steps that are not finite are left out anyway.

    Example:

    >>> model.fit(x, epochs=50, callbacks=[keras_vae.callbacks.SkipSteps(above=1e4)])
    """

    every_step = False  # it needs the number of the last step only: see `VAE.compile`

    def __init__(self, above=None):
        super().__init__()
        self.above = math.inf if above is None else check_number("above", above, 0)
        if not self.above:
            raise ValueError("above must be a number above 0. Received: 0")

    def on_train_begin(self, logs=None):
        optimizer = self.model.optimizer
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            raise ValueError(
                "SkipSteps is not for an optimizer that scales the loss: it leaves out steps that "
                "are not finite by itself. Train in float32 or mixed_bfloat16."
            )
        optimizer.build(self.model.trainable_variables)
        apply, above = optimizer.apply, self.above
        variables = [*optimizer.variables, *self.model.trainable_variables]

        def apply_if_good(_, gradients, trainable_variables=None):
            before = [ops.copy(ops.convert_to_tensor(variable)) for variable in variables]
            good = _is_good(whole_gradients(gradients), above)
            apply(gradients, trainable_variables)
            for variable, value in zip(variables, before):
                variable.assign(ops.where(good, ops.convert_to_tensor(variable), value))

        self.apply, optimizer.apply = apply, types.MethodType(apply_if_good, optimizer)
        self.model.make_train_function(force=True)
        self.done = self._iterations()

    def on_epoch_begin(self, epoch, logs=None):
        self.steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps = batch + 1

    def on_epoch_end(self, epoch, logs=None):
        done = self._iterations()
        skipped, self.done = self.steps - (done - self.done), done
        if logs is not None:
            logs["skipped"] = skipped
        if skipped:
            rule = "was not finite" if math.isinf(self.above) else f"was above {self.above:g}"
            print(
                f"\nLeft out {skipped} of {self.steps} steps of epoch {epoch + 1}: the norm of the "
                f"gradient {rule}.",
                flush=True,
            )

    def on_train_end(self, logs=None):
        self.model.optimizer.apply = self.apply
        self.model.make_train_function(force=True)

    def _iterations(self):
        return int(ops.convert_to_numpy(self.model.optimizer.iterations))


def _is_good(gradients, above):
    squares = [ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients if g is not None]
    norm = ops.sqrt(sum(squares))  # infinite or NaN if one of them is
    return ops.logical_and(ops.isfinite(norm), norm <= above)
