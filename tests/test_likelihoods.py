"""Tests of likelihoods against SciPy's densities."""

import itertools
import math

import keras
import numpy as np
import pytest
from scipy import stats

import keras_vae
from keras_vae import likelihoods
from keras_vae.likelihoods import Bernoulli, Gaussian, LearnedGaussian


def numpy(t):
    return keras.ops.convert_to_numpy(t)


def tensor(a):
    return keras.ops.convert_to_tensor(np.asarray(a, "float32"))


def test_bernoulli_log_prob_equals_scipy(binary):
    logits = np.random.default_rng(1).normal(size=binary.shape).astype("float32")
    expected = stats.bernoulli.logpmf(binary, 1 / (1 + np.exp(-logits.astype("float64"))))
    got = numpy(Bernoulli().log_prob(tensor(binary), tensor(logits)))
    np.testing.assert_allclose(got, expected.sum((1, 2, 3)), rtol=1e-5)


def test_bernoulli_probabilities_of_all_images_sum_to_one():
    x = np.array(list(itertools.product([0, 1], repeat=6)), "float32")
    logits = np.broadcast_to(np.array([-3, -1, 0, 0.5, 2, 5], "float32"), x.shape)
    got = numpy(Bernoulli().log_prob(tensor(x), tensor(logits)))
    assert np.exp(got.astype("float64")).sum() == pytest.approx(1, abs=1e-5)


def test_bernoulli_log_prob_of_huge_logits_is_finite_and_exact():
    got = numpy(Bernoulli().log_prob(tensor([[1, 0], [0, 1]]), tensor([[1e4, -1e4], [1e4, -1e4]])))
    np.testing.assert_allclose(got, [0, -2e4])


@pytest.mark.parametrize("scale", [0.1, math.sqrt(0.5), 1, 3.0])
def test_gaussian_log_prob_equals_scipy(grey, scale):
    mean = np.random.default_rng(1).normal(size=grey.shape).astype("float32")
    expected = stats.norm.logpdf(grey.astype("float64"), mean, scale).sum((1, 2, 3))
    got = numpy(Gaussian(scale).log_prob(tensor(grey), tensor(mean)))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.5)])
def test_several_outputs_are_compared_with_the_same_data(binary, likelihood):
    outputs = np.random.default_rng(1).normal(size=(3, *binary.shape)).astype("float32")
    got = numpy(likelihood.log_prob(tensor(binary), tensor(outputs)))
    each = [numpy(likelihood.log_prob(tensor(binary), tensor(output))) for output in outputs]
    np.testing.assert_allclose(got, each, rtol=1e-5)


def test_log_prob_is_computed_in_float32_for_outputs_of_any_dtype(binary):
    outputs = np.random.default_rng(1).normal(size=binary.shape).astype("float16")
    for likelihood in (Bernoulli(), Gaussian()):
        half = likelihood.log_prob(tensor(binary), keras.ops.convert_to_tensor(outputs))
        full = likelihood.log_prob(tensor(binary), tensor(outputs))
        assert keras.backend.standardize_dtype(half.dtype) == "float32"
        np.testing.assert_allclose(numpy(half), numpy(full), rtol=1e-6)


def test_samples_have_the_mean_and_spread_of_the_likelihood():
    outputs = tensor(np.broadcast_to(np.array([-2, 0, 1.5]), (20000, 3)))
    draws = numpy(Bernoulli().sample(outputs, seed=keras.random.SeedGenerator(0)))
    assert set(np.unique(draws)) == {0, 1}
    # Standard errors: 0.5 / sqrt(20000) = 0.0035 and 0.3 / sqrt(20000) = 0.002; five of them.
    np.testing.assert_allclose(draws.mean(0), numpy(Bernoulli().mean(outputs))[0], atol=0.018)
    draws = numpy(Gaussian(0.3).sample(outputs, seed=keras.random.SeedGenerator(0)))
    np.testing.assert_allclose(draws.mean(0), [-2, 0, 1.5], atol=0.011)
    np.testing.assert_allclose(draws.std(0), 0.3, atol=0.01)


def test_binarised_grey_values_have_the_grey_value_as_their_mean():
    grey = np.broadcast_to(np.array([0, 0.1, 0.5, 0.9, 1], "float32"), (20000, 5))
    uniform = np.random.default_rng(0).random
    draws = numpy(Bernoulli().observe(tensor(grey), lambda shape: tensor(uniform(grey.shape))))
    assert set(np.unique(draws)) == {0, 1}
    np.testing.assert_allclose(draws.mean(0), grey[0], atol=0.018)


def test_binary_data_is_observed_unchanged(binary):
    uniform = np.random.default_rng(0).random(binary.shape, dtype="float32")
    observed = Bernoulli().observe(tensor(binary), lambda shape: tensor(uniform))
    np.testing.assert_array_equal(numpy(observed), binary)


def test_a_gaussian_likelihood_observes_data_unchanged(grey):
    np.testing.assert_array_equal(Gaussian().observe(grey, None), grey)


@pytest.mark.parametrize("scale", [0, -1, math.nan, math.inf, "1", True, None, [1.0], 1e-30, 1e39])
def test_gaussian_refuses_an_invalid_scale(scale):
    with pytest.raises(ValueError, match="scale must be"):
        Gaussian(scale)


@pytest.mark.parametrize(
    ("value", "remedy"),
    [(-0.1, r"pass \(x \+ 1\) / 2"), (1.1, "Divide by 255, pass uint8"), (255, "Divide by 255")],
)
def test_bernoulli_refuses_values_outside_0_to_1(value, remedy):
    with pytest.raises(ValueError, match=rf"values in \[0, 1\].*{remedy}"):
        Bernoulli().check(np.array([[0.5, value]]))


def test_get_takes_a_name_a_dict_or_an_object():
    assert isinstance(likelihoods.get("bernoulli"), Bernoulli)
    assert likelihoods.get("gaussian").scale == 1
    assert likelihoods.get({"name": "gaussian", "scale": 0.1}).scale == 0.1
    mine = Gaussian(0.2)
    assert likelihoods.get(mine) is mine


@pytest.mark.parametrize("wrong", ["gauss", None, 3, {"scale": 1}])
def test_get_lists_the_likelihoods(wrong):
    with pytest.raises(ValueError, match=r"one of \['bernoulli', 'categorical', 'disc"):
        likelihoods.get(wrong)


def test_a_likelihood_survives_serialisation():
    saved = keras.saving.serialize_keras_object(Gaussian(0.2))
    assert keras.saving.deserialize_keras_object(saved).scale == 0.2


@pytest.mark.parametrize("scale", [0.1, 2.0])
def test_a_learned_scale_gives_the_same_density_as_a_fixed_one(grey, scale):
    mean = np.random.default_rng(1).normal(size=(2, *grey.shape)).astype("float32")
    got = LearnedGaussian(scale).log_prob(tensor(grey), tensor(mean))
    expected = Gaussian(scale).log_prob(tensor(grey), tensor(mean))
    np.testing.assert_allclose(numpy(got), numpy(expected), rtol=1e-5)
    outputs, seed = tensor(np.zeros((20000, 2))), keras.random.SeedGenerator(0)
    draws = numpy(LearnedGaussian(scale).sample(outputs, seed=seed))
    np.testing.assert_allclose(draws.std(0), scale, rtol=0.04)  # its standard error is 0.5 %
    np.testing.assert_array_equal(LearnedGaussian(scale).mean(outputs), outputs)


def test_a_learned_scale_converges_to_the_root_mean_squared_error(vectors):
    model = keras_vae.mlp_vae((8,), 2, (), likelihood="learned_gaussian", seed=0)
    model.encoder.trainable = model.decoder.trainable = False
    model.encoder.set_weights([0 * weight for weight in model.encoder.get_weights()])
    model.decoder.set_weights([0 * weight for weight in model.decoder.get_weights()])
    assert len(model.trainable_variables) == 1
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(np.tile(vectors, (25, 1)), batch_size=12, epochs=8, shuffle=False, verbose=0)
    # The decoder's outputs are all 0, so the error is the data itself.
    assert model.likelihood.scale == pytest.approx(np.sqrt(np.mean(vectors**2)), rel=1e-3)
    loss = model.evaluate(vectors, verbose=0, return_dict=True)["distortion"]
    assert loss == pytest.approx(4 * (1 + math.log(2 * math.pi * np.mean(vectors**2))), rel=1e-3)


@pytest.mark.usefixtures("eager")
def test_a_learned_scale_is_saved_and_loaded(make, grey, tmp_path):
    model = make("mlp_vae", likelihood={"name": "learned_gaussian", "scale": 0.5})
    model.fit(grey, epochs=3, verbose=0)
    scale, elbo = model.likelihood.scale, model.elbo(grey, seed=0)
    assert scale != 0.5
    model.save(tmp_path / "model.keras")
    keras_vae.save_to_folder(model, tmp_path / "folder")
    for again in (
        keras.saving.load_model(tmp_path / "model.keras"),
        keras_vae.load(tmp_path / "folder"),
    ):
        assert again.likelihood.scale == pytest.approx(scale, rel=1e-6)
        np.testing.assert_allclose(again.elbo(grey, seed=0), elbo, rtol=1e-5)
        assert again.likelihood.initial.scale == 0.5
    again.fit(grey, epochs=1, verbose=0)
    assert again.likelihood.scale != pytest.approx(scale, rel=1e-6)  # it is still trained


def test_the_initial_scale_of_a_learned_gaussian_is_checked():
    with pytest.raises(ValueError, match="scale must be"):
        LearnedGaussian(0)
