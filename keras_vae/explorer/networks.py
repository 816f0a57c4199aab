"""Describes a Keras network as a list of plain operations that the page computes in turn."""

import keras

from keras_vae.explorer.layers import describe_layer
from keras_vae.explorer.operations import Call, describe_operation


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
            made = describe_layer(layer, before, tensor, self.store)
        else:
            made = describe_operation(layer, before, tensor, Call(node.arguments.args, position))
        if made is None:
            return of[0]
        self.nodes.append({"of": of, **made})
        return len(self.nodes)


def _is_network(layer):
    return isinstance(layer, keras.Model) and hasattr(layer, "inputs") and bool(layer.inputs)
