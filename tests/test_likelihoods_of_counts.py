"""Likelihoods of counts, against SciPy's, and the gamma function that they need."""

import math

import keras
import numpy as np
import pytest
from keras import ops
from likelihood_cases import ask, gradients, numpy, tensor
from scipy import special, stats

import keras_vae
from keras_vae.gamma import log_gamma, log_multisets
from keras_vae.likelihoods import NegativeBinomial, Poisson

RNG = np.random.default_rng(0)


def test_log_gamma_is_scipys():
    z = np.exp(np.linspace(-40, 30, 4001)).astype("float32")
    z = np.concatenate([z, np.linspace(0.5, 12, 2001, dtype="float32"), [1, 2, 3, 256]])
    got, expected = ask(log_gamma, z), special.gammaln(z.astype("float64"))
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=5e-6)


def test_its_gradient_is_the_digamma_function():
    z = np.exp(np.linspace(-30, 20, 501)).astype("float32")
    got = gradients(lambda t: ops.sum(log_gamma(t)), z)
    np.testing.assert_allclose(got, special.digamma(z.astype("float64")), rtol=1e-5, atol=1e-5)


def test_log_multisets_are_counted_without_cancellation():
    r = np.exp(np.linspace(-30, 38, 301))[:, None].astype("float32")
    n = np.array([0, 1, 2, 7, 40, 1000], "float32")
    # The product r (r + 1) ... (r + n - 1) / n! itself.
    each = [np.arange(int(count)) for count in n]
    wide = r[:, 0].astype("float64")
    expected = [[(np.log(a + k) - np.log(1 + k)).sum() for k in each] for a in wide]
    got = ask(log_multisets, r, n)
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-5)


def test_a_poisson_likelihood_is_scipys():
    x = np.array([[0, 1, 2, 5, 40, 300, 5000]], "float32")
    outputs = np.linspace(-10, 9, 21)[:, None, None] + np.zeros((21, 1, 7))
    got = ask(Poisson().log_prob, x, outputs)
    expected = stats.poisson.logpmf(x, np.exp(outputs)).sum(-1)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("log_r", [-8.0, -1.0, 0.0, 3.0, 12.0])
def test_a_negative_binomial_likelihood_is_scipys(log_r):
    x = np.array([[0, 1, 2, 5, 40, 300, 5000]], "float32")
    log_mean = np.linspace(-10, 9, 21)[:, None, None] + np.zeros((21, 1, 7))
    outputs = np.concatenate([log_mean, np.full_like(log_mean, log_r)], axis=-1)
    got = ask(NegativeBinomial().log_prob, x, outputs)
    mean, r = np.exp(log_mean), math.exp(log_r)
    expected = special.xlogy(x, mean / (r + mean)) + r * np.log(r / (r + mean))
    expected += special.gammaln(x.astype("float64") + r) - special.gammaln(r)
    expected = (expected - special.gammaln(x.astype("float64") + 1)).sum(-1)
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=5e-3)


@pytest.mark.parametrize("log_mean", [6.0, 9.0, 12.0, 16.0])
@pytest.mark.parametrize("log_r", [None, -2.0, 1.0, 2.0, 6.0, 10.0, 15.0, 25.0, 39.0])
def test_the_terms_of_large_counts_do_not_cancel(log_mean, log_r):
    log_mean = np.float32(log_mean)
    mean = math.exp(log_mean)
    stddev = math.sqrt(mean if log_r is None else mean + mean**2 / math.exp(log_r))
    x = np.maximum(0, np.rint(mean + stddev * np.linspace(-3, 6, 19))).astype("float32")[:, None]
    if log_r is None:
        got, expected = ask(Poisson().log_prob, x, np.full_like(x, log_mean)), _poisson(x, mean)
    else:
        outputs = np.broadcast_to([log_mean, log_r], (len(x), 2))
        got = ask(NegativeBinomial().log_prob, x, outputs)
        expected = _poisson(x, mean) if log_r > 38 else _nb(x, mean, log_r)
    # As a float32, the logarithm of a count has an error of 1e-6.
    error = np.abs(got - expected[:, 0])
    assert np.all(error < 2e-6 * np.abs(x[:, 0] - mean) + 1e-5 * np.abs(expected[:, 0]) + 1e-3)


def _poisson(x, mean):
    x = x.astype("longdouble")
    return (x * np.log(np.longdouble(mean)) - mean - _log_gamma(x + 1)).astype("float64")


def _nb(x, mean, log_r):
    x, mean, r = x.astype("longdouble"), np.longdouble(mean), np.exp(np.longdouble(log_r))
    ratio = _log_gamma(x + r) - _log_gamma(r) - _log_gamma(x + 1) - r * np.log1p(mean / r)
    return (ratio - x * np.log1p(r / mean)).astype("float64")


def _log_gamma(z):
    """In 64 bits of mantissa, of which SciPy has 53."""
    shift = np.where(z < 30, 30, 0)
    rising = sum(np.where(k < shift, np.log(z + k), 0) for k in range(30))
    z = z + shift
    series = 1 / (12 * z) - 1 / (360 * z**3) + 1 / (1260 * z**5) - 1 / (1680 * z**7)
    return (z - 0.5) * np.log(z) - z + 0.5 * np.log(2 * np.longdouble(np.pi)) + series - rising


@pytest.mark.parametrize("log_mean", [-20.0, -1.0, 0.0, 3.0])
@pytest.mark.parametrize("log_r", [-6.0, 0.0, 4.0, 60.0])
def test_probabilities_of_all_counts_sum_to_one(log_mean, log_r):
    n = 20000
    x = np.arange(n, dtype="float32")[:, None]
    for likelihood, outputs in (
        (Poisson(), [log_mean]),
        (NegativeBinomial(), [log_mean, log_r]),
    ):
        log_p = ask(likelihood.log_prob, x, np.broadcast_to(outputs, (n, len(outputs))))
        assert np.exp(log_p.astype("float64")).sum() == pytest.approx(1, abs=1e-4)


def test_a_negative_binomial_of_large_r_is_poissons():
    x = RNG.poisson(20, (5, 30)).astype("float32")
    log_mean = RNG.normal(3, 0.3, (5, 30))
    expected = ask(Poisson().log_prob, x, log_mean)
    for log_r in (25.0, 40.0, 1e6):
        outputs = np.concatenate([log_mean, np.full_like(log_mean, log_r)], axis=-1)
        got = ask(NegativeBinomial().log_prob, x, outputs)
        np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("likelihood", [Poisson(), NegativeBinomial()], ids=["poisson", "nb"])
@pytest.mark.parametrize("spread", [1.0, 10.0, 1e3, 1e20])
def test_values_and_gradients_are_finite_at_any_outputs(likelihood, spread):
    x = RNG.poisson(10, (20, 3)).astype("float32")
    (width,) = likelihood.output_shape((3,))
    outputs = (spread * RNG.normal(size=(20, width))).astype("float32")
    outputs[0], outputs[1], outputs[2], outputs[3, ::2] = 0, spread, -spread, -spread
    assert np.isfinite(ask(likelihood.log_prob, x, outputs)).all()
    got = gradients(lambda o: ops.sum(likelihood.log_prob(tensor(x), o)), outputs)
    assert np.isfinite(got).all() and np.abs(got).max() > 0
    for made in (ask(likelihood.mean, outputs), numpy(likelihood.sample(tensor(outputs)))):
        assert np.isfinite(made).all() and (made >= 0).all()


def test_the_gradient_of_a_negative_binomial_is_its_slope():
    x = np.array([[0, 1, 12, 90]], "float32")
    outputs = np.array([[0.3, -2, 2, 4, -1, 3, 0.5, 9]])
    got = gradients(
        lambda o: ops.sum(NegativeBinomial().log_prob(tensor(x), o)), outputs.astype("float32")
    )

    def log_p(o):
        mean, r = np.exp(o[:, :4]), np.exp(o[:, 4:])
        return stats.nbinom.logpmf(x, r, r / (r + mean)).sum()

    for i in range(8):
        step = np.eye(1, 8, i) * 1e-5
        slope = (log_p(outputs + step) - log_p(outputs - step)) / 2e-5
        assert got[0, i] == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_samples_have_the_means_and_variances_of_the_likelihoods():
    n, log_mean = 40000, np.array([-1.0, 2.0, 6.0])
    mean, r = np.exp(log_mean), np.exp([0.0, 1.0, 2.0])
    each = tensor(np.broadcast_to(log_mean, (n, 3)))
    draws = numpy(Poisson().sample(each, seed=keras.random.SeedGenerator(0)))
    np.testing.assert_allclose(draws.mean(0), numpy(Poisson().mean(each))[0], rtol=0.05)
    np.testing.assert_allclose(draws.var(0), mean, rtol=0.05)
    np.testing.assert_array_equal(draws, np.rint(draws))
    each = tensor(np.broadcast_to([*log_mean, 0, 1, 2], (n, 6)))
    draws = numpy(NegativeBinomial().sample(each, seed=keras.random.SeedGenerator(0)))
    np.testing.assert_allclose(draws.mean(0), numpy(NegativeBinomial().mean(each))[0], rtol=0.05)
    np.testing.assert_allclose(draws.var(0), mean + mean**2 / r, rtol=0.1)
    again = numpy(NegativeBinomial().sample(each, seed=keras.random.SeedGenerator(0)))
    np.testing.assert_array_equal(draws, again)


@pytest.mark.parametrize("name", ["poisson", "negative_binomial"])
def test_counts_are_read_as_they_are_and_others_refused(name):
    model = keras_vae.mlp_vae((4, 4, 1), 2, (8,), likelihood=name, seed=0)
    counts = RNG.poisson(3, (10, 4, 4, 1)).astype("uint8")
    np.testing.assert_allclose(
        model.elbo(counts, seed=0), model.elbo(counts.astype("int64"), seed=0)
    )
    with pytest.raises(ValueError, match="likelihood takes counts: whole numbers"):
        model.encode(counts / 2)
