"""Tests of the networks of every factory: shapes, structure and numbers of weights."""

import keras
import numpy as np
import pytest

import keras_vae

pytestmark = pytest.mark.usefixtures("eager")

SHAPES = [(17, 23, 2), (5, 7, 1), (1, 1, 1)]
LARGER = [(28, 28, 1), (32, 32, 3), (28, 20, 1)]


@pytest.mark.parametrize(
    "shape",
    [*SHAPES, *(pytest.param(shape, marks=pytest.mark.long) for shape in LARGER)],
    ids=lambda shape: "x".join(map(str, shape)),
)
def test_reconstructions_have_the_size_of_the_images(make, factory, shape):
    filters = {} if factory == "mlp_vae" else {"filters": (4, 4)}
    model = make(factory, shape, **filters)
    x = np.random.default_rng(0).random((2, *shape), dtype="float32")
    images = model.reconstruct(x)
    assert images.shape == x.shape and images.dtype == "float32"
    assert np.isfinite(model.elbo(x)).all()


def test_reconstructions_of_large_images_of_odd_size_have_that_size(make):
    model = make("conv_vae", (105, 105, 1), filters=(2, 2, 2, 2))
    assert model.reconstruct(np.zeros((1, 105, 105, 1), "uint8")).shape == (1, 105, 105, 1)


@pytest.mark.parametrize("shape", [(64,), (1,), (4, 3), (5, 4, 3, 2)])
def test_an_mlp_takes_data_of_any_rank(make, shape):
    model = make("mlp_vae", shape)
    x = np.random.default_rng(0).random((3, *shape), dtype="float32")
    assert model.reconstruct(x).shape == x.shape
    assert model.encode(x).shape == (3, 3)
    assert model.generate(2).shape == (2, *shape)
    assert model.elbo(x).shape == (3,)
    assert np.isfinite(model.train_on_batch(x)).all()


def test_codes_have_the_positions_of_the_downsampled_image(make):
    model = make("vq_vae", (17, 23, 2), filters=(4, 4))
    codes = model.encode(np.zeros((3, 17, 23, 2), "float32"))
    assert codes.shape == (3, 5, 6)
    assert model.latent.code_spec.shape == (5, 6)


def test_a_gated_layer_is_one_dense_layer_times_the_sigmoid_of_another():
    model = keras_vae.mlp_vae((10,), 2, (7,), activation="glu", seed=0)
    x = np.random.default_rng(0).random((3, 10), dtype="float32")
    inner, _, gate, _, last, _ = model.encoder.get_weights()
    hidden = x @ inner / (1 + np.exp(-x @ gate))
    np.testing.assert_allclose(model.encode(x), (hidden @ last)[:, :2], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("factory", ["conv_vae", "vq_vae"])
@pytest.mark.parametrize("activation", ["glu", keras.activations.glu])
def test_gated_convolutions_are_refused(make, factory, activation):
    with pytest.raises(ValueError, match="it is for mlp_vae"):
        make(factory, activation=activation)


def test_a_decoder_mirrors_its_encoder():
    model = keras_vae.mlp_vae((10,), latent_dim=2, hidden_units=(7, 5))
    widths = [layer.units for layer in model.encoder.layers if hasattr(layer, "units")]
    mirrored = [layer.units for layer in model.decoder.layers if hasattr(layer, "units")]
    assert widths == [7, 5, 4] and mirrored == [5, 7, 10]
    model = keras_vae.conv_vae((16, 16, 1), filters=(3, 5, 6), hidden_units=())
    widths = [layer.filters for layer in model.encoder.layers if hasattr(layer, "filters")]
    mirrored = [layer.filters for layer in model.decoder.layers if hasattr(layer, "filters")]
    assert widths == [3, 5, 6] and mirrored == [5, 3, 3, 1]


def test_an_mlp_has_the_expected_number_of_weights():
    model = keras_vae.mlp_vae((28, 28, 1), latent_dim=16, hidden_units=(100, 50))
    encoder = 785 * 100 + 101 * 50 + 51 * 32
    decoder = 17 * 50 + 51 * 100 + 101 * 784
    assert model.encoder.count_params() == encoder
    assert model.decoder.count_params() == decoder


def test_without_activation_and_hidden_units_an_mlp_is_linear(make):
    model = make("mlp_vae", (6,), hidden_units=(), activation=None, likelihood="gaussian")
    a, b = np.random.default_rng(0).normal(size=(2, 1, 6)).astype("float32")
    middle = model.reconstruct((a + b) / 2)
    ends = (model.reconstruct(a) + model.reconstruct(b)) / 2
    np.testing.assert_allclose(middle, ends, rtol=1e-4, atol=1e-6)


def test_shapes_are_height_width_channels_under_any_keras_data_format(make, factory, tmp_path):
    x = np.random.default_rng(0).random((2, 9, 7, 2), dtype="float32")
    expected = make(factory, (9, 7, 2))
    keras.config.set_image_data_format("channels_first")
    try:
        model = make(factory, (9, 7, 2))
        model.set_weights(expected.get_weights())
        np.testing.assert_allclose(model.reconstruct(x), expected.reconstruct(x), atol=1e-6)
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize("norm", [None, "group"])
@pytest.mark.parametrize("filters", [(4,), (4, 6)])
def test_without_a_last_convolution_the_last_doubling_computes_the_outputs(filters, norm):
    model = keras_vae.vq_vae((13, 7, 3), filters=filters, norm=norm, last_conv=False)
    layers = [layer for layer in model.decoder.layers if not layer.name.startswith("cropping")]
    assert isinstance(layers[-1], keras.layers.Conv2DTranspose)
    assert layers[-1].filters == 3
    assert layers[-1].activation is keras.activations.linear
    assert model.decoder.output_shape == (None, 13, 7, 3)
