"""Describes a Keras network as a list of plain operations that the page computes in turn."""

import math
from typing import NamedTuple

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from keras_vae.networks.ladder import smooth_log_var

_NAMES = (
    *("linear", "relu", "silu", "gelu", "tanh", "sigmoid", "elu", "leaky_relu", "softplus"),
    *("selu", "mish", "softsign", "relu6", "hard_sigmoid", "exponential"),
)
ACTIVATIONS = {name: keras.activations.get(name) for name in _NAMES}
ACTIVATIONS["smooth_log_var"] = smooth_log_var


class NotExplorableError(ValueError):
    """A model that the explorer cannot show. The message says why, and what would work."""


def describe(network, input_shape, store) -> dict:
    """Returns a network's operations, in an order in which they can be computed.

    Args:
        network: an encoder or a decoder: any Keras model or layer, or a function of these and of
            operations of `keras.ops`.
        input_shape: shape of one example that it is given.
        store: the `packing.Store` that takes the weights.

    Returns:
        `nodes`, a dict for each operation: its `kind`, the numbers of the nodes that it takes as
        input, `of` (the network's input is number 0, the first node number 1), and its weights and
        settings; and `outputs`, the numbers of the nodes that are the network's outputs.

    Raises:
        NotExplorableError: if the page does not compute one of the layers.
    """
    inputs = keras.Input(input_shape, batch_size=1)
    outputs = keras.tree.flatten(network(inputs))
    trace = _Trace(store)
    trace.numbers[id(inputs)] = 0
    return {"outputs": [trace.number(tensor) for tensor in outputs], "nodes": trace.nodes}


def get_activation_name(function, where) -> str:
    """The name of an activation that the page computes; NotExplorableError for any other."""
    for name, known in ACTIVATIONS.items():
        if known is function:
            return name
    raise NotExplorableError(
        f"The explorer does not compute the activation of {where}, "
        f"{getattr(function, '__name__', function)!r}. It computes: {', '.join(ACTIVATIONS)}."
    )


class _Call(NamedTuple):
    """What an operation was called with, and which of its outputs is meant."""

    args: tuple
    position: int


class _Trace:
    """Walks from outputs back to inputs. Each tensor is described once, after those it needs."""

    def __init__(self, store, nodes=None):
        self.store = store
        self.nodes = [] if nodes is None else nodes
        self.numbers = {}  # {id of a tensor: number of the node that computes it}
        self.inner = {}  # {network and call: its trace}

    def number(self, tensor):
        waiting = [tensor]  # no recursion, which a deep network would exhaust
        while waiting:
            tensor = waiting[-1]
            layer, call, position = tensor._keras_history
            before = layer._inbound_nodes[call].input_tensors
            missing = [t for t in before if id(t) not in self.numbers]
            if id(tensor) in self.numbers:
                waiting.pop()
            elif missing:
                waiting += reversed(missing)
            else:
                self.numbers[id(tensor)] = self._describe(tensor, layer, call, position)
        return self.numbers[id(tensor)]

    def _describe(self, tensor, layer, call, position):
        node = layer._inbound_nodes[call]
        before = node.input_tensors
        of = [self.numbers[id(t)] for t in before]
        if _is_network(layer):
            # A nested network, whose inputs are these tensors. It may be called more than once.
            if (id(layer), call) not in self.inner:
                inner = self.inner[id(layer), call] = _Trace(self.store, self.nodes)
                inner.numbers = {id(t): k for t, k in zip(layer.inputs, of)}
            return self.inner[id(layer), call].number(layer.outputs[position])
        if isinstance(layer, keras.layers.Layer):
            made = self._of_layer(layer, before, tensor)
        else:
            made = _of_operation(layer, before, tensor, _Call(node.arguments.args, position))
        if made is None:
            return of[0]
        self.nodes.append({"of": of, **made})
        return len(self.nodes)

    def _of_layer(self, layer, before, after):
        """What a layer computes; None if it leaves its numbers, and their order, as they are."""
        kind = next((kind for kind in _KINDS if type(layer) is kind), None)
        if kind is None:
            known = ", ".join(sorted(kind.__name__ for kind in _KINDS))
            raise NotExplorableError(
                f"The explorer does not compute the layer {layer.name!r}, a "
                f"{type(layer).__name__}. It computes: {known}, and networks of these."
            )
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise _refusal(layer, "data_format", layer.data_format, "channels_last")
        shapes = [tuple(t.shape[1:]) for t in before]
        return _KINDS[kind](layer, shapes, tuple(after.shape[1:]), self.store)


def _of_operation(operation, before, after, call):
    """What an operation of `keras.ops` computes for one example, as `_Trace._of_layer`."""
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


def _is_network(layer):
    return isinstance(layer, keras.Model) and hasattr(layer, "inputs") and bool(layer.inputs)


def _dense(layer, before, after, store):
    return {
        "kind": "dense",
        "units": layer.units,
        "kernel": store.add(ops.convert_to_numpy(layer.kernel)),
        **_bias_and_activation(layer, store),
    }


def _convolution(layer, before, after, store):
    _check_plain(layer)
    if layer.groups != 1:
        raise _refusal(layer, "groups", layer.groups, 1)
    # With "same", the smaller half of the padding comes before the first pixel.
    excess = [
        max((o - 1) * s + k - i, 0) // 2 if layer.padding == "same" else 0
        for i, o, k, s in zip(before[0], after, layer.kernel_size, layer.strides)
    ]
    kernel = ops.convert_to_numpy(layer.kernel)
    return _sweep("convolution", layer, kernel, before[0], after, excess, store)


def _transposed(layer, before, after, store):
    _check_plain(layer)
    if layer.output_padding is not None:
        raise _refusal(layer, "output_padding", layer.output_padding, None)
    excess = [
        max(k - s, 0) // 2 if layer.padding == "same" else 0
        for k, s in zip(layer.kernel_size, layer.strides)
    ]
    kernel = ops.convert_to_numpy(layer.kernel).swapaxes(2, 3)  # (rows, columns, in, out)
    return _sweep("transposed", layer, kernel, before[0], after, excess, store)


def _sweep(kind, layer, kernel, before, after, excess, store):
    return {
        "kind": kind,
        "from": before,
        "to": after,
        "size": layer.kernel_size,
        "strides": layer.strides,
        "before": excess,
        "kernel": store.add(kernel),
        **_bias_and_activation(layer, store),
    }


def _activation(layer, before, after, store):
    return {"kind": "activation", "activation": _name(layer)}


def _elementwise(layer, before, after, store):
    if any(shape != after for shape in before):
        raise _refusal(layer, "inputs of shapes", before, "inputs of one shape")
    return {"kind": type(layer).__name__.lower()}


def _concatenation(layer, before, after, store):
    if layer.axis not in (-1, len(after)):
        raise _refusal(layer, "axis", layer.axis, -1)
    return {"kind": "concatenate", "widths": [shape[-1] for shape in before]}


def _upsampling(layer, before, after, store):
    if layer.interpolation != "nearest":
        raise _refusal(layer, "interpolation", layer.interpolation, "nearest")
    return {"kind": "upsample", "from": before[0], "size": layer.size}


def _einsum(layer, before, after, store):
    """A product, number by number, with a kernel of the last axes."""
    values, axes, result = layer.equation.replace("->", ",").split(",")
    bias = () if layer.bias is None else tuple(layer.bias.shape)
    if values != result or not values.endswith(axes) or bias != after[len(after) - len(bias) :]:
        raise _refusal(layer, "equation", layer.equation, "ab,b->ab, or others of the last axes")
    kernel = store.add(ops.convert_to_numpy(layer.kernel))
    return {"kind": "affine", "kernel": kernel, **_bias_and_activation(layer, store)}


def _cropping(layer, before, after, store):
    corner = [first for first, _ in layer.cropping]
    return {"kind": "crop", "from": before[0], "to": after, "corner": corner}


def _nothing(layer, before, after, _):
    return None


def _product(operation, before, after, call):
    if len(before) == 1:  # with a number
        factor = next(value for value in call.args if not isinstance(value, KerasTensor))
        if np.ndim(factor) == 0:
            return {"kind": "scale", "by": float(factor)}
    return _elementwise(operation, before, after, call)


def _pairwise(operation, before, after, call):
    if len(before) == 1:
        raise _refusal(operation, "inputs of shapes", before, "inputs of one shape")
    return _elementwise(operation, before, after, call)


def _clipping(operation, before, after, call):
    return {"kind": "clip", "low": operation.x_min, "high": operation.x_max}


def _slice(operation, before, after, call):
    """A range of the last axis, or the only item of the first."""
    key = call.args[1]
    if key == 0 and before[0][0] == 1:
        return None
    is_range = isinstance(key, tuple) and len(key) == 2 and key[0] is Ellipsis
    if not is_range or not isinstance(key[1], slice) or key[1].step not in (None, 1):
        raise _refusal(operation, "key", key, "a range of the last axis")
    first, end, _ = key[1].indices(before[0][-1])
    return {"kind": "slice", "width": before[0][-1], "first": first, "end": end}


def _splitting(operation, before, after, call):
    if operation.axis not in (-1, len(after) - 1):
        raise _refusal(operation, "axis", operation.axis, -1)
    width, ends = before[0][-1], operation.indices_or_sections
    if isinstance(ends, int):
        ends = range(width // ends, width, width // ends)
    ends = [0, *ends, width]
    first, end = ends[call.position : call.position + 2]
    return {"kind": "slice", "width": width, "first": int(first), "end": int(end)}


def _joining(operation, before, after, call):
    if operation.axis not in (-1, len(after) - 1):
        raise _refusal(operation, "axis", operation.axis, -1)
    return {"kind": "concatenate", "widths": [shape[-1] for shape in before]}


def _repeating(operation, before, after, call):
    if math.prod(before[0]) != math.prod(after):
        raise _refusal(operation, "shape", after, f"as many numbers as {before[0]}")


_KINDS = {
    layers.Dense: _dense,
    layers.Conv2D: _convolution,
    layers.Conv2DTranspose: _transposed,
    layers.Activation: _activation,
    layers.Add: _elementwise,
    layers.Multiply: _elementwise,
    layers.Concatenate: _concatenation,
    layers.Cropping2D: _cropping,
    layers.EinsumDense: _einsum,
    layers.UpSampling2D: _upsampling,
    layers.Flatten: _nothing,
    layers.Reshape: _nothing,
}


_OPERATIONS = {  # of keras.ops, by the names of their classes, which are not public
    "Add": _pairwise,
    "BroadcastTo": _repeating,
    "Cast": _nothing,
    "Clip": _clipping,
    "Concatenate": _joining,
    "Exp": lambda *_: {"kind": "activation", "activation": "exponential"},
    "GetItem": _slice,
    "Multiply": _product,
    "Reshape": _nothing,
    "Split": _splitting,
    "StopGradient": _nothing,
    "Subtract": _pairwise,
}


def _bias_and_activation(layer, store):
    bias = None if layer.bias is None else store.add(ops.convert_to_numpy(layer.bias))
    return {"bias": bias, "activation": _name(layer)}


def _name(layer):
    return get_activation_name(layer.activation, f"the layer {layer.name!r}")


def _check_plain(layer):
    if tuple(layer.dilation_rate) != (1, 1):
        raise _refusal(layer, "dilation_rate", layer.dilation_rate, 1)


def _refusal(layer, what, value, works):
    kind = "layer" if isinstance(layer, keras.layers.Layer) else "operation"
    return NotExplorableError(
        f"The explorer computes the {kind} {layer.name!r}, a {type(layer).__name__}, only with "
        f"{what} = {works}. Received: {value}"
    )
