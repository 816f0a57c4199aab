"""Autoencoders of other libraries are models like any other: trained, saved, loaded, measured."""

import foreign_files
import keras
import numpy as np
import pytest
from foreign_files import CONFIGS

import keras_vae

# Those that take seconds to build each time.
SLOW = {"AutoencoderKL": pytest.mark.long, "VQModel": pytest.mark.long}


@pytest.fixture(
    scope="module", params=[pytest.param(k, marks=SLOW.get(k, ())) for k in sorted(CONFIGS)]
)
def folder(request, tmp_path_factory):
    """The folder of a small model of each class."""
    folder = tmp_path_factory.mktemp(request.param)
    for name, content in foreign_files.files(request.param).items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    """A small model of each class, which no test changes."""
    return keras_vae.load(folder, compile=False)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random((4, 8, 4, 3), dtype="float32")


def values(part):
    return [keras.ops.convert_to_numpy(weight) for weight in part.weights]


def outputs(model, x):
    return np.concatenate(
        [keras.ops.convert_to_numpy(t).ravel() for t in (model.encoder(x), model(x))]
    )


@pytest.mark.usefixtures("eager")
def test_it_is_saved_and_loaded_as_a_folder_and_as_a_file_of_keras(folder, x, tmp_path):
    model = keras_vae.load(folder, compile=False)
    expected = outputs(model, x)
    model.latent_scale, model.latent_shift = 0.75, -0.125
    keras_vae.save_to_folder(model, tmp_path / "mine")
    model.save(tmp_path / "mine.keras")
    for loaded in (
        keras_vae.load(tmp_path / "mine"),
        keras.saving.load_model(tmp_path / "mine.keras"),
    ):
        assert (loaded.latent_scale, loaded.latent_shift) == (0.75, -0.125)
        np.testing.assert_allclose(outputs(loaded, x), expected, rtol=1e-5, atol=1e-6)
        z = np.ones((1, 4, 2, model.code_spec(x.shape[1:]).shape[-1]), "float32")
        np.testing.assert_allclose(loaded.scale_latents(z), (z + 0.125) * 0.75, rtol=1e-6)
        np.testing.assert_allclose(loaded.unscale_latents(loaded.scale_latents(z)), z, rtol=1e-6)


def test_with_a_frozen_encoder_a_step_changes_the_decoder_only(folder, x):
    model = keras_vae.load(folder)
    model.encoder.trainable = False
    model.compile(keras.optimizers.SGD(1e-6))
    before = {part: values(getattr(model, part)) for part in ("encoder", "decoder")}
    model.fit(x, batch_size=4, epochs=1, verbose=0)
    for part, old in before.items():
        changed = [not np.array_equal(a, b) for a, b in zip(old, values(getattr(model, part)))]
        assert any(changed) == (part == "decoder")


@pytest.mark.long
def test_the_codebook_is_not_made_anew_by_the_first_batch(tmp_path, x):
    given = foreign_files.tensors("VQModel")
    for name, content in foreign_files.files("VQModel", given).items():
        (tmp_path / name).write_bytes(content)
    model = keras_vae.load(tmp_path)
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(x, batch_size=2, epochs=2, verbose=0)
    vectors = keras.ops.convert_to_numpy(model.latent.codebook.vectors)
    np.testing.assert_array_equal(vectors, given["quantize.embedding.weight"])


def test_what_a_diffusion_model_gives_is_its_prior(model):
    if isinstance(model.latent, keras_vae.latents.VectorQuantizer):
        with pytest.raises(ValueError, match="prior"):
            model.generate(1, size=(8, 8))
        return
    with pytest.raises(ValueError, match="prior of this autoencoder is a diffusion model"):
        model.generate(1, size=(8, 8))


def test_it_is_measured_like_any_other(model, x):
    figures = keras_vae.evaluate(model, x, num_samples=2)
    assert np.isfinite([figures[key] for key in ("mse", "psnr")]).all()
    np.testing.assert_allclose(figures["mse"], np.mean((model.reconstruct(x) - x) ** 2), rtol=1e-4)


def test_integers_of_eight_bits_and_floats_are_the_same_images(model, x):
    grey = (255 * x).round().astype("uint8")
    expected = outputs(model, grey / np.float32(255))
    got = np.concatenate(
        [
            keras.ops.convert_to_numpy(model.encoder(model.likelihood.read(grey))).ravel(),
            keras.ops.convert_to_numpy(model(grey)).ravel(),
        ]
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("upcast", [True, False])
@pytest.mark.usefixtures("eager")
def test_the_vae_of_sdxl_warns_of_float16_unless_it_was_mended(tmp_path, upcast):
    changes = {"scaling_factor": 0.13025, "force_upcast": upcast}
    for name, content in foreign_files.files("AutoencoderKL", **changes).items():
        (tmp_path / name).write_bytes(content)
    keras_vae.load(tmp_path)  # warnings are errors
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        if upcast:
            with pytest.warns(UserWarning, match="overflow in float16.*sdxl-vae-fp16-fix"):
                keras_vae.load(tmp_path)
        else:
            keras_vae.load(tmp_path)
    finally:
        keras.config.set_dtype_policy(policy)


@pytest.mark.usefixtures("eager")
def test_a_model_of_any_size_is_loaded_at_one(folder, x):
    model = keras_vae.load(folder, compile=False)
    fixed = keras_vae.load(folder, input_shape=(8, 4, None), compile=False)
    assert fixed.data_shape == (8, 4, 3)
    np.testing.assert_allclose(outputs(fixed, x), outputs(model, x), rtol=1e-5, atol=1e-6)
    for wrong in ((8, 4, 1), (8, 4), 8, (8.0, 4, 3)):
        with pytest.raises(ValueError, match="input_shape"):
            keras_vae.load(folder, input_shape=wrong)
