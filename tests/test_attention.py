"""Group normalisation and attention against NumPy, and in networks."""

import keras
import numpy as np
import pytest
from browser import randomise
from keras import ops
from scipy.special import softmax

import keras_vae
from keras_vae.networks.attention import attention


@pytest.mark.parametrize("sizes", [(6,), (2, 3), (2, 1, 3)], ids=len)
def test_attention_is_the_formula_of_the_paper(sizes):
    """softmax(Q K^T / sqrt(d)) V over all places (Vaswani et al. 2017, eq. 1)."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 5, *sizes, 4)).astype("float32")
    inputs = [keras.Input((*sizes, 4)), keras.Input((*sizes, 4))]
    model = keras.Model(inputs, attention(*inputs))
    randomise(model.weights)
    (layer,) = [layer for layer in model.layers if layer.weights]
    kernels = [np.reshape(w, (4, 4)) for w in layer.get_weights()[::2]]
    biases = [np.ravel(w) for w in layer.get_weights()[1::2]]
    flat = y.reshape(5, 6, 4)
    q, k, v = (flat @ kernel + bias for kernel, bias in zip(kernels, biases[:3]))
    attended = softmax(q @ np.swapaxes(k, 1, 2) / 2, axis=-1) @ v @ kernels[3] + biases[3]
    got = ops.convert_to_numpy(model([x, y]))
    np.testing.assert_allclose(got, x + attended.reshape(x.shape), rtol=1e-4, atol=1e-5)
    order = rng.permutation(6)  # of the places, in which the output follows
    moved = [part.reshape(5, 6, 4)[:, order].reshape(x.shape) for part in (x, y, got)]
    again = ops.convert_to_numpy(model(moved[:2]))
    np.testing.assert_allclose(again, moved[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width, groups", [(12, 4), (16, 8), (5, 1)])
def test_groups_of_channels_are_normalised_together(width, groups):
    model = keras_vae.conv_vae((7, 2), 3, (width,), norm="group", hidden_units=())
    layers = model.encoder.layers
    (norm,) = [layer for layer in layers if type(layer) is keras.layers.GroupNormalization]
    randomise(norm.weights)
    scale, offset = norm.get_weights()
    x = np.random.default_rng(0).normal(3, 2, (2, 7, 2)).astype("float32")
    before, after = (
        ops.convert_to_numpy(keras.Model(model.encoder.inputs[0], tensor)(x))
        for tensor in (norm.input, layers[layers.index(norm) + 1].output)
    )
    parts = before.reshape(2, -1, groups, width // groups)
    mean, variance = (f(parts, axis=(1, 3), keepdims=True) for f in (np.mean, np.var))
    expected = ((parts - mean) / np.sqrt(variance + 1e-5)).reshape(before.shape) * scale + offset
    np.testing.assert_allclose(after, np.maximum(expected, 0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("factory", ["conv_vae", "vq_vae"])
def test_a_norm_precedes_every_activation_of_a_map_and_attention_is_at_the_smallest(make, factory):
    model = make(factory, (8, 8, 1), filters=(4, 8), norm="group", attention=True)
    for network in (model.encoder, model.decoder):
        names = [type(layer).__name__ for layer in network.layers]
        places = [i for i, name in enumerate(names) if name == "Activation"]
        assert places and {names[i - 1] for i in places} == {"GroupNormalization"}
        (attends,) = [one for one in network.layers if type(one).__name__ == "MultiHeadAttention"]
        assert attends.output.shape == (None, 2, 2, 8) and attends.num_heads == 1


def test_normalised_networks_with_attention_work_in_half_precision(make):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = make("conv_vae", (8, 8, 1), norm="group", attention=True)
    finally:
        keras.config.set_dtype_policy("float32")
    full = make("conv_vae", (8, 8, 1), norm="group", attention=True)
    half.set_weights(full.get_weights())
    x = np.random.default_rng(0).random((8, 8, 8, 1), dtype="float32")
    assert half.encoder.compute_dtype == "float16"
    np.testing.assert_allclose(half.elbo(x, seed=0), full.elbo(x, seed=0), rtol=1e-2)
