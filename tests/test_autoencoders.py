"""The networks of published autoencoders: real weights, plain NumPy, and traps of conversion."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tiny_reference

import keras_vae
from keras_vae.hub.formats import conversion, taesd

pytestmark = pytest.mark.usefixtures("eager")

TAEF2 = Path(__file__).parents[2] / "shared" / "published" / "taef2"


@pytest.fixture(scope="module")
def taef2():
    """TAEF2 with its authors' weights, their tensors by network, and what their networks gave."""
    if not TAEF2.is_dir():
        pytest.skip("needs the weights of TAEF2 in ../shared/published/taef2")
    from safetensors.numpy import load_file

    sides = {side: load_file(TAEF2 / f"{side}.safetensors") for side in ("encoder", "decoder")}
    with np.load(TAEF2 / "reference.npz") as file:
        reference = {key: np.moveaxis(file[key], 1, -1) for key in "xzy"}
    return keras_vae.load(TAEF2), sides, reference


def tensors_of(model):
    """The weights of a tiny autoencoder, as the authors' two files would hold them."""
    sides = {"encoder": {}, "decoder": {}}
    for name, (variable, _) in conversion.networks(model, taesd._RULES).items():
        value = keras.ops.convert_to_numpy(variable)
        side, own = name.split(".", 1)
        sides[side][own] = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
    return sides


def randomise(model):
    """Gives every weight of the networks, biases too, numbers that matter."""
    rng = np.random.default_rng(0)
    for weight in (*model.encoder.weights, *model.decoder.weights):
        shape = tuple(weight.shape)
        fan_in = np.prod(shape[:-1]) if len(shape) > 1 else 4
        weight.assign(rng.normal(size=shape) / np.sqrt(fan_in) + (weight.name == "gamma"))


def error(network, x, expected):
    return np.abs(keras.ops.convert_to_numpy(network(x)) - expected).max()


def test_taef2_gives_what_its_authors_network_gave(taef2):
    model, _, reference = taef2
    x, z, y = (reference[key] for key in "xzy")
    np.testing.assert_allclose(model.encode(x), z, rtol=0, atol=1e-5)
    np.testing.assert_allclose(model.decode(z), y, rtol=0, atol=3e-5)
    assert model.latent_scale == 1 and model.latent_shift == 0


@pytest.mark.parametrize("shape", [(1, 16, 24, 3), (2, 24, 8, 3)])
def test_taef2_is_right_at_other_sizes(taef2, shape):
    model, sides, _ = taef2
    x = np.random.default_rng(0).random(shape, dtype="float32")
    z = tiny_reference.encode(sides["encoder"], x)
    np.testing.assert_allclose(model.encode(x), z, rtol=0, atol=1e-5)
    y = tiny_reference.decode(sides["decoder"], z)
    np.testing.assert_allclose(model.decode(z.astype("float32")), y, rtol=0, atol=3e-5)


@pytest.mark.parametrize("trap", ["the epsilon of Keras", "padding below and at the right only"])
def test_a_trap_of_the_conversion_is_seen(taef2, trap):
    model, _, reference = taef2
    kind, name, value = {
        "the epsilon of Keras": (keras.layers.GroupNormalization, "epsilon", 1e-3),
        "padding below and at the right only": (  # which is "same"
            keras.layers.ZeroPadding2D,
            "padding",
            ((0, 1), (0, 1)),
        ),
    }[trap]
    layers = [
        layer for layer in (*model.encoder.layers, *model.decoder.layers) if isinstance(layer, kind)
    ]
    right = getattr(layers[0], name)
    x, z, y = (reference[key] for key in "xzy")
    assert error(model.encoder, x, z) < 1e-5
    try:
        for layer in layers:
            setattr(layer, name, value)
        assert error(model.encoder, x, z) > 1e-3
        if kind is keras.layers.GroupNormalization:
            assert error(model.decoder, z, y) > 1e-3
    finally:
        for layer in layers:
            setattr(layer, name, right)


def test_a_size_that_the_strides_do_not_divide_is_refused_by_name(taef2):
    model, _, _ = taef2
    with pytest.raises(ValueError, match="size 65 x 96 would come back as 72 x 96.*to 72 x 96"):
        model.encode(np.zeros((1, 65, 96, 3), "float32"))


@pytest.mark.parametrize(
    ("norm", "shape", "blocks"),
    [(False, (3, 6, 4, 3), (2, 1)), (True, (1, 8, 20, 1), (1, 2, 1))],
)
def test_a_tiny_autoencoder_is_what_numpy_computes(norm, shape, blocks):
    arguments = {"latent_channels": 3, "channels": 8, "blocks": blocks, "norm": norm}
    model = keras_vae.tiny_autoencoder((None, None, shape[-1]), **arguments, seed=0)
    randomise(model)
    sides, x = tensors_of(model), np.random.default_rng(1).random(shape, dtype="float32")
    z = tiny_reference.encode(sides["encoder"], x)
    np.testing.assert_allclose(model.encode(x), z, rtol=0, atol=1e-5 * np.abs(z).max())
    y = tiny_reference.decode(sides["decoder"], z)
    np.testing.assert_allclose(
        model.decode(z.astype("float32")), y, rtol=0, atol=1e-5 * np.abs(y).max()
    )


@pytest.fixture(scope="module")
def quantised():
    """A small `kl_vae` with quant convolutions, the same without them, and their layers."""
    keras.utils.set_random_seed(0)
    small = {"latent_channels": 3, "filters": (4, 8), "blocks": 1, "groups": 2}
    whole = keras_vae.kl_vae((None, None, 1), **small)
    folded = keras_vae.kl_vae((None, None, 1), **small, quant_convs=False)
    randomise(whole)
    return whole, folded


def fold(whole, folded, side, first, second):
    """Gives `folded` the weights of `whole`, with two convolutions in a row made one."""
    ours, theirs = (
        {layer.name: layer for layer in getattr(model, side).layers} for model in (whole, folded)
    )
    for name, layer in theirs.items():
        if layer.weights and name not in (first, second):
            layer.set_weights(ours[name].get_weights())
    (a, b), (c, d) = ours[first].get_weights(), ours[second].get_weights()
    kernel = np.einsum("hwio,klop->hwip" if c.shape[0] == 1 else "hwio,klop->klip", a, c)
    target = theirs[first if first in theirs else second]
    target.set_weights([kernel, np.einsum("o,klop->p", b, c) + d])


def test_the_quant_convolution_may_be_folded(quantised):
    whole, folded = quantised
    fold(whole, folded, "encoder", "conv_out", "quant_conv")
    x = np.random.default_rng(0).random((2, 8, 12, 1), dtype="float32")
    np.testing.assert_allclose(folded.encode(x), whole.encode(x), rtol=0, atol=1e-5)


def test_the_post_quant_convolution_may_not_be_folded(quantised):
    whole, folded = quantised
    fold(whole, folded, "decoder", "post_quant_conv", "conv_in")
    z = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype("float32")
    assert error(folded.decoder, z, keras.ops.convert_to_numpy(whole.decoder(z))) > 1e-2
