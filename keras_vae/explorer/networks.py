"""Describes a Keras network as a list of plain operations that the page computes in turn."""

import keras
from keras import layers, ops

ACTIVATIONS = (
    *("linear", "relu", "silu", "gelu", "tanh", "sigmoid", "elu", "leaky_relu", "softplus"),
    *("selu", "mish", "softsign", "relu6", "hard_sigmoid", "exponential"),
)


class NotExplorableError(ValueError):
    """A model that the explorer cannot show. The message says why, and what would work."""


def describe(network, input_shape, store) -> dict:
    """Returns a network's operations, in an order in which they can be computed.

    Args:
        network: an encoder or a decoder, any Keras model or layer.
        input_shape: shape of one example that it is given.
        store: the `packing.Store` that takes the weights.

    Returns:
        `nodes`, a dict for each operation: its `kind`, the numbers of the nodes that it takes as
        input, `of` (the network's input is number 0, the first node number 1), and its weights and
        settings; and `outputs`, the numbers of the nodes that are the network's outputs.

    Raises:
        NotExplorableError: if the page does not compute one of the layers.
    """
    inputs = keras.Input(input_shape)
    outputs = keras.tree.flatten(network(inputs))
    trace = _Trace(store)
    trace.numbers[id(inputs)] = 0
    return {"outputs": [trace.number(tensor) for tensor in outputs], "nodes": trace.nodes}


def get_activation_name(function, where) -> str:
    """The name of an activation that the page computes; NotExplorableError for any other."""
    for name in ACTIVATIONS:
        if keras.activations.get(name) is function:
            return name
    raise NotExplorableError(
        f"The explorer does not compute the activation of {where}, "
        f"{getattr(function, '__name__', function)!r}. It computes: {', '.join(ACTIVATIONS)}."
    )


class _Trace:
    """Walks from outputs back to inputs. Each tensor is described once, after those it needs."""

    def __init__(self, store):
        self.store = store
        self.nodes = []
        self.numbers = {}  # {id of a tensor: number of the node that computes it}

    def number(self, tensor):
        if id(tensor) not in self.numbers:
            self.numbers[id(tensor)] = self._describe(tensor)
        return self.numbers[id(tensor)]

    def _describe(self, tensor):
        layer, call, position = tensor._keras_history
        before = layer._inbound_nodes[call].input_tensors
        of = [self.number(t) for t in before]
        if _is_network(layer):
            # A nested network, whose inputs are these tensors. It may be called more than once.
            inner = _Trace(self.store)
            inner.nodes = self.nodes
            inner.numbers = {id(t): k for t, k in zip(layer.inputs, of)}
            return inner.number(layer.outputs[position])
        node = self._node(layer, before, tensor)
        if node is None:
            return of[0]
        self.nodes.append({"of": of, **node})
        return len(self.nodes)

    def _node(self, layer, before, after):
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


def _cropping(layer, before, after, store):
    corner = [first for first, _ in layer.cropping]
    return {"kind": "crop", "from": before[0], "to": after, "corner": corner}


def _nothing(layer, before, after, store):
    return None


_KINDS = {
    layers.Dense: _dense,
    layers.Conv2D: _convolution,
    layers.Conv2DTranspose: _transposed,
    layers.Activation: _activation,
    layers.Add: _elementwise,
    layers.Multiply: _elementwise,
    layers.Cropping2D: _cropping,
    layers.Flatten: _nothing,
    layers.Reshape: _nothing,
}


def _bias_and_activation(layer, store):
    bias = store.add(ops.convert_to_numpy(layer.bias)) if layer.use_bias else None
    return {"bias": bias, "activation": _name(layer)}


def _name(layer):
    return get_activation_name(layer.activation, f"the layer {layer.name!r}")


def _check_plain(layer):
    if tuple(layer.dilation_rate) != (1, 1):
        raise _refusal(layer, "dilation_rate", layer.dilation_rate, 1)


def _refusal(layer, what, value, works):
    return NotExplorableError(
        f"The explorer computes the layer {layer.name!r}, a {type(layer).__name__}, only with "
        f"{what} = {works}. Received: {value}"
    )
