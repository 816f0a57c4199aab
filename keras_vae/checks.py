"""Checks of arguments and data; every message gives the rule, the value received and a remedy."""

import math
import numbers
import os
import re

import numpy as np

LARGEST_SEED = 2**31 - 1  # the limit of PyTorch
_LARGEST = float(np.finfo("float32").max)
_VALUES = 2**22  # that are checked at once


def shown(value):
    """A value as a message shows it: not all the numbers of an array."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and math.prod(filter(None, shape)) > 4:
        return f"an array of shape {tuple(shape)}"
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."


def check_whole(name, value, minimum):
    """Returns `value` as an int; ValueError unless it is a whole number >= `minimum`."""
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < minimum:
        raise ValueError(f"{name} must be a whole number >= {minimum}. Received: {shown(value)}")
    return int(value)


def check_number(name, value, minimum, maximum=math.inf):
    """Returns `value` as a float; ValueError unless it is in the bounds and float32 holds it."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not minimum <= value <= maximum or not abs(value) <= _LARGEST:
        bounds = f">= {minimum:g}" if maximum == math.inf else f"in [{minimum:g}, {maximum:g}]"
        bounds = "" if minimum == -math.inf else f" {bounds}"
        beyond = ", in float32" if number and _LARGEST < abs(value) < math.inf else ""
        raise ValueError(
            f"{name} must be a finite number{beyond}{bounds}. Received: {shown(value)}"
        )
    return float(value)


def check_flag(name, value):
    """Returns `value` as a bool; ValueError unless it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False. Received: {shown(value)}")
    return bool(value)


def check_sizes(name, values, minimum=1, allow_empty=False):
    """Returns `values` as a tuple of ints; ValueError unless all are whole and >= `minimum`."""
    if isinstance(values, numbers.Integral) and not isinstance(values, bool):
        values = (values,)
    if not isinstance(values, (tuple, list)) or not (values or allow_empty):
        raise ValueError(f"{name} must be a tuple of whole numbers. Received: {shown(values)}")
    return tuple(check_whole(f"each of {name}", value, minimum) for value in values)


def check_path(name, value):
    """Returns a name or path as a string; ValueError if it is neither."""
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    raise ValueError(f"{name} must be a name, an address or a path. Received: {shown(value)}")


def check_seed(seed):
    """Returns a training seed; ValueError unless it is None or valid on every backend."""
    if seed is None:
        return None
    seed = check_whole("seed", seed, 0)
    if seed > LARGEST_SEED:
        raise ValueError(f"seed must be a whole number <= {LARGEST_SEED:,}. Received: {seed}")
    return seed


def check_name(name):
    """Returns a model's name; ValueError unless it is valid as TensorFlow scope and file name."""
    if isinstance(name, str) and re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name):
        return name
    raise ValueError(
        "name must be up to 100 letters (a-z), digits, - and _, and start with a letter or digit. "
        f"Received: {name!r}"
    )


def get_part(what, identifier, base, kinds, rule):
    """Returns a part of a model, given its name, a dict with its name and arguments, or the part.

    Args:
        what: the kind of part, for the message.
        identifier: the value that the user passed.
        base: the base class of such parts.
        kinds: `{name: class}` of the built-in parts.
        rule: a sentence that says which values are valid.

    Raises:
        ValueError: if `identifier` is not a valid part.
    """
    if isinstance(identifier, base):
        return identifier
    arguments = dict(identifier) if isinstance(identifier, dict) else {"name": identifier}
    name = arguments.pop("name", None)
    if isinstance(name, str) and name in kinds:
        try:
            return kinds[name](**arguments)
        except TypeError as error:
            raise ValueError(f"{what} {name!r} does not take {arguments}: {error}") from error
    raise ValueError(f"{rule} Received: {shown(identifier)}")


def name_of_part(part, kinds):
    """The name of a part in `{name: class}`, or the name of its class if it is not there."""
    return {kind: name for name, kind in kinds.items()}.get(type(part), type(part).__name__)


def is_array(x):
    """Whether `x` is data held in memory (an array, list or tensor), not a pipeline of batches."""
    return isinstance(x, (list, tuple)) or hasattr(x, "__array__") or _is_tensor(x)


def as_array(x, name="x"):
    """Returns `x` (an array, a list or a tensor of any framework) as a NumPy array."""
    if not isinstance(x, np.ndarray):
        try:
            x = _to_numpy(x) if _is_tensor(x) else np.asarray(x)
        except Exception as error:
            raise ValueError(f"{name} cannot be read as an array: {error}") from error
    if isinstance(x, np.ma.MaskedArray):
        if np.ma.is_masked(x):
            raise ValueError(
                f"{name} has masked values, whose mask would be ignored. Fill them, such as with "
                f"{name}.filled(0), or leave out those examples."
            )
        x = x.data
    if x.dtype.kind not in "fiub" and x.dtype.name != "bfloat16":
        raise ValueError(
            f"{name} must be an array of numbers, such as float32 in [0, 1] or uint8. "
            f"Received dtype: {x.dtype}"
        )
    x = x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
    if x.dtype == np.uint64:  # which PyTorch barely supports
        return x.astype("int64" if x.size and x.max() < 2**63 else "float64")
    with np.errstate(over="ignore"):  # no backend has longdouble
        return x.astype("float64", copy=False) if x.dtype == np.longdouble else x


def as_float32(x, name):
    """Returns an array as float32; ValueError unless all of it is finite in float32."""
    with np.errstate(over="ignore"):
        x = x.astype("float32")
    if not np.isfinite(x).all():
        raise ValueError(
            f"{name} must be finite. Received values that are NaN, infinite or beyond float32."
        )
    return x


def scale(x):
    """Scales uint8 images to [0, 1] for display; casts everything else to float32."""
    values = x.astype("float32")
    return values / np.float32(255) if x.dtype == np.uint8 else values


def check_data(x, data_shape, likelihood, name="x", is_first=True):
    """Returns `x` as a NumPy array; ValueError unless it is a valid batch for the model.

    Args:
        x: the user's data.
        data_shape: shape of one example.
        likelihood: the likelihood, which defines the allowed values.
        name: the name of the data in the message.
        is_first: whether these are all of the data, or its first batch. A later batch may well hold
            black images only.
    """
    x = as_array(x, name)
    expected = ", ".join("any" if size is None else str(size) for size in ("n", *data_shape))
    fits = all(size in (None, got) for size, got in zip(data_shape, x.shape[1:]))
    if x.ndim != len(data_shape) + 1 or not fits:
        raise ValueError(
            f"{name} must have shape ({expected}). Received shape: {x.shape}."
            f"{_shape_advice(x.shape, tuple(data_shape), name)}"
        )
    if x.shape[0] == 0:
        raise ValueError(f"{name} must hold at least one example. Received shape: {x.shape}")
    if is_first and x.dtype == np.uint8 and x.max() == 1 and likelihood.uint8_scale == 255:
        raise ValueError(
            f"{name} is uint8, which is read as images of 256 levels, but holds only 0 and 1. Pass "
            f'{name}.astype("float32") if these are binary values.'
        )
    if x.dtype == np.uint8 or x.dtype == bool:
        likelihood.check_uint8(x)
        return x
    step = max(1, _VALUES // max(1, math.prod(x.shape[1:])))  # a copy of all may not fit in memory
    parts = [slice(start, start + step) for start in range(0, len(x), step)]
    bad = {}  # the number of values that are not finite, by example
    for part in parts:
        finite = _finite(x[part])
        if not finite.all():
            counts = np.sum(~finite.reshape(len(finite), -1), axis=1)
            bad |= {part.start + int(i): int(counts[i]) for i in np.flatnonzero(counts)}
    if bad:
        raise ValueError(
            f"{name} must be finite. Received {sum(bad.values())} values that are NaN, infinite or "
            f"beyond float32, the first in example {min(bad)}. Remove those examples."
        )
    for part in parts:
        try:
            likelihood.check(x[part])
        except ValueError:
            likelihood.check(x)  # whose message is about all values
    return x


def _finite(x):
    with np.errstate(over="ignore"):
        return np.isfinite(x.astype("float32") if x.dtype.itemsize > 4 else x)


def check_sample_weight(sample_weight, n):
    """Returns the weights, float32 `(n,)`; ValueError unless there is a finite one per example."""
    weights = as_array(sample_weight, "sample_weight").astype("float32")
    finite = np.isfinite(weights).all()
    if weights.shape not in ((n,), (n, 1)) or not finite:
        received = f"shape: {weights.shape}" if finite else "NaN or infinite weights"
        raise ValueError(
            f"sample_weight must hold one finite number per example, shape ({n},). "
            f"Received {received}"
        )
    return weights.reshape(n)


def check_axes(value, axes, what):
    """Returns a term of the loss; ValueError if it has other axes, which would broadcast."""
    if value is not None and len(value.shape) != axes:
        rule = _AXES[min(axes, 3)]
        raise ValueError(f"{what} must be {rule}. Received shape: {tuple(value.shape)}")
    return value


_AXES = (
    "one number",
    "one number per example, (n,)",
    "one per sample and example, (M, n)",
    "a code per sample and example, (M, n, *code_shape)",
)


def _shape_advice(shape, data_shape, name):
    if tuple(shape) == data_shape:
        return f" For a single example, pass {name}[None]; for a dataset, call .batch(128)."
    if tuple(shape[1:]) + (1,) == data_shape:
        return f" Add the channel axis: {name}[..., None]."
    channels_first = (*data_shape[-1:], *data_shape[:-1])
    if tuple(shape[1:]) == channels_first != data_shape:
        return f" The channels come last: np.moveaxis({name}, 1, -1)."
    if len(shape) > 1 and None not in data_shape and math.prod(shape[1:]) == math.prod(data_shape):
        return f" Perhaps {name}.reshape({('-1', *map(str, data_shape))})".replace("'", "") + "."
    return ""


def _is_tensor(x):
    from keras import ops  # here: `keras-vae --help` checks numbers without loading Keras

    return ops.is_tensor(x)


def _to_numpy(x):
    from keras import ops

    return ops.convert_to_numpy(x)
