"""Keras layers that the page computes: a new one is a function here, and one in networks.js."""

from keras import layers, ops

from keras_vae.explorer.activations import get_activation_name
from keras_vae.explorer.refusals import NotExplorableError, refusal


def describe_layer(layer, before, after, store) -> dict | None:
    """What a layer computes, for a node of the page.

    Args:
        layer: a Keras layer.
        before: the tensors that it is given.
        after: the tensor that it returns.
        store: the `packing.Store` that takes the weights.

    Returns:
        The node's `kind`, weights and settings; None if the layer leaves its numbers, and their
        order, as they are.

    Raises:
        NotExplorableError: if the page does not compute it.
    """
    kind = next((kind for kind in _KINDS if type(layer) is kind), None)
    if kind is None:
        known = ", ".join(sorted(kind.__name__ for kind in _KINDS))
        raise NotExplorableError(
            f"The explorer does not compute the layer {layer.name!r}, a "
            f"{type(layer).__name__}. It computes: {known}, and networks of these."
        )
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise refusal(layer, "data_format", layer.data_format, "channels_last")
    shapes = [tuple(t.shape[1:]) for t in before]
    return _KINDS[kind](layer, shapes, tuple(after.shape[1:]), store)


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
        raise refusal(layer, "groups", layer.groups, 1)
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
        raise refusal(layer, "output_padding", layer.output_padding, None)
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


def elementwise(layer, before, after, _):
    """A sum, product or difference of numbers of one shape, of layers and operations alike."""
    if any(shape != after for shape in before):
        raise refusal(layer, "inputs of shapes", before, "inputs of one shape")
    return {"kind": type(layer).__name__.lower()}


def _concatenation(layer, before, after, store):
    if layer.axis not in (-1, len(after)):
        raise refusal(layer, "axis", layer.axis, -1)
    return {"kind": "concatenate", "widths": [shape[-1] for shape in before]}


def _upsampling(layer, before, after, store):
    if layer.interpolation != "nearest":
        raise refusal(layer, "interpolation", layer.interpolation, "nearest")
    return {"kind": "upsample", "from": before[0], "size": layer.size}


def _einsum(layer, before, after, store):
    """A product, number by number, with a kernel of the last axes."""
    values, axes, result = layer.equation.replace("->", ",").split(",")
    bias = () if layer.bias is None else tuple(layer.bias.shape)
    if values != result or not values.endswith(axes) or bias != after[len(after) - len(bias) :]:
        raise refusal(layer, "equation", layer.equation, "ab,b->ab, or others of the last axes")
    kernel = store.add(ops.convert_to_numpy(layer.kernel))
    return {"kind": "affine", "kernel": kernel, **_bias_and_activation(layer, store)}


def _cropping(layer, before, after, store):
    corner = [first for first, _ in layer.cropping]
    return {"kind": "crop", "from": before[0], "to": after, "corner": corner}


def nothing(layer, before, after, _):
    """Returns None: the numbers, and their order, stay as they are."""
    return None


def _bias_and_activation(layer, store):
    bias = None if layer.bias is None else store.add(ops.convert_to_numpy(layer.bias))
    return {"bias": bias, "activation": _name(layer)}


def _name(layer):
    return get_activation_name(layer.activation, f"the layer {layer.name!r}")


def _check_plain(layer):
    if tuple(layer.dilation_rate) != (1, 1):
        raise refusal(layer, "dilation_rate", layer.dilation_rate, 1)


_KINDS = {
    layers.Dense: _dense,
    layers.Conv2D: _convolution,
    layers.Conv2DTranspose: _transposed,
    layers.Activation: _activation,
    layers.Add: elementwise,
    layers.Multiply: elementwise,
    layers.Concatenate: _concatenation,
    layers.Cropping2D: _cropping,
    layers.EinsumDense: _einsum,
    layers.UpSampling2D: _upsampling,
    layers.Flatten: nothing,
    layers.Reshape: nothing,
}
