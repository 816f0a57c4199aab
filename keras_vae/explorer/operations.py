"""Operations of `keras.ops` that the page computes."""

import math
from typing import NamedTuple

import numpy as np
from keras import KerasTensor

from keras_vae.explorer.layers import elementwise, nothing
from keras_vae.explorer.refusals import NotExplorableError, refusal


class Call(NamedTuple):
    """What an operation was called with, and which of its outputs is meant."""

    args: tuple
    position: int


def describe_operation(operation, before, after, call) -> dict | None:
    """What an operation of `keras.ops` computes for one example, as `layers.describe_layer`.

    `call` says what it was called with, and which of its outputs is meant.
    """
    kind = type(operation).__name__
    if kind not in _OPERATIONS:
        raise NotExplorableError(
            f"The explorer does not compute {operation.name!r}, a {kind} of keras.ops. It "
            f"computes: {', '.join(sorted(_OPERATIONS))}."
        )
    # The shape of one example in a batch of its own.
    shapes = [tuple(size or 1 for size in t.shape) for t in before]
    shape = tuple(size or 1 for size in after.shape)
    return _OPERATIONS[kind](operation, shapes, shape, call)


def _product(operation, before, after, call):
    if len(before) == 1:  # with a number
        factor = next(value for value in call.args if not isinstance(value, KerasTensor))
        if np.ndim(factor) == 0:
            return {"kind": "scale", "by": float(factor)}
    return elementwise(operation, before, after, call)


def _pairwise(operation, before, after, call):
    if len(before) == 1:
        raise refusal(operation, "inputs of shapes", before, "inputs of one shape")
    return elementwise(operation, before, after, call)


def _clipping(operation, before, after, call):
    return {"kind": "clip", "low": operation.x_min, "high": operation.x_max}


def _slice(operation, before, after, call):
    """A range of the last axis, or the only item of the first."""
    key = call.args[1]
    if key == 0 and before[0][0] == 1:
        return None
    is_range = isinstance(key, tuple) and len(key) == 2 and key[0] is Ellipsis
    if not is_range or not isinstance(key[1], slice) or key[1].step not in (None, 1):
        raise refusal(operation, "key", key, "a range of the last axis")
    first, end, _ = key[1].indices(before[0][-1])
    return {"kind": "slice", "width": before[0][-1], "first": first, "end": end}


def _splitting(operation, before, after, call):
    if operation.axis not in (-1, len(after) - 1):
        raise refusal(operation, "axis", operation.axis, -1)
    width, ends = before[0][-1], operation.indices_or_sections
    if isinstance(ends, int):
        ends = range(width // ends, width, width // ends)
    ends = [0, *ends, width]
    first, end = ends[call.position : call.position + 2]
    return {"kind": "slice", "width": width, "first": int(first), "end": int(end)}


def _joining(operation, before, after, call):
    if operation.axis not in (-1, len(after) - 1):
        raise refusal(operation, "axis", operation.axis, -1)
    return {"kind": "concatenate", "widths": [shape[-1] for shape in before]}


def _repeating(operation, before, after, call):
    if math.prod(before[0]) != math.prod(after):
        raise refusal(operation, "shape", after, f"as many numbers as {before[0]}")


_OPERATIONS = {  # of keras.ops, by the names of their classes, which are not public
    "Add": _pairwise,
    "BroadcastTo": _repeating,
    "Cast": nothing,
    "Clip": _clipping,
    "Concatenate": _joining,
    "Exp": lambda *_: {"kind": "activation", "activation": "exponential"},
    "GetItem": _slice,
    "Multiply": _product,
    "Reshape": nothing,
    "Split": _splitting,
    "StopGradient": nothing,
    "Subtract": _pairwise,
}
