"""Densities with a scale for each value, against SciPy's."""

import math

import keras
import numpy as np
import pytest
from keras import ops
from likelihood_cases import ask, gradients, numpy, tensor
from scipy import integrate, stats

from keras_vae.likelihoods import Laplace, PixelGaussian, StudentT

RNG = np.random.default_rng(0)
ALL = {
    "laplace": (Laplace, stats.laplace),
    "pixel_gaussian": (PixelGaussian, stats.norm),
    "student_t": (StudentT, stats.t(5)),
    "student_t of 2.5": (lambda **given: StudentT(2.5, **given), stats.t(2.5)),
}


@pytest.fixture(params=ALL)
def case(request):
    """A class, or what makes one of its objects, and SciPy's distribution of u."""
    return ALL[request.param]


def soft(log_scale, min_scale=1e-3):
    return log_scale + np.logaddexp(0, math.log(min_scale) - log_scale)


def test_the_log_density_is_scipys(case):
    make, u = case
    x = RNG.normal(size=(4, 3, 2)).astype("float32")
    location, log_scale = RNG.normal(0, 2, (2, 3, 4, 3, 2)).astype("float32")
    scale = np.exp(soft(log_scale.astype("float64")))
    expected = u.logpdf((x - location) / scale) - np.log(scale)
    got = make().log_prob(tensor(x), tensor(np.concatenate([location, log_scale], axis=-1)))
    np.testing.assert_allclose(numpy(got), expected.sum((2, 3)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("log_scale", [-30.0, -1.0, 3.0])
def test_the_density_integrates_to_one(case, log_scale):
    make, _ = case
    scale = math.exp(soft(log_scale))
    x = np.sinh(np.linspace(-14, 14, 20001)) * scale  # dense at the centre, far at the ends
    outputs = np.broadcast_to([0.0, log_scale], (len(x), 2))
    log_p = ask(make().log_prob, x[:, None], outputs)
    assert integrate.trapezoid(np.exp(log_p.astype("float64")), x) == pytest.approx(1, abs=1e-4)


def test_samples_have_scipys_quantiles(case):
    make, u = case
    n, location, log_scale = 20000, [-1.0, 3.0], [-2.0, 1.0]
    outputs = tensor(np.broadcast_to([*location, *log_scale], (n, 4)))
    draws = numpy(make().sample(outputs, seed=keras.random.SeedGenerator(0)))
    scaled = (draws - location) / np.exp(soft(np.array(log_scale)))
    share = np.array([0.01, 0.2, 0.5, 0.8, 0.99])
    below = (scaled[..., None] < u.ppf(share)).mean(0)
    error = np.sqrt(share * (1 - share) / n)
    assert (np.abs(below - share) < 5 * error).all()
    np.testing.assert_array_equal(numpy(make().mean(outputs))[0], location)


def test_values_that_are_always_the_same_have_the_smallest_scale(case):
    make, u = case
    x, outputs = np.full((1, 1), 0.5, "float32"), np.array([[0.5, -1e4]])
    for min_scale in (1e-3, 0.1):
        got = ask(make(min_scale=min_scale).log_prob, x, outputs)
        assert got[0] == pytest.approx(u.logpdf(0) - math.log(min_scale), abs=1e-4)


@pytest.mark.parametrize("spread", [1.0, 1e4, 1e15])
def test_gradients_are_finite_at_any_outputs(case, spread):
    x = RNG.normal(size=(20, 3)).astype("float32")
    outputs = (spread * RNG.normal(size=(20, 6))).astype("float32")
    outputs[0], outputs[1], outputs[2, ::2] = 0, spread, -spread
    outputs[3, :3] = x[3]  # no error at all
    got = gradients(lambda o: ops.sum(case[0]().log_prob(tensor(x), o)), outputs)
    assert np.isfinite(got).all() and np.abs(got).max() > 0
    assert np.isfinite(numpy(case[0]().sample(tensor(outputs)))).all()


def test_far_values_cost_a_student_t_little():
    x, outputs = np.array([[1e4], [1e30]], "float32"), np.zeros((2, 2))
    got = ask(StudentT().log_prob, x, outputs)
    scale = math.exp(soft(0.0))
    np.testing.assert_allclose(got, stats.t(5).logpdf(x[:, 0] / scale), rtol=1e-3)


def test_wrong_arguments_are_refused():
    for wrong in (0, -1.0, math.inf, "1", None):
        with pytest.raises(ValueError, match="min_scale must be a finite number"):
            Laplace(min_scale=wrong)
    for wrong in (1, 0.5, math.nan, "5"):
        with pytest.raises(ValueError, match="df must be"):
            StudentT(wrong)
