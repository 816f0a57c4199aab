"""JAX: arrays that `fit` and `evaluate` keep on the device, so that only indices go there."""

import math

import jax
import keras
import numpy as np
from jax import numpy as jnp

from keras_vae.backends.jax_dispatch import DataAdapter, Dispatch, can_join
from keras_vae.backends.jax_shards import Batches, shards, takes_any_batch
from keras_vae.batches import orders_of_batches, split
from keras_vae.checks import check_whole, is_array

_SHARE = 4  # arrays take at most one in so many of the bytes that are free on the device ...
_BYTES = 2**30  # ... or so many, where it does not say what is free, as a CPU
_VALUES = 2**24  # of data in a dispatch: a GPU waits for Python where batches are small
_STEPS = 64  # of a dispatch, at most: callbacks and Ctrl-C wait for its end
_MOMENTS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


class OrderedBatches:
    """Batches `(x,)` of an array for a range of epochs; `order(epoch)` gives the order of each."""

    def __init__(self, x, batch_size, order, epochs):
        self.x, self.batch_size, self.order, self.epochs = x, batch_size, order, epochs

    def __iter__(self):
        for indices in orders_of_batches(self.batch_size, self.order, self.epochs):
            yield (self.x[indices],)


def steps_of_dispatch(model, arguments):
    """The `steps_per_execution` for a call of `fit` or `evaluate`, given its arguments.

    That of `compile`, if it was given there. Else as many as have 2^24 values, at most 64: on an
    accelerator, where all data are arrays that it holds and no callback must see every step.
    """
    wanted = model.steps_wanted or (None if jax.default_backend() == "cpu" else "auto")
    if wanted != "auto" or model.steps_per_execution != 1:
        return model.steps_per_execution
    callbacks = jax.tree.leaves(arguments.get("callbacks"))
    arrays, held_out = _adapters(model, arguments)
    streams = held_out is not None and not isinstance(held_out, _Arrays)
    if arrays is None or streams or any(map(_sees_steps, callbacks)):
        return 1
    return arrays.best_number()


def pipe_arrays(arguments, model=None):
    """Replaces arrays in the arguments of `fit` or `evaluate` with such that stay on the device.

    They do on an accelerator, and on a CPU if a dispatch has several steps. Else Keras takes the
    batches from them, and so it does in `predict`, which gives no model. Under `keras.distribution`
    they are, as are pipelines, made `Batches`.
    """
    if model is not None and shards() > 1 and takes_any_batch():
        return _to_share(arguments)
    x, at_once = arguments["x"], 1 if model is None else model.steps_per_execution
    arrays = held_out = None
    if model is not None and (at_once > 1 or jax.default_backend() != "cpu"):
        arrays, held_out = _adapters(model, arguments)
    if arrays is None or not arrays.divides(at_once):
        return {**arguments, "x": iter(x)} if isinstance(x, OrderedBatches) else arguments
    of_arrays = ("y", "sample_weight", "validation_split", "batch_size", "validation_batch_size")
    arguments = {name: value for name, value in arguments.items() if name not in of_arrays}
    arguments["x"] = arrays.put(at_once)
    if isinstance(held_out, _Arrays):
        arguments["validation_data"] = held_out.put(at_once)
    if at_once > 1:
        arguments["callbacks"] = _counted(model, arguments)
    return arguments


def _to_share(arguments):
    """Replaces the data in the arguments of `fit` or `evaluate` with `Batches`."""
    arguments, held_out = dict(arguments), arguments.get("validation_data")
    x, size, steps = arguments.pop("x"), arguments.pop("batch_size", None), arguments.get("steps")
    parts = [x, arguments.pop("y", None), arguments.pop("sample_weight", None)]
    if is_array(x) and (share := arguments.pop("validation_split", 0.0)) and held_out is None:
        parts, held_out = split(parts, share)
    if isinstance(x, OrderedBatches):
        parts[0] = (batch for batch in x)
    arguments["x"] = Batches(
        *parts,
        batch_size=size,
        steps_per_epoch=arguments.get("steps_per_epoch", steps),
        shuffle=arguments.get("shuffle", False),
        class_weight=arguments.pop("class_weight", None),
    )
    if held_out is not None:
        size = arguments.pop("validation_batch_size", None) or size
        steps = arguments.get("validation_steps")
        held_out = Batches(*held_out, batch_size=size, steps_per_epoch=steps)
        arguments["validation_data"] = held_out
    return arguments


class _Arrays(DataAdapter or object):
    """Arrays of which Keras takes a `Dispatch` at a time.

    Args:
        arrays: x, or x and sample weights, on the host.
        batch_size: as Keras is given it, or None.
        epoch: steps of an epoch, as Keras is given them, or None.
        training: whether the next epoch goes on where one that was given its steps has ended.
        shuffle: whether each pass has an order of its own, of NumPy's global generator.
        ordered: the `OrderedBatches` of all epochs instead, or None.
    """

    def __init__(self, arrays, batch_size, epoch, training, shuffle=False, ordered=None):
        self.arrays, self.epoch, self.training = arrays, epoch, training
        self.shuffle, self.ordered, self.n = shuffle, ordered, len(arrays[0])
        if ordered is not None:
            batch_size, self.n = ordered.batch_size, len(ordered.order(ordered.epochs.start))
        batch_size = batch_size or (math.ceil(self.n / epoch) if epoch else 32)
        self._batch_size = check_whole("batch_size", batch_size, 1)
        self._steps = math.ceil(self.n / self._batch_size)

    def put(self, at_once):
        """Copies the arrays to the device, for dispatches of so many steps."""
        x, *weight = (jnp.array(array) for array in self.arrays)
        self.arrays, self.at_once = (x, None, *weight) if weight else (x,), at_once
        return self

    def divides(self, at_once):
        """Whether dispatches of so many steps end where epochs and passes end."""
        ends_with_data = self.epoch in (None, self._steps) or not self.training
        return ends_with_data or math.gcd(self._steps, self.epoch) % at_once == 0

    def best_number(self):
        """The number of steps in a dispatch that suits these arrays."""
        values = self._batch_size * math.prod(self.arrays[0].shape[1:])
        most = max(1, min(_STEPS, _VALUES // values))
        # Each number is compiled by itself: rather one that divides the number of full batches.
        full = self.n // self._batch_size
        fitting = [k for k in range(most // 2 + 1, min(most, full) + 1) if full % k == 0]
        best = max(fitting, default=math.ceil(self._steps / math.ceil(self._steps / most)))
        return best if self.divides(best) else max(filter(self.divides, range(1, most + 1)))

    def get_jax_iterator(self, **_):
        if self.ordered is not None:
            for epoch in self.ordered.epochs:
                yield from self._dispatches(self.ordered.order(epoch))
        elif self.shuffle:  # the permutation that Keras would draw, when it would
            yield from self._dispatches(np.random.permutation(self.n))
        else:
            yield from self._dispatches(np.arange(self.n))

    def _dispatches(self, order):
        order, size = order.astype("int32"), self._batch_size
        full = self.n // size
        batches, rest = order[: full * size].reshape(full, size), order[full * size :]
        steps = self._steps if self.training else self.in_epoch
        for start in range(0, steps, self.at_once):
            end = min(start + self.at_once, steps)
            blocks = [batches[start:end]] if start < full else []
            yield Dispatch(self.arrays, [*blocks, rest[None]] if end > full else blocks)

    @property
    def in_epoch(self):
        """The number of steps in an epoch."""
        return self._steps if self.epoch is None else min(self.epoch, self._steps)

    @property
    def num_batches(self):
        return None if self.ordered is not None else self._steps  # None: it goes on

    @property
    def batch_size(self):
        return self._batch_size

    @property
    def has_partial_batch(self):
        return self.n % self._batch_size > 0

    @property
    def partial_batch_size(self):
        return self.n % self._batch_size or None


class _Counted(keras.callbacks.CallbackList):
    """Tells callbacks the last step that was made: Keras counts every dispatch as full."""

    def __init__(self, *args, last, **kwargs):
        super().__init__(*args, **kwargs)
        self.last = last

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(min(batch, self.last["train"]), logs)

    def on_test_batch_end(self, batch, logs=None):
        super().on_test_batch_end(min(batch, self.last["test"]), logs)


def _counted(model, arguments):
    """The callbacks as Keras would list them, told true numbers of steps."""
    callbacks = arguments.get("callbacks")
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    adapters = {"train": arguments["x"], "test": arguments.get("validation_data")}
    in_fit = "shuffle" in arguments
    if not in_fit:
        adapters = {"test": arguments["x"]}
    last = {name: adapter.in_epoch - 1 for name, adapter in adapters.items() if adapter}
    return _Counted(
        callbacks,
        add_history=in_fit,
        add_progbar=arguments.get("verbose", "auto") != 0,
        verbose=arguments.get("verbose", "auto"),
        epochs=arguments.get("epochs", 1),
        steps=arguments["x"].in_epoch,
        model=model,
        last=last,
    )


def _adapters(model, arguments):
    """The data and validation data of `fit` or `evaluate`; (None, None) if they must not stay.

    Validation data that is a pipeline is returned as it is.
    """
    x, held_out = arguments["x"], arguments.get("validation_data")
    ordered = x if isinstance(x, OrderedBatches) else None
    training, shuffle = "shuffle" in arguments, arguments.get("shuffle", False)
    to_keras = shuffle == "batch" or arguments.get("class_weight") is not None
    debugging = keras.config.max_steps_per_epoch() is not None
    if not (ordered or is_array(x)) or to_keras or debugging or not can_join(model):
        return None, None
    parts = [x.x] if ordered else [x, arguments.get("sample_weight")]
    if (share := arguments.get("validation_split")) and held_out is None:
        parts, (x_test, weight_test) = split(parts, share)
        held_out = (x_test, None, weight_test)
    steps = arguments.get("steps_per_epoch") or arguments.get("steps")
    size = arguments.get("batch_size")
    arrays = _Arrays(_given(parts), size, steps, training, shuffle, ordered)
    size = arguments.get("validation_batch_size") or size
    nbytes = sum(array.nbytes for array in arrays.arrays)
    if held_out is not None and is_array(held_out[0]):
        held_out = _Arrays(_given(held_out), size, arguments.get("validation_steps"), False)
        nbytes += sum(array.nbytes for array in held_out.arrays)
    return (arrays, held_out) if nbytes <= _room() else (None, None)


def _given(parts):
    """Data, and sample weights if there are any; labels are left out."""
    return [parts[0], *(part for part in parts[1:][-1:] if part is not None)]


def _room():
    """The bytes on the device that arrays may take."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" not in stats:
        return _BYTES
    return (stats["bytes_limit"] - stats.get("bytes_in_use", 0)) // _SHARE


def _sees_steps(callback):
    """Whether a callback must be called at every step."""
    if isinstance(callback, keras.callbacks.ProgbarLogger):
        return False
    if getattr(callback, "save_freq", None) == "epoch":  # ModelCheckpoint, BackupAndRestore
        return False
    if hasattr(callback, "every_step"):  # of this library
        return callback.every_step
    own, base = type(callback), keras.callbacks.Callback
    return any(
        name in vars(callback) or getattr(own, name, None) is not getattr(base, name)
        for name in _MOMENTS
    )
