"""Likelihoods of levels: sums over all levels, SciPy's logistic, and a loop over channels."""

import itertools
import math

import keras
import numpy as np
import pytest
from keras import ops
from likelihood_cases import ask, gradients, numpy, tensor
from scipy import special, stats

import keras_vae
from keras_vae import likelihoods
from keras_vae.likelihoods import Categorical, DiscretisedLogistic, LogisticMixture

RNG = np.random.default_rng(0)


def levels(count):
    """Each level as an example of one value: `(count, 1)`."""
    return (np.arange(count) / (count - 1)).astype("float32")[:, None]


def bounded(values, low, high):
    return values + np.logaddexp(0, low - values) - np.logaddexp(0, values - high)


def log_scale_of(raw, num_levels):
    return bounded(raw, math.log(0.25 / (num_levels - 1)), 7.0)


def masses(mean, log_scale, num_levels=256):
    """The mass of every level by differences of SciPy's distribution, `(..., num_levels)`."""
    edges = (2 * np.arange(1, num_levels) - num_levels) / (num_levels - 1)
    u = (edges - mean[..., None]) / np.exp(log_scale[..., None])
    inner = np.where(
        u[..., :-1] > 0,
        stats.logistic.sf(u[..., :-1]) - stats.logistic.sf(u[..., 1:]),  # without cancellation
        stats.logistic.cdf(u[..., 1:]) - stats.logistic.cdf(u[..., :-1]),
    )
    ends = stats.logistic.cdf(u[..., :1]), stats.logistic.sf(u[..., -1:])
    return np.concatenate([ends[0], inner, ends[1]], axis=-1)


ALL = {
    "discretised_logistic": DiscretisedLogistic,
    "logistic_mixture": LogisticMixture,
    "categorical": Categorical,
}


@pytest.mark.parametrize("num_levels", [2, 5, 32, 256])
@pytest.mark.parametrize("kind", ALL)
def test_the_probabilities_of_all_levels_sum_to_one(kind, num_levels):
    likelihood, x = ALL[kind](num_levels=num_levels), levels(num_levels)
    (width,) = likelihood.output_shape((1,))
    for spread in (1, 5, 1e3, 1e20):
        outputs = (spread * RNG.normal(size=(8, width))).astype("float32")
        each = np.broadcast_to(outputs[:, None], (8, num_levels, width))  # 8 samples of the code
        got = ask(likelihood.log_prob, x, each)
        assert got.dtype == "float32" and np.isfinite(got).all()
        np.testing.assert_allclose(np.exp(got.astype("float64")).sum(1), 1, atol=2e-4)


@pytest.mark.parametrize("num_levels", [2, 4])
def test_the_probabilities_of_all_colours_of_a_mixture_sum_to_one(num_levels):
    likelihood = LogisticMixture(3, num_levels)
    each = levels(num_levels).ravel()
    x = np.array(list(itertools.product(each, repeat=3)), "float32")
    (width,) = likelihood.output_shape((3,))
    for spread in (1, 10):
        outputs = np.broadcast_to(spread * RNG.normal(size=width), (len(x), width))
        got = ask(likelihood.log_prob, x, outputs)
        assert np.exp(got.astype("float64")).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("num_levels", [2, 256])
def test_a_discretised_logistic_has_the_masses_of_scipys(num_levels):
    mean = np.array([-3, -1.02, -1, -0.4, 0, 0.003, 0.9, 1, 1.5, 40])
    raw = np.array([-20, -7, -6, -3, -1, 0, 1, 4, 9, -5.0])
    mean, raw = (m.ravel() for m in np.meshgrid(mean, raw))
    outputs = np.stack([mean, raw], axis=-1)
    expected = masses(mean.astype("float32"), log_scale_of(raw, num_levels), num_levels)
    each = np.broadcast_to(outputs[:, None], (len(mean), num_levels, 2))
    got = ask(DiscretisedLogistic(num_levels).log_prob, levels(num_levels), each)
    seen = expected > 1e-30
    np.testing.assert_allclose(got[seen], np.log(expected[seen]), rtol=2e-4, atol=2e-4)
    assert (got[~seen] < np.log(1e-28)).all() and np.isfinite(got).all()


def test_the_ends_hold_what_lies_beyond_them():
    x, outputs = np.array([[0.0], [1.0]], "float32"), np.zeros((2, 2), "float32")
    got = ask(DiscretisedLogistic().log_prob, x, outputs)
    scale = math.exp(log_scale_of(0.0, 256))
    expected = stats.logistic.logcdf((-1 + 1 / 255) / scale)
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    far = np.array([[-1e6, 0.0], [1e6, 0.0]], "float32")
    np.testing.assert_allclose(ask(DiscretisedLogistic().log_prob, x, far), 0, atol=1e-6)


def mixture_by_loops(x, outputs, components, num_levels):
    """log p of pixels `(n, C)`, one component and channel at a time, as PixelCNN++ adds them."""
    n, channels = x.shape
    places = np.split(
        np.moveaxis(outputs.astype("float64").reshape(n, -1, components), 1, 0),
        np.cumsum([1, channels, channels]),
    )
    logits, mean, raw, factors = places
    index, scaled = np.rint(x * (num_levels - 1)).astype(int), 2.0 * x.astype("float64") - 1
    log_p = np.zeros((n, components))
    for c in range(channels):
        shifted, start = mean[c].copy(), c * (c - 1) // 2
        for before in range(c):
            shifted += np.tanh(factors[start + before]) * scaled[:, before, None]
        mass = masses(shifted, log_scale_of(raw[c], num_levels), num_levels)
        log_p += np.log(np.take_along_axis(mass, index[:, c, None, None], axis=-1)[..., 0])
    return special.logsumexp(special.log_softmax(logits[0], axis=-1) + log_p, axis=-1)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_mixture_couples_its_channels_as_the_paper_does(channels):
    likelihood = LogisticMixture(5)
    x = (RNG.integers(0, 256, (7, 4, 3, channels)) / 255).astype("float32")
    x[0], x[1] = 0, 1
    shape = likelihood.output_shape(x.shape[1:])
    assert shape == (4, 3, 5 * (1 + 2 * channels + channels * (channels - 1) // 2))
    outputs = RNG.normal(size=(2, 7, *shape)).astype("float32")
    got = ask(likelihood.log_prob, x, outputs)
    for sample, one in zip(got, outputs):
        pixels = mixture_by_loops(x.reshape(-1, channels), one.reshape(84, -1), 5, 256)
        np.testing.assert_allclose(sample, pixels.reshape(7, -1).sum(1), rtol=2e-5)


def test_a_colour_mixture_of_ten_has_the_papers_hundred_outputs():
    assert LogisticMixture().output_shape((32, 32, 3)) == (32, 32, 100)


def test_one_component_of_one_channel_is_a_discretised_logistic():
    x = (RNG.integers(0, 256, (6, 5, 1)) / 255).astype("float32")
    outputs = RNG.normal(size=(6, 5, 2)).astype("float32")
    mixed = np.concatenate([RNG.normal(size=(6, 5, 1)), outputs], axis=-1)
    one, mixture = DiscretisedLogistic(), LogisticMixture(components=1)
    for name, given in (("log_prob", [x]), ("mean", [])):
        got = ask(getattr(mixture, name), *given, mixed)
        expected = ask(getattr(one, name), *given, outputs)
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_a_categorical_likelihood_is_the_log_softmax_of_the_level():
    x = RNG.integers(0, 8, (5, 3, 2))
    outputs = RNG.normal(0, 3, (4, 5, 3, 2, 8))
    chosen = np.broadcast_to(x[None, ..., None], (4, 5, 3, 2, 1))
    expected = np.take_along_axis(special.log_softmax(outputs, axis=-1), chosen, axis=-1)
    got = Categorical(8).log_prob(tensor(x / 7), tensor(outputs.reshape(4, 5, 3, 16)))
    np.testing.assert_allclose(numpy(got), expected.sum((2, 3, 4)), rtol=1e-5)
    unknown = Categorical(8).log_prob(tensor([[math.nan]]), tensor(outputs[0, :1, 0, 0]))
    assert np.isnan(numpy(unknown)).all()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("spread", [1.0, 100.0, 1e10, 1e25])
def test_gradients_are_finite_at_any_outputs(kind, spread):
    likelihood, x = ALL[kind](num_levels=256), np.repeat(levels(256)[::5], 3, axis=1)
    (width,) = likelihood.output_shape((3,))
    outputs = (spread * RNG.normal(size=(len(x), width))).astype("float32")
    outputs[0], outputs[1], outputs[2, ::2] = 0, spread, -spread
    got = gradients(lambda o: ops.sum(likelihood.log_prob(tensor(x), o)), outputs)
    assert np.isfinite(got).all() and np.abs(got).max() > 0
    for made in (ask(likelihood.mean, outputs), numpy(likelihood.sample(tensor(outputs)))):
        assert made.shape == x.shape and made.min() >= 0 and made.max() <= 1


def test_the_gradient_of_a_discretised_logistic_is_its_slope():
    x = np.array([[0, 3 / 255, 0.4, 1.0]], "float32")
    x = np.rint(255 * x) / 255
    outputs = np.array([[-0.9, -0.8, -0.1, 0.7, -2, -1, -3, 0.5]])
    got = gradients(
        lambda o: ops.sum(DiscretisedLogistic().log_prob(tensor(x), o)), outputs.astype("float32")
    )

    def log_p(o):
        mass = masses(o[:, :4], log_scale_of(o[:, 4:], 256))
        return np.log(np.take_along_axis(mass, np.rint(255 * x).astype(int)[..., None], -1)).sum()

    for i in range(8):
        step = np.eye(1, 8, i) * 1e-5
        slope = (log_p(outputs + step) - log_p(outputs - step)) / 2e-5
        assert got[0, i] == pytest.approx(slope, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("num_levels", [16, 256])
def test_the_mean_of_a_discretised_logistic_is_that_of_its_levels_to_half_a_level(num_levels):
    mean, raw = (m.ravel() for m in np.meshgrid(np.linspace(-2, 2, 81), np.linspace(-8, 8, 33)))
    log_scale = log_scale_of(raw, num_levels)
    expected = masses(mean, log_scale, num_levels) @ levels(num_levels).ravel()
    likelihood, outputs = DiscretisedLogistic(num_levels), np.stack([mean, raw], axis=-1)
    error = np.abs(ask(likelihood.mean, outputs)[:, 0] - expected) * (num_levels - 1)
    assert error.max() < 0.51
    wide = np.exp(log_scale) > 2 / (num_levels - 1)  # a level or more
    assert error[wide].max() < 0.02


def test_the_mean_of_a_categorical_likelihood_is_that_of_its_levels():
    outputs = RNG.normal(size=(6, 2 * 5)).astype("float32")
    expected = special.softmax(outputs.reshape(6, 2, 5), axis=-1) @ levels(5).ravel()
    np.testing.assert_allclose(ask(Categorical(5).mean, outputs), expected, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ALL)
def test_samples_are_levels_as_often_as_they_are_probable(kind, channels):
    likelihood = ALL[kind](num_levels=3)
    (width,) = likelihood.output_shape((channels,))
    outputs = RNG.normal(size=width)
    n, seed = 20000, keras.random.SeedGenerator(0)
    draws = numpy(likelihood.sample(tensor(np.broadcast_to(outputs, (n, width))), seed=seed))
    assert draws.shape == (n, channels)
    x = np.array(list(itertools.product((0, 0.5, 1), repeat=channels)), "float32")
    each = np.broadcast_to(outputs, (len(x), width))
    p = np.exp(ask(likelihood.log_prob, x, each))
    counts = (draws[:, None] == x).all(-1).sum(0)
    assert counts.sum() == n  # of levels only
    np.testing.assert_allclose(counts / n, p, atol=5 * 0.5 / math.sqrt(n))


def test_the_mean_of_a_mixture_is_that_of_its_samples():
    likelihood = LogisticMixture(2)
    outputs = np.concatenate([[0.3, -0.3], RNG.normal(0, 0.2, 6), np.full(6, -3.0), [0.9] * 6])
    n = 20000
    many = tensor(np.broadcast_to(outputs, (n, 20)))
    draws = numpy(likelihood.sample(many, seed=keras.random.SeedGenerator(1)))
    error = draws.std(0) / math.sqrt(n)
    assert (np.abs(draws.mean(0) - numpy(likelihood.mean(many))[0]) < 5 * error + 0.001).all()


@pytest.mark.parametrize("kind", ALL)
def test_levels_are_checked_and_read(kind):
    five = ALL[kind](num_levels=5)
    uint8 = np.array([[0, 1], [4, 2]], "uint8")
    np.testing.assert_array_equal(numpy(five.read(uint8)), uint8 / np.float32(4))
    five.check(uint8 / 4)
    five.check_uint8(uint8)
    with pytest.raises(ValueError, match=r"takes 5 levels: uint8, or multiples of 1/4.*np.rint\(4"):
        five.check(np.array([[0.3]]))
    with pytest.raises(ValueError, match="values in .0, 1.*divided by 4"):
        five.check(np.array([[3.0]]))
    with pytest.raises(ValueError, match="takes 5 levels: uint8 from 0 to 4. .* up to 5"):
        five.check_uint8(uint8 + 1)
    for wrong in (1, 2.0, "256", 2**20):
        with pytest.raises(ValueError, match="num_levels must be"):
            ALL[kind](num_levels=wrong)


def test_a_model_of_few_levels_refuses_images_of_more():
    model = keras_vae.mlp_vae((4, 4, 1), 2, (8,), likelihood=Categorical(8))
    x = RNG.integers(0, 8, (6, 4, 4, 1)).astype("uint8")
    np.testing.assert_allclose(model.elbo(x, seed=0), model.elbo(x / 7, seed=0), rtol=1e-5)
    with pytest.raises(ValueError, match="takes 8 levels: uint8 from 0 to 7"):
        model.fit(32 * x, verbose=0)


def test_a_mixture_is_not_for_vectors():
    with pytest.raises(ValueError, match=r"relates all channels.*up to 16.*shape \(784,\)"):
        keras_vae.mlp_vae((784,), likelihood="logistic_mixture")
    with pytest.raises(ValueError, match="components must be a whole number >= 1"):
        LogisticMixture(0)


def test_bits_per_dim_are_nats_of_levels_by_value():
    uniform = likelihoods.get("categorical")
    x = (RNG.integers(0, 256, (2, 6)) / 255).astype("float32")
    nll = -ask(uniform.log_prob, x, np.zeros((2, 6 * 256)))
    np.testing.assert_allclose(uniform.bits_per_dim(nll, 6), 8, rtol=1e-5)
    with pytest.raises(ValueError, match="Gaussian is a density.*no bits per dimension"):
        likelihoods.get("gaussian").bits_per_dim(nll, 6)
