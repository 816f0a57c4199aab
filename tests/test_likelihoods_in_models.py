"""Likelihoods that have a name, in models: trained, measured, saved, exported and explored."""

import math

import keras
import numpy as np
import pytest
from conftest import on_default_backend
from likelihood_cases import numpy

import keras_vae
from keras_vae import explorer
from keras_vae.likelihoods import LIKELIHOODS

RNG = np.random.default_rng(0)
LEVELS = RNG.integers(0, 256, (16, 8, 8, 3)).astype("uint8")
DATA = {
    "levels": LEVELS,
    "counts": RNG.poisson(3, LEVELS.shape).astype("uint8"),
    "reals": LEVELS / np.float32(255),
}
EAGERLY = keras.backend.backend() != "jax"  # where tracing a small model takes longer
OFTEN_USED = {"bernoulli", "gaussian", "learned_gaussian", "image_gaussian"}  # by other tests
OUTPUTS_OF_A_COLOUR = {"discretised_logistic": 6, "logistic_mixture": 100, "categorical": 768}


@pytest.fixture(scope="module", params=[name for name in LIKELIHOODS if name not in OFTEN_USED])
def fitted(request):
    """A likelihood's name, a small model with it, and the data that it was trained on."""
    keras.utils.set_random_seed(0)
    arguments = {"latent_dim": 2, "hidden_units": (8,), "seed": 0}
    model = keras_vae.mlp_vae((8, 8, 3), likelihood=request.param, **arguments)
    x = DATA[model.likelihood.observes]
    model.compile(keras.optimizers.Adam(3e-3), run_eagerly=EAGERLY)
    history = model.fit(x, batch_size=8, epochs=4, verbose=0).history["loss"]
    assert history[-1] < history[0]
    return request.param, model, x


def test_bits_per_dim_are_reported_for_probabilities_and_refused_for_densities(fitted):
    _, model, x = fitted
    figures = keras_vae.evaluate(model, x, num_samples=3)
    if model.likelihood.observes == "reals":
        assert "bits_per_dim" not in figures
        kind = type(model.likelihood).__name__
        with pytest.raises(ValueError, match=f"{kind} is a density, which depends on the units"):
            model.likelihood.bits_per_dim(figures["nll"], 192)
        return
    assert figures["bits_per_dim"] == pytest.approx(figures["nll"] / 192 / math.log(2))
    nll = -model.log_likelihood(x, 3, seed=0).mean(dtype="float64")
    assert model.likelihood.bits_per_dim(nll, 192) == pytest.approx(figures["bits_per_dim"])


@pytest.mark.parametrize("name", OUTPUTS_OF_A_COLOUR)
def test_levels_cost_about_eight_bits_before_anything_is_known(name):
    model = keras_vae.mlp_vae((8, 8, 3), 2, (8,), likelihood=name, seed=0)
    x = keras.ops.convert_to_tensor(model.likelihood.read(LEVELS))
    nll = -numpy(model.terms(x).log_prob).mean()
    assert 7.5 < model.likelihood.bits_per_dim(nll, 192) < 10


def test_it_generates_reconstructs_and_samples_what_it_observes(fitted):
    _, model, x = fitted
    for images in (model.generate(3, seed=0), model.reconstruct(x[:3])):
        assert images.shape == (3, 8, 8, 3) and np.isfinite(images).all()
    outputs = model.decoder(np.zeros((3, 2), "float32"))
    draws = model.likelihood.sample(outputs, keras.random.SeedGenerator(0))
    assert draws.shape == (3, 8, 8, 3)
    model.likelihood.check(numpy(draws))
    assert np.isfinite(numpy(model.terms(draws).log_prob)).all()


def log_prob(model, x):
    x = keras.ops.convert_to_tensor(model.likelihood.read(x))
    outputs = model.decoder(np.ones((len(x), 2), "float32"))
    return numpy(model.likelihood.log_prob(x, outputs))


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_it_computes_in_float32_whatever_the_decoder_returns(name, default_of_float64):
    likelihood = keras_vae.likelihoods.get(name)
    x = np.ones((4, 2, 2), "float32")  # binary, a level, a count and a real number
    shape = (4, *likelihood.output_shape((2, 2)))
    outputs = RNG.normal(size=shape).astype("float16")
    given = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(outputs)
    single = keras.ops.convert_to_tensor(outputs.astype("float32"))
    log_p = likelihood.log_prob(*given)
    np.testing.assert_allclose(
        numpy(log_p), numpy(likelihood.log_prob(given[0], single)), rtol=1e-6
    )
    for value in (log_p, likelihood.mean(given[1]), likelihood.sample(given[1])):
        assert keras.backend.standardize_dtype(value.dtype) == "float32"


@pytest.fixture
def default_of_float64():
    if keras.backend.backend() != "jax":  # which has no float64
        keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


def test_a_folder_and_a_keras_file_hold_it(fitted, tmp_path):
    name, model, x = fitted
    keras_vae.save_to_folder(model, tmp_path / "model")
    model.save(tmp_path / "model.keras")
    assert keras_vae.info(str(tmp_path / "model"))["likelihood"] == name
    for again in (
        keras_vae.load(tmp_path / "model"),
        keras.saving.load_model(tmp_path / "model.keras"),
    ):
        assert again.likelihood.get_config() == model.likelihood.get_config()
        np.testing.assert_allclose(log_prob(again, x), log_prob(model, x), rtol=1e-5)


@pytest.mark.parametrize(
    "likelihood",
    [
        {"name": "logistic_mixture", "components": 2, "num_levels": 8},
        keras_vae.likelihoods.StudentT(df=3.0, min_scale=0.01),
    ],
    ids=["mixture", "student"],
)
def test_its_arguments_are_part_of_a_folder(likelihood, tmp_path):
    model = keras_vae.mlp_vae((4, 4, 1), 2, (8,), likelihood=likelihood)
    keras_vae.save_to_folder(model, tmp_path / "model")
    again = keras_vae.load(tmp_path / "model")
    assert again.likelihood.get_config() == model.likelihood.get_config() != {}
    assert again.decoder.output_shape == model.decoder.output_shape


EXPORTED = ("discretised_logistic", "logistic_mixture", "categorical", "negative_binomial")


@on_default_backend
@pytest.mark.parametrize("name", EXPORTED)
def test_its_mean_is_exported(name, tmp_path):
    model = keras_vae.mlp_vae((2, 2, 3), 2, (4,), likelihood=name)
    said = keras_vae.export(model, tmp_path / "exported", format="saved_model")  # which compares
    assert said["likelihood"] == name and {"encoder", "decoder", "generator"} == set(said["graphs"])


@on_default_backend
@pytest.mark.long
@pytest.mark.parametrize("format", ["onnx", "tflite"])
@pytest.mark.parametrize("name", ["logistic_mixture", "categorical"])
def test_means_of_many_operations_are_exported_in_other_formats_too(name, format, tmp_path):
    model = keras_vae.mlp_vae((2, 2, 3), 2, (4,), likelihood={"name": name, "num_levels": 9})
    said = keras_vae.export(model, tmp_path / "exported", format=format)
    assert said["preprocessing"].startswith("uint8 is divided by 8; float32 in [0, 1], as mult")
    assert "multiples of 1/8;" in said["preprocessing"]


def test_it_is_explored_or_refused_by_name(fitted):
    name, model, x = fitted
    if name != "categorical":
        assert model.name in explorer.render(model, x)
        return
    with pytest.raises(ValueError, match="but categorical, and not the mean of Categorical"):
        explorer.render(model, x)


def test_decoders_of_all_factories_return_what_it_takes(make, factory):
    model = make(factory, (8, 8, 3), likelihood="logistic_mixture")
    assert model.decoder.output_shape[1:] == (8, 8, 100)


@pytest.mark.parametrize("name", OUTPUTS_OF_A_COLOUR)
def test_convolutions_train_on_levels_and_refuse_what_lies_between_them(make, name):
    model = make("conv_vae", (8, 8, 3), likelihood=name)
    assert model.decoder.output_shape[1:] == (8, 8, OUTPUTS_OF_A_COLOUR[name])
    model.compile(run_eagerly=EAGERLY)
    assert np.isfinite(model.train_on_batch(LEVELS[:4], return_dict=True)["loss"])
    for ask in (model.fit, model.elbo, model.encode, model.evaluate):
        with pytest.raises(ValueError, match="takes 256 levels: uint8, or multiples of 1/255"):
            ask(LEVELS / np.float32(256))
