"""Files of Keras's own, and messages about what cannot be kept in them."""

import keras
import numpy as np
import pytest
from conftest import on_default_backend

import keras_vae
from keras_vae.latents import PointLatent, VectorQuantizer


@pytest.mark.parametrize("name", ["m.h5", "m.hdf5"])
@pytest.mark.parametrize("factory", ["mlp_vae", "vq_vae"])
def test_a_legacy_file_that_nothing_could_read_back_is_refused(make, tmp_path, factory, name):
    model, path = make(factory), tmp_path / name
    path.write_bytes(b"earlier")
    with pytest.raises(ValueError, match="Use model.save"):
        model.save(path)
    assert path.read_bytes() == b"earlier"
    with pytest.raises(ValueError, match="Use model.save"):
        keras.saving.save_model(model, path)
    with pytest.raises(ValueError, match=r"\.weights\.h5"):
        model.save_weights(path)


@pytest.mark.long
@on_default_backend
def test_a_model_that_was_only_loaded_is_exported_by_keras(make, grey, tmp_path):
    import tensorflow as tf

    make("mlp_vae").save(tmp_path / "m.keras")
    for model in (keras.saving.load_model(tmp_path / "m.keras"), make("mlp_vae")):
        model.export(tmp_path / "exported", verbose=False)
        exported = tf.saved_model.load(tmp_path / "exported")
        np.testing.assert_allclose(exported.serve(grey), model.reconstruct(grey), atol=1e-6)


@pytest.mark.parametrize(
    ("latent", "message"),
    [
        (None, r"a list \[mean, log_var\], or one tensor .* a dict with the keys 'mean', 'scale'"),
        (PointLatent(), "one tensor, the code, .* a dict with the keys 'mean', 'scale'"),
        (VectorQuantizer(4, 3), r"one tensor, \(n, .* a dict with the keys 'mean', 'scale'"),
    ],
)
def test_an_encoder_that_returns_a_dict_is_refused(latent, message):
    x = keras.Input((8,))
    encoder = keras.Model(x, {"mean": keras.layers.Dense(3)(x), "scale": keras.layers.Dense(3)(x)})
    decoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(8)])
    with pytest.raises(ValueError, match=message):
        keras_vae.VAE(encoder, decoder, latent)


@pytest.mark.usefixtures("eager")
def test_bytes_as_floats_are_warned_of_once(make, grey):
    pixels = np.rint(255 * grey)
    model = make("mlp_vae", likelihood="gaussian")
    with pytest.warns(UserWarning, match="Pass uint8, or divide by 255") as caught:
        for _ in range(2):
            model.encode(pixels)
            model.train_on_batch(pixels)
    # On torch Keras warns of things of its own.
    assert sum("divide by 255" in str(warning.message) for warning in caught) == 1
    for fine in (grey, pixels.astype("uint8"), pixels + 0.5, pixels - 128):
        make("mlp_vae", likelihood="gaussian").encode(fine)  # warnings are errors


def test_a_message_does_not_list_the_numbers_of_an_array(make, grey):
    model = make("mlp_vae")
    for call in (lambda: model.generate(grey), lambda: keras_vae.mlp_vae((8, 8, 1), beta=grey)):
        with pytest.raises(ValueError, match=r"Received: an array of shape \(12, 8, 8, 1\)$"):
            call()


def test_code_usage_says_what_it_takes(make, grey):
    model = make("vq_vae")
    codes = model.encode(grey)
    with pytest.raises(ValueError, match=r"code_usage\(model.encode\(x\), model.latent.num_codes"):
        keras_vae.plots.code_usage(model, grey)
    with pytest.raises(ValueError, match="num_codes must be .* an array of shape"):
        keras_vae.plots.code_usage(codes, grey)
    assert keras_vae.plots.code_usage(codes, model.latent.num_codes).axes


@pytest.mark.parametrize("compiled", [False, True])
def test_a_model_that_was_never_trained_is_saved_whole(make, factory, compiled, tmp_path):
    model = make(factory)
    if compiled:
        model.compile(keras.optimizers.Adam(1e-2))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.compiled == compiled
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    if compiled:
        assert len(again.optimizer.variables) == len(model.optimizer.variables) > 2
