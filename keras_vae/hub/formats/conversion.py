"""Conversion: the tensors of another library's file become the weights of a model, all or none."""

import re

import keras
import numpy as np

from keras_vae.hub.errors import WeightsError


def check(wanted, shapes):
    """Refuses a file unless it has exactly the tensors of a model.

    Args:
        wanted: what `networks` returns of the model, whose weights need no memory for this.
        shapes: `{name: shape}` of the file's tensors.

    Raises:
        WeightsError: if a tensor is missing, extra or misshapen; the message names it.
    """
    if missing := [name for name in wanted if name not in shapes]:
        raise WeightsError(f"The file has no {_listed(missing)}.")
    if extra := [name for name in shapes if name not in wanted]:
        raise WeightsError(f"The model has no {_listed(extra)}, which the file holds.")
    for name, (variable, convert) in wanted.items():
        if _converted_shape(convert, shapes[name]) != tuple(variable.shape):
            raise WeightsError(
                f"{name} has shape {shapes[name]}, which does not fit {variable.path} of shape "
                f"{tuple(variable.shape)}."
            )


def fill(wanted, tensors):
    """Sets every weight from pairs of a name and a float32 array, which `check` accepted."""
    for name, tensor in tensors:
        variable, convert = wanted[name]
        variable.assign(convert(tensor))


def networks(model, rules) -> dict:
    """The tensors of a model's networks: `{name: (variable, function from tensor to value)}`.

    Args:
        model: the model.
        rules: pairs of a pattern and its replacement, applied in order to
            `"<encoder or decoder>.<name of the layer>"`, which give the tensors' common prefix.
    """
    found = {}
    for side in ("encoder", "decoder"):
        for layer in getattr(model, side).layers:
            if layer.weights:
                prefix = f"{side}.{layer.name}"
                for pattern, replacement in rules:
                    prefix = re.sub(pattern, replacement, prefix)
                for name, place in _tensors_of(layer).items():
                    found[f"{prefix}.{name}"] = place
    return found


def _tensors_of(layer):
    """The tensors of one layer, named as in torch: kernels have the channels first there."""
    if isinstance(layer, keras.layers.MultiHeadAttention):
        parts = {"to_q": layer.query_dense, "to_k": layer.key_dense, "to_v": layer.value_dense}
        parts["to_out.0"] = layer.output_dense
        return {
            f"{part}.{name}": (variable, _Dense(variable.shape))
            for part, dense in parts.items()
            for name, variable in {"weight": dense.kernel, "bias": dense.bias}.items()
        }
    if isinstance(layer, keras.layers.GroupNormalization):
        return {"weight": (layer.gamma, np.asarray), "bias": (layer.beta, np.asarray)}
    tensors = {"weight": (layer.kernel, lambda tensor: np.transpose(tensor, (2, 3, 1, 0)))}
    return {**tensors, "bias": (layer.bias, np.asarray)} if layer.use_bias else tensors


class _Dense:
    """Converts a matrix `(width, width)`, a 1 x 1 convolution of that size, or a bias `(width,)`.

    They are those of attention with one head: its weights have an axis of 1 besides.
    """

    def __init__(self, shape):
        self.shape, width = tuple(shape), shape[-1]
        is_matrix = len(shape) == 3
        self.known = [(width, width), (width, width, 1, 1)] if is_matrix else [(width,)]

    def __call__(self, tensor):
        if tensor.shape not in self.known:
            raise ValueError(f"The shape must be one of {self.known}.")
        return np.reshape(np.transpose(tensor), self.shape)


def _converted_shape(convert, shape):
    """The shape of a tensor once converted, without memory for it; None if that fails."""
    try:
        return tuple(convert(np.broadcast_to(np.float32(0), shape)).shape)
    except ValueError:
        return None


def _listed(names):
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
