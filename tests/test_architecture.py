"""Architectures as plain data: any model of Keras's layers is saved, and nothing else is built."""

import json
import subprocess
import sys

import keras
import loopback_hub
import numpy as np
import pytest
from keras import layers
from loopback_hub import TOKEN

import keras_vae
from keras_vae.hub import architecture
from keras_vae.hub.fingerprint import fingerprint

loopback, served = loopback_hub.loopback, loopback_hub.served
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=")  # huggingface_hub 2.4 uploads
X = np.random.default_rng(0).random((16, 8, 8, 1), dtype="float32")


def of_dense():
    """The networks of the README's recipe, smaller."""
    encoder = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2 * 3)])
    decoder = keras.Sequential(
        [keras.Input((3,)), layers.Dense(64), layers.Reshape((8, 8, 1))], name="my-decoder"
    )
    return keras_vae.VAE(encoder, decoder, likelihood="bernoulli", num_samples=2)


def of_shared_and_nested_layers():
    """A functional model with two outputs, a layer that is called twice and a model in a model."""
    x = keras.Input((8, 8, 1))
    block = keras.Sequential([layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization()])
    shared = layers.Dense(4, kernel_regularizer="l2", kernel_constraint="unit_norm")
    h = layers.Conv2D(4, 3, padding="same", activation=layers.LeakyReLU())(x)
    h = layers.Add()([block(h), h])
    h = shared(layers.Activation("silu")(shared(h)))
    h = layers.Concatenate()([layers.GlobalMaxPooling2D()(h), layers.GlobalAveragePooling2D()(h)])
    encoder = keras.Model(x, [layers.Dense(3)(h), layers.Dense(3)(h)])
    z = keras.Input((3,))
    y = layers.Reshape((4, 4, 4))(layers.Dense(64, kernel_initializer=keras.initializers.Ones())(z))
    y = layers.Conv2DTranspose(1, 3, strides=2, padding="same")(y)
    return keras_vae.VAE(encoder, keras.Model(z, y), likelihood="learned_gaussian", beta=2.0)


def of_sequences():
    """Recurrent layers, attention and a rare one or two."""
    x = keras.Input((8, 8, 1))
    h = layers.Reshape((8, 8))(x)
    h = layers.Bidirectional(layers.GRU(4, return_sequences=True))(h)
    h = layers.MultiHeadAttention(2, 4)(h, h)
    h = layers.TimeDistributed(layers.Dense(4))(h)
    h = layers.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d")(h)
    encoder = keras.Model(x, layers.Dense(6)(layers.LSTM(4)(layers.LayerNormalization()(h))))
    z = keras.Input((3,))
    y = layers.RNN(layers.StackedRNNCells([layers.GRUCell(4), layers.LSTMCell(8)]), True)(
        layers.RepeatVector(8)(z)
    )
    decoder = keras.Model(z, layers.Reshape((8, 8, 1))(y))
    prior = keras_vae.priors.RealNVP(couplings=2, hidden_units=(4,))
    return keras_vae.VAE(encoder, decoder, keras_vae.latents.GaussianLatent(prior))


def of_codes():
    """A quantizer, a prior over its codes and networks that are built by the first data."""
    encoder = keras.Sequential([layers.Conv2D(4, 2, 2), layers.GroupNormalization(2)])
    decoder = keras.Sequential([layers.UpSampling2D(2), layers.DepthwiseConv2D(3, padding="same")])
    decoder.add(layers.Conv2D(1, 1))
    latent = keras_vae.latents.VectorQuantizer(8, 4, prior={"name": "transformer", "width": 8})
    return keras_vae.VAE(encoder, decoder, latent, likelihood="gaussian")


def of_any_size():
    """A plain autoencoder of images of any height and width."""
    encoder = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(2, 3, 2, "same")])
    decoder = keras.Sequential(
        [keras.Input((None, None, 2)), layers.Conv2DTranspose(1, 3, 2, "same")]
    )
    return keras_vae.VAE(encoder, decoder, keras_vae.latents.PointLatent())


MODELS = (of_dense, of_shared_and_nested_layers, of_sequences, of_codes, of_any_size)


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    keras.utils.set_random_seed(1)
    model = request.param()
    if request.param in (of_dense, of_codes):  # the others take long to compile
        model.fit(X, verbose=0)
    model.reconstruct(X)  # which builds it
    return model


@pytest.fixture
def plain():
    """The architecture of a small model, which a test may spoil."""
    return architecture.describe(of_dense())


def test_any_model_of_keras_layers_is_saved_and_loaded(model, tmp_path):
    keras_vae.save_to_folder(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert set(config) == {"architecture"}
    loaded = keras_vae.load(tmp_path)
    np.testing.assert_allclose(loaded.reconstruct(X), model.reconstruct(X), atol=1e-5)
    np.testing.assert_allclose(fingerprint(loaded), fingerprint(model), rtol=1e-4, atol=1e-4)
    assert architecture.describe(loaded) == config["architecture"]


def test_an_architecture_names_no_module(model):
    text = json.dumps(architecture.describe(model))
    for word in ("module", "class_name", "registered_name", "keras", "DTypePolicy"):
        assert word not in text


def of_stride_3():
    """Images of any size, whose sides are multiples of 3, as 64 is not."""
    encoder = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(6, 3, 3, "same")])
    decoder = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2DTranspose(1, 3, 3)])
    return keras_vae.VAE(encoder, decoder)


def of_seven_strides():
    """Images of any size, whose sides are multiples of 128."""
    down = [layers.Conv2D(2, 3, 2, "same") for _ in range(7)]
    up = [layers.Conv2DTranspose(1, 3, 2, "same") for _ in range(7)]
    encoder = keras.Sequential([keras.Input((None, None, 1)), *down])
    decoder = keras.Sequential([keras.Input((None, None, 2)), *up])
    return keras_vae.VAE(encoder, decoder, keras_vae.latents.PointLatent())


@pytest.mark.parametrize(("make", "side"), [(of_stride_3, 66), (of_seven_strides, 128)])
def test_models_of_any_size_are_shared_whatever_their_strides(
    make, side, loopback, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    model, x = make(), np.random.default_rng(0).random((2, side, side, 1), dtype="float32")
    assert model.example_shape() == (side, side, 1)
    keras_vae.save_to_folder(model, tmp_path)
    np.testing.assert_allclose(
        keras_vae.load(tmp_path).reconstruct(x), model.reconstruct(x), atol=1e-5
    )
    keras_vae.publish(model, "tester/mine")
    assert keras_vae.load("hf://tester/mine").data_shape == (None, None, 1)


def test_a_model_that_is_not_built_is_refused_in_words(loopback, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(ValueError, match="The model is not built.*call it on data once"):
        keras_vae.save_to_folder(of_codes(), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
    with pytest.raises(ValueError, match="The model is not built.*call it on data once"):
        keras_vae.publish(of_codes(), "tester/mine")
    assert "tester/mine" not in loopback.repositories


def test_a_model_of_mixed_precision_is_saved_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        keras_vae.save_to_folder(of_dense(), tmp_path)
    finally:
        keras.config.set_dtype_policy("float32")
    loaded = keras_vae.load(tmp_path)
    assert loaded.encoder.layers[-1].compute_dtype == "float32"


def test_the_recipe_of_ones_own_networks_goes_to_the_hub_and_back(loopback, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    model = of_dense()
    model.fit(X, verbose=0)
    keras_vae.publish(model, "tester/mine", x=X)
    loaded = keras_vae.load("hf://tester/mine")
    np.testing.assert_allclose(loaded.reconstruct(X), model.reconstruct(X), atol=1e-6)
    repository = loopback.repositories["tester/mine"]
    card = repository.commits[repository.refs["main"]]["README.md"].decode()
    assert "(8, 8, 1)" in card and "`bernoulli`" in card and "config.json" in card


@keras.saving.register_keras_serializable(package="keras_vae_tests")
class Dense(layers.Dense):
    """A layer of the user's own, under a name that Keras uses."""


def squared_twice(x):
    return keras.ops.square(keras.ops.square(x))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Dense(64), r"Dense \(test_architecture\)"),
        (lambda: layers.Lambda(lambda x: x), "Lambda"),
        (lambda: layers.Dense(64, activation=squared_twice), "squared_twice"),
        (lambda: layers.Normalization(mean=0.0, variance=1.0), "Normalization"),
        (lambda: layers.SpectralNormalization(layers.Dense(64)), "SpectralNormalization"),
    ],
)
@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_part_that_is_not_keras_own_is_refused_by_name(make, name, tmp_path):
    decoder = keras.Sequential([keras.Input((3,)), layers.Dense(64), make()])
    decoder.add(layers.Reshape((8, 8, 1)))
    model = keras_vae.VAE(of_dense().encoder, decoder)
    with pytest.raises(ValueError, match=rf'{name}.* plain data.*model.save\("model.keras"\)'):
        keras_vae.save_to_folder(model, tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_an_operation_outside_of_a_layer_is_refused_by_name(tmp_path):
    z = keras.Input((3,))
    decoder = keras.Model(z, layers.Reshape((8, 8, 1))(layers.Dense(64)(z) * 2.0))
    model = keras_vae.VAE(of_dense().encoder, decoder)
    with pytest.raises(ValueError, match="keras.ops, here Multiply, outside of a layer"):
        keras_vae.save_to_folder(model, tmp_path)


def test_metadata_cannot_say_how_a_model_is_built(plain, tmp_path):
    model = keras_vae.mlp_vae((8, 8, 1), 3, (4,))
    keras_vae.save_to_folder(model, tmp_path)
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    (tmp_path / "metadata.json").write_text(json.dumps({**metadata, "architecture": plain}))
    assert type(keras_vae.load(tmp_path).encoder.layers[-1]).__name__ == "Dense"
    assert keras_vae.load(tmp_path).made_by["factory"] == "mlp_vae"


FRESH = """
import sys, numpy as np, keras_vae
folder = sys.argv[1]
x = np.load(f"{folder}/x.npy")
results = {name: keras_vae.load(f"{folder}/{name}").reconstruct(x) for name in sys.argv[2:]}
np.savez(f"{folder}/results.npz", **results)
"""


@pytest.mark.long
def test_another_process_loads_them_without_the_code_that_made_them(tmp_path):
    models = {make.__name__: make() for make in MODELS}
    for name, model in models.items():
        model.reconstruct(X)  # which builds it
        keras_vae.save_to_folder(model, tmp_path / name)
    np.save(tmp_path / "x.npy", X)
    subprocess.run([sys.executable, "-c", FRESH, tmp_path, *models], check=True)
    with np.load(tmp_path / "results.npz") as file:
        results = dict(file)
    for name, model in models.items():
        np.testing.assert_allclose(results[name], model.reconstruct(X), atol=1e-5)
