"""Tests of the prior over codes: normalised, causal, trained by fit, sampled by generate."""

import keras
import numpy as np
import pytest
from keras import ops
from rewinding import rewinder

import keras_vae
from keras_vae.priors import CodeTransformer


def small(positions=(2, 2), num_codes=3, seed=0, scale=0.5):
    """A small prior with perturbed weights."""
    prior = CodeTransformer(8, 2, 2)
    prior.build((None, *positions, num_codes))
    rng = np.random.default_rng(seed)
    for weight in prior.weights:
        value = ops.convert_to_numpy(weight)
        if value.dtype.kind == "f":
            weight.assign(value + scale * rng.standard_normal(value.shape))
    return prior


def all_codes(positions, num_codes):
    grid = np.indices((num_codes,) * int(np.prod(positions))).reshape(np.prod(positions), -1).T
    return grid.reshape(-1, *positions).astype("int32")


def test_the_probabilities_of_all_codes_sum_to_one():
    log_p = ops.convert_to_numpy(small().log_prob(all_codes((2, 2), 3)))
    assert np.exp(log_p.astype("float64")).sum() == pytest.approx(1.0, abs=1e-5)
    assert np.ptp(log_p) > 1  # and it is not uniform


def test_a_code_depends_only_on_earlier_codes():
    prior = small((2, 3), 5)
    codes = np.random.default_rng(1).integers(0, 5, (1, 6)).astype("int32")
    logits = ops.convert_to_numpy(prior.logits(codes))
    for t in range(6):
        changed = codes.copy()
        changed[0, t] = (changed[0, t] + 1) % 5
        other = ops.convert_to_numpy(prior.logits(changed))
        np.testing.assert_allclose(other[0, : t + 1], logits[0, : t + 1], atol=1e-5)
        if t < 5:
            assert np.abs(other[0, t + 1 :] - logits[0, t + 1 :]).max() > 1e-3


def test_samples_have_the_probabilities_of_the_prior():
    prior = small((2, 1), 3)
    codes = prior.sample(20_000, np.random.default_rng(0))
    assert codes.dtype == np.int32 and codes.shape == (20_000, 2, 1)
    every = all_codes((2, 1), 3)
    p = np.exp(ops.convert_to_numpy(prior.log_prob(every)))
    share = [(codes == one).all(axis=(1, 2)).mean() for one in every]
    np.testing.assert_allclose(share, p, atol=0.015)


def test_sampling_with_cached_keys_equals_running_the_whole_network_for_each_code():
    prior = small((2, 3), 5)
    codes = prior.sample(4, np.random.default_rng(2)).reshape(4, 6)
    rng, again = np.random.default_rng(2), np.zeros((4, 6), "int32")
    for t in range(6):
        logits = ops.convert_to_numpy(prior.logits(again))[:, t].astype("float64")
        cumulative = np.cumsum(np.exp(logits), axis=1)
        u = rng.random((4, 1)) * cumulative[:, -1:]
        again[:, t] = (cumulative < u).sum(axis=1)
    np.testing.assert_array_equal(codes, again)


@pytest.fixture(scope="module")
def stripes():
    """Images, half of them dark and half bright: one bit each, whatever the number of positions."""
    x = np.zeros((64, 8, 8, 1), "float32")
    x[32:] = 1.0
    return x


def vq(**arguments):
    keras.utils.set_random_seed(0)
    arguments = {"prior": {"name": "transformer", "width": 8, "blocks": 1, "heads": 2}} | arguments
    return keras_vae.vq_vae((8, 8, 1), 4, 2, (4, 4), blocks=0, seed=0, **arguments)


@pytest.fixture(scope="module")
def trained(stripes):
    """A model that was trained on the stripes, and its rate on them before."""
    model = vq()
    before = keras_vae.evaluate(model, stripes)["rate"]
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(stripes, batch_size=16, epochs=30, verbose=0)
    return model, before


def test_after_fit_codes_are_shorter_than_under_the_uniform_prior(trained, stripes):
    model, before = trained
    uniform = 4 * np.log(4)
    measured = keras_vae.evaluate(model, stripes)
    assert abs(uniform - before) < 8  # a new prior is nearly uniform
    assert measured["rate"] < 2.0  # one bit is 0.69 nats
    assert measured["elbo"] == pytest.approx(-measured["rate"] - measured["distortion"], rel=1e-5)
    log_p = ops.convert_to_numpy(model.latent.prior.log_prob(model.encode(stripes)))
    assert measured["rate"] == pytest.approx(-log_p.mean(), rel=1e-5)
    assert measured["nll"] == pytest.approx(-measured["elbo"], rel=1e-5)  # the posterior is a point


def test_generate_decodes_samples_of_the_prior(trained):
    model, _ = trained
    images = model.generate(5, seed=3)
    assert images.shape == (5, 8, 8, 1) and np.isfinite(images).all()
    np.testing.assert_array_equal(images, model.generate(5, seed=3))
    codes = model.latent.sample_prior(5, np.random.default_rng(3))
    np.testing.assert_allclose(model.decode(codes), images, atol=1e-6)


@pytest.mark.usefixtures("eager")
def test_the_rate_has_no_gradient_for_encoder_and_codes(stripes):
    """Whatever beta is, only the prior is trained by the rate."""
    weights, model = [], vq()
    model.compile(keras.optimizers.SGD(1e-3))
    again = rewinder(model)
    for beta in (0.0, 10.0):
        again().beta = beta
        model.fit(stripes, batch_size=32, epochs=2, shuffle=False, verbose=0)
        weights.append([ops.convert_to_numpy(w) for w in model.encoder.weights])
    for first, second in zip(*weights):
        np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.long
def test_a_fixed_codebook_stays_while_the_prior_learns(stripes):
    model = vq(codebook_update="fixed")
    model.encoder.trainable = model.decoder.trainable = False
    model.compile(keras.optimizers.Adam(1e-2))
    parts = (model.encoder.weights, model.decoder.weights, [model.latent.codebook.anchor])
    before = [ops.convert_to_numpy(w) for part in parts for w in part]
    rate = keras_vae.evaluate(model, stripes)["rate"]
    model.fit(stripes, batch_size=16, epochs=10, verbose=0)
    after = [ops.convert_to_numpy(w) for part in parts for w in part]
    for a, b in zip(after, before):
        np.testing.assert_array_equal(a, b)
    assert keras_vae.evaluate(model, stripes)["rate"] < rate


def test_the_prior_is_saved_and_loaded(trained, stripes, tmp_path):
    model, _ = trained
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again.elbo(stripes), model.elbo(stripes), rtol=1e-5)
    keras_vae.save_to_folder(model, tmp_path / "m")
    again = keras_vae.load(tmp_path / "m")
    np.testing.assert_allclose(again.elbo(stripes), model.elbo(stripes), rtol=1e-5)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("pixelcnn", "prior must be an object of keras_vae.priors, such as CodeTransformer"),
        (keras_vae.priors.RealNVP(), "prior must be an object of keras_vae.priors"),
        ({"name": "transformer", "width": 6, "heads": 4}, "heads must divide width"),
        ({"name": "transformer", "blocks": 0}, "blocks must be a whole number >= 1"),
        ({"name": "transformer", "dropout": 1.5}, "dropout must be a finite number in"),
    ],
)
def test_a_prior_that_is_not_over_codes_is_refused(prior, message):
    with pytest.raises(ValueError, match=message):
        vq(prior=prior)


def test_a_prior_over_codes_is_refused_for_continuous_latents():
    with pytest.raises(ValueError, match="prior must be an object of keras_vae.priors"):
        keras_vae.mlp_vae((6,), 2, prior=CodeTransformer())
