"""Codes in the units of a diffusion model."""

import keras
import numpy as np
import pytest
from conftest import quick_first

import keras_vae

pytestmark = pytest.mark.usefixtures("eager")


def test_scaling_is_that_of_diffusers_and_its_inverse(make):
    model = make("kl_vae", latent_scale=0.3611, latent_shift=0.1159)
    z = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype("float32")
    scaled = model.scale_latents(z)
    np.testing.assert_allclose(scaled, (z - 0.1159) * 0.3611, rtol=1e-6)
    np.testing.assert_allclose(model.unscale_latents(scaled), z, rtol=1e-5, atol=1e-6)
    assert scaled.dtype == "float32"


def test_models_of_no_diffusion_model_leave_codes_as_they_are(make, grey):
    model = make("conv_vae")
    z = model.encode(grey)
    np.testing.assert_array_equal(model.scale_latents(z), z)


@pytest.mark.parametrize("factory", quick_first(["tiny_autoencoder", "conv_vae", "kl_vae"], 2))
def test_the_scale_may_be_set_after_training_and_is_saved(make, grey, tmp_path, factory):
    model = make(factory)
    model.latent_scale, model.latent_shift = 1 / model.encode(grey).std(), 0.25
    keras_vae.save_to_folder(model, tmp_path / "folder")
    model.save(tmp_path / "model.keras")
    loaded = keras_vae.load(tmp_path / "folder")
    for again in (loaded, keras.saving.load_model(tmp_path / "model.keras")):
        assert again.latent_scale == model.latent_scale
        assert again.latent_shift == 0.25


@pytest.mark.parametrize("value", [0, float("nan"), float("inf"), "1", None, True])
def test_a_scale_is_a_finite_number_other_than_0(make, value):
    with pytest.raises(ValueError, match="latent_scale must"):
        make("tiny_autoencoder", latent_scale=value)


def test_numbers_of_a_codebook_are_not_scaled_but_its_vectors_are(make, grey):
    model = make("vq_gan", latent_scale=0.5)
    codes = model.encode(grey)
    with pytest.raises(ValueError, match="z must hold float codes"):
        model.scale_latents(codes)
    vectors = keras.ops.convert_to_numpy(model.latent.embed(codes))
    np.testing.assert_array_equal(model.scale_latents(vectors), vectors / 2)


@pytest.mark.parametrize("factory", ["tiny_autoencoder", "kl_vae"])
def test_the_prior_of_such_a_model_is_a_diffusion_model(make, factory):
    with pytest.raises(ValueError, match="The prior of this autoencoder is a diffusion model"):
        make(factory).generate(1)
