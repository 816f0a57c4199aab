"""Checks of what Keras's training methods are given, before anything is trained."""

import inspect
import math
import types

import keras
import numpy as np
from keras import ops

from keras_vae import batches
from keras_vae.backends import calls_together, of_processes, shards
from keras_vae.checks import as_array, check_sample_weight, check_sizes, check_whole, is_array

# Numbers in the arguments of `fit` and `evaluate` that decide how many steps there are: the least
# that each may be.
_NUMBERS = {
    **dict.fromkeys(("batch_size", "steps_per_epoch", "steps"), 1),
    **dict.fromkeys(("validation_batch_size", "validation_steps", "validation_freq"), 1),
    **dict.fromkeys(("epochs", "initial_epoch"), 0),
}


class CallChecks:
    """The checks that `fit`, `evaluate`, `predict` and the batch methods of a `VAE` share."""

    def _check_logits(self, x):
        """Raises ValueError if a decoder that should return logits returns probabilities."""
        if self.likelihood.mean_activation != "sigmoid" or self.made_by or not self.built:
            return
        if self.__dict__.setdefault("_returns_logits", None) is self.decoder:
            return
        shape = (64, *(np.shape(x)[1:] if is_array(x) else self.data_shape))
        if None in shape:
            return  # a pipeline of images of any size
        data = np.random.RandomState(0).normal(0, 30, size=shape).astype("float32")
        code = self._code(ops.convert_to_tensor(data))
        outputs = self.decoder(self.latent.decoder_input(code))
        outputs = ops.convert_to_numpy(outputs).astype("float32")
        if outputs.min() == outputs.max():
            return  # a last layer of zeros, perhaps with a bias: it says nothing yet
        if outputs.min() >= 0 and outputs.max() <= 1:
            raise ValueError(
                f"A {type(self.likelihood).__name__} likelihood takes logits, and this decoder "
                f"returns numbers from {outputs.min():.3g} to {outputs.max():.3g} even for extreme "
                "data: probabilities. Leave out the sigmoid at its end; decode and reconstruct "
                "apply it."
            )
        self.__dict__["_returns_logits"] = self.decoder

    def _check_call(self, method, *args, **kwargs):
        """Checks the data of a call of a Keras method; returns its arguments by name."""
        arguments = inspect.signature(method).bind(self, *args, **kwargs).arguments
        arguments = {**arguments, **arguments.pop("kwargs", {})}
        del arguments["self"]
        for name, least in _NUMBERS.items():
            if isinstance(arguments.get(name), list):  # the epochs after which it validates
                check_sizes(name, arguments[name], least)
            elif arguments.get(name) is not None:
                arguments[name] = check_whole(name, arguments[name], least)
        y = arguments.pop("y", None)
        x, labels, sample_weight = self._check_triple(
            arguments["x"], y, arguments.pop("sample_weight", None)
        )
        if sample_weight is not None:
            arguments["sample_weight"] = sample_weight
        if arguments.get("class_weight") is not None:
            if y is None and is_array(x):
                raise ValueError("class_weight needs the labels: fit(x, y, class_weight=...).")
            labels = y
        share = arguments.get("validation_split")
        if share and is_array(x) and arguments.get("validation_data") is None:
            batches.split([x], share)
        if labels is not None:
            arguments["y"] = labels
        return {**arguments, "x": x}

    def _check_triple(self, x, y=None, sample_weight=None, name="x"):
        """Checks data and weights; returns placeholder labels if Keras needs them for weights."""
        batches.check_kind(x, name)
        if not is_array(x):
            return self._check_first_batch(x, name), y, sample_weight
        x = self._check_x(x, name)
        _check_no_target(x, y)
        if sample_weight is None:
            return x, None, None
        sample_weight = check_sample_weight(sample_weight, len(x))
        return x, np.zeros(len(x), "uint8"), sample_weight

    def _check_first_batch(self, pipeline, name):
        """Checks the first batch of a pipeline; the pipeline returned still yields that batch."""
        batches.check_pipeline(pipeline, name)
        is_dataset = isinstance(pipeline, keras.utils.PyDataset)
        if is_dataset:
            first = None if pipeline.num_batches == 0 else pipeline[0]
        else:
            first = next(iter(pipeline), None)
        if isinstance(pipeline, types.GeneratorType):
            pipeline = _chain(first, pipeline)
        if first is None:
            raise ValueError(f"{name} must hold at least one batch. Received an empty pipeline.")
        _, y, sample_weight = keras.utils.unpack_x_y_sample_weight(first)
        batch = self._check_x(batches.data_of(first, name), f"the first batch of {name}")
        _check_no_target(batch, y)
        if sample_weight is not None and type(sample_weight).__name__ != "PerReplica":
            check_sample_weight(sample_weight, len(batch))
        return pipeline


def check_shards(arguments, full_only=False):
    """Raises ValueError if the devices of `keras.distribution` cannot share the batches.

    Args:
        arguments: those of a training method.
        full_only: whether only full batches of the training data must be shared. Defaults to False.
    """
    x, held_out = arguments["x"], arguments.get("validation_data")
    if calls_together():
        check_alike(arguments)
    size, parts = arguments.get("batch_size"), shards()
    share = arguments.get("validation_split")
    if parts > 1 and share and held_out is None and is_array(x):
        (x,), held_out = batches.split([x], share)
    steps = arguments.get("steps_per_epoch") or arguments.get("steps")
    given = [("x", x, size or (is_array(x) and steps and math.ceil(len(x) / steps)) or 32)]
    if held_out is not None:
        size = arguments.get("validation_batch_size") or size or 32
        given.append(("validation_data", held_out[0], size))
    for name, array, size in given[:1] if full_only else given:
        count = len(array) if parts > 1 and is_array(array) else 0
        last = 0 if full_only else count % size
        if count and (size % parts or last % parts):
            rest = "" if full_only else " and the number of examples in the last batch"
            raise ValueError(
                f"{parts} devices share each batch: {parts} must divide batch_size{rest}. "
                f"Received: {name} of {count} examples, in batches of {size}."
            )


def check_alike(arguments):
    """Raises ValueError unless all processes of a training run are given the same numbers.

    Of pipelines without a length only the other numbers can be compared.

    Args:
        arguments: those of a training method.
    """
    own = {"x": arguments["x"], **{name: arguments.get(name) for name in _NUMBERS}}
    held_out = arguments.get("validation_data")
    own["validation_data"] = None if held_out is None else held_out[0]
    if not calls_together():  # each validates by itself
        own = {name: value for name, value in own.items() if not name.startswith("validation")}
    numbers = [len(v) if hasattr(v, "__len__") else int(v or 0) for v in own.values()]
    for name, values in zip(own, zip(*of_processes(numbers))):
        if len(set(values)) > 1:
            what = (
                f"{name} of one length" if name in ("x", "validation_data") else f"the same {name}"
            )
            raise ValueError(
                f"All processes must be given {what}, or they would wait for each other for ever. "
                f"Received, by process: {', '.join(map(str, values))}"
            )


def _chain(first, rest):
    yield first
    yield from rest


def _check_no_target(x, y):
    """Raises ValueError for a target other than the data, which would be ignored in silence."""
    if np.ndim(x) < 2 or np.shape(y) != np.shape(x):
        return
    if y is not x and not np.array_equal(as_array(y, "y"), x):
        raise ValueError(
            "y has the shape of x but other values: a VAE learns to reconstruct x, and ignores "
            "labels. Training towards another target, such as denoising, is not supported."
        )
