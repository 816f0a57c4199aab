"""PyTorch: Keras's layers without its copies of images, and networks that free what they used.

Keras's layers take (height, width, channels) and copy every image to (channels, height, width) and
back. PyTorch computes with either order in memory, so changing the strides is enough.
"""

import types
from collections import Counter

import keras
import torch
from keras import ops
from torch.nn import functional


def speed_up_layer(layer):
    """Has a layer of Keras's own, such as a Conv2D, compute the same in less time and memory."""
    call, plain = _CALLS.get(type(layer), (None, {}))
    if call and all(getattr(layer, name) == value for name, value in plain.items()):
        layer.call = types.MethodType(call, layer)
    elif isinstance(layer, keras.Function):
        layer._run_through_graph = types.MethodType(_run_through_graph, layer)


def _first(x):
    """Images as PyTorch takes them: (n, channels, height, width) by strides only."""
    x = ops.convert_to_tensor(x)
    return x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _last(x):
    return x.permute(0, 2, 3, 1)


def _convolution(self, inputs):
    x, kernel = _first(inputs), ops.convert_to_tensor(self.kernel)
    kernel = kernel.permute(3, 2, 0, 1).contiguous()
    padding = (0, 0)
    if self.padding == "same":
        pads = [_padding(*sizes) for sizes in zip(x.shape[2:], self.kernel_size, self.strides)]
        if all(before == after for before, after in pads):
            padding = [before for before, _ in pads]
        else:
            x = functional.pad(x, (*pads[1], *pads[0]))
    bias = ops.convert_to_tensor(self.bias) if self.use_bias else None
    y = _last(functional.conv2d(x, kernel, bias, self.strides, padding))
    return y if self.activation is None else self.activation(y)


def _padding(size, kernel, stride):
    """Zeros before and after, as TensorFlow pads: at least as many after as before."""
    total = kernel - 1 if stride == 1 else max(0, (-(-size // stride) - 1) * stride + kernel - size)
    return total // 2, total - total // 2


def _transposed_convolution(self, inputs):
    excess = [size - stride for size, stride in zip(self.kernel_size, self.strides)]
    if min(excess) < 0:
        return type(self).call(self, inputs)
    x, kernel = _first(inputs), ops.convert_to_tensor(self.kernel)
    kernel = kernel.permute(3, 2, 0, 1).contiguous()
    # As many rows too many before as after, and then perhaps one more.
    padding = [rows // 2 for rows in excess]
    bias = ops.convert_to_tensor(self.bias) if self.use_bias else None
    y = functional.conv_transpose2d(x, kernel, bias, self.strides, padding)
    rows, columns = (size * stride for size, stride in zip(x.shape[2:], self.strides))
    y = _last(y[:, :, :rows, :columns])
    return y if self.activation is None else self.activation(y)


def _group_normalization(self, inputs):
    if len(inputs.shape) != 4:
        return type(self).call(self, inputs)
    # Half precision would overflow.
    dtype = keras.backend.result_type(keras.backend.standardize_dtype(inputs.dtype), "float32")
    x, scale, offset = (ops.cast(t, dtype) for t in (_first(inputs), self.gamma, self.beta))
    y = functional.group_norm(x, self.groups, scale, offset, self.epsilon)
    return ops.cast(_last(y), self.compute_dtype)


def _upsampling(self, inputs):
    return _last(functional.interpolate(_first(inputs), scale_factor=self.size, mode="nearest"))


_IMAGES = {"data_format": "channels_last"}
_CONVOLUTIONS = {**_IMAGES, "dilation_rate": (1, 1)}
# What computes a layer of each kind, for which arguments.
_CALLS = {
    keras.layers.Conv2D: (_convolution, {**_CONVOLUTIONS, "groups": 1}),
    keras.layers.Conv2DTranspose: (
        _transposed_convolution,
        {**_CONVOLUTIONS, "padding": "same", "output_padding": None},
    ),
    keras.layers.GroupNormalization: (
        _group_normalization,
        {"axis": -1, "scale": True, "center": True},
    ),
    keras.layers.UpSampling2D: (_upsampling, {**_IMAGES, "interpolation": "nearest"}),
}


def _run_through_graph(self, inputs, operation_fn=lambda operation: operation, call_fn=None):
    """`keras.Function._run_through_graph`, which keeps no tensor longer than it is needed."""
    if call_fn is not None:
        return type(self)._run_through_graph(self, inputs, operation_fn, call_fn)
    nodes = [
        node
        for depth in sorted(self._nodes_by_depth, reverse=True)
        for node in self._nodes_by_depth[depth]
        if node.operation and not node.is_input
    ]
    left = Counter(id(x) for node in nodes for x in node.input_tensors)
    left.update(map(id, self.outputs))
    known = dict(zip(map(id, self.inputs), keras.tree.flatten(inputs)))
    del inputs
    for node in nodes:
        arguments, settings = node.arguments.fill_in(known)
        outputs = operation_fn(node.operation)(*arguments, **settings)
        del arguments, settings
        known.update(zip(map(id, node.outputs), keras.tree.flatten(outputs)))
        del outputs
        for x in node.input_tensors:
            left[id(x)] -= 1
            if not left[id(x)]:
                del known[id(x)]
    return keras.tree.pack_sequence_as(self._outputs_struct, [known[id(x)] for x in self.outputs])
