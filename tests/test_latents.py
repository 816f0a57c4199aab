"""Tests of the Gaussian latent against closed forms and Monte Carlo."""

import keras
import numpy as np
import pytest
from keras import ops
from own_kinds import Grid
from reference_steps import gradient
from scipy import stats

from keras_vae import priors
from keras_vae.latents import GaussianLatent, PointLatent, VectorQuantizer

MEAN = np.array([[0.5, -1.0, 2.0], [0.0, 0.3, -0.2]], "float32")
LOG_VAR = np.array([[-1.0, 0.2, -3.0], [0.0, 1.0, -0.5]], "float32")


class WideNormal(priors.Prior):
    """N(1, 2^2), a user-defined prior."""

    def log_prob(self, z, training=False):
        c = np.float32(np.log(2 * np.pi * 4))
        return -0.5 * ops.sum(ops.square((z - 1) / 2) + c, axis=-1)

    def sample(self, n, rng):
        return 1 + 2 * rng.standard_normal((n, *self.latent_shape), dtype="float32")


def latent_of(prior=None, shape=(None, 6), **kwargs):
    latent = GaussianLatent(prior, **kwargs)
    latent.build(shape)
    return latent


def numpy(t):
    return ops.convert_to_numpy(t)


def both(mean, log_var):
    return ops.convert_to_tensor(np.concatenate([mean, log_var], axis=-1))


def rate_of(latent, h, **options):
    """The rate, `(n,)`: the mean over the samples."""
    return numpy(latent.draw(ops.convert_to_tensor(h), **options).rate).mean(axis=0)


def kl_to(mean, log_var, prior_mean, prior_std):
    """KL(N(mean, var) || N(prior_mean, prior_std^2)), summed."""
    var = np.exp(log_var.astype("float64"))
    ratio = (var + (mean - prior_mean) ** 2) / prior_std**2
    return 0.5 * (ratio - 1 - log_var + 2 * np.log(prior_std)).sum(-1)


def test_an_encoder_may_return_one_tensor_or_two():
    one, two = latent_of(), latent_of(shape=[(None, 3), (None, 3)])
    noise = np.random.default_rng(0).normal(size=(2, 2, 3)).astype("float32")
    a = one.draw(both(MEAN, LOG_VAR), noise)
    b = two.draw([ops.convert_to_tensor(MEAN), ops.convert_to_tensor(LOG_VAR)], noise)
    for name in ("code", "decoder_input", "rate", "log_ratio", "unit_rates"):
        np.testing.assert_array_equal(numpy(getattr(a, name)), numpy(getattr(b, name)))
    np.testing.assert_array_equal(numpy(one.code(both(MEAN, LOG_VAR))), MEAN)


def test_z_is_the_mean_plus_the_standard_deviation_times_the_noise():
    noise = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    draw = latent_of().draw(both(MEAN, LOG_VAR), noise)
    expected = MEAN + np.exp(LOG_VAR / 2) * noise
    np.testing.assert_allclose(numpy(draw.code), expected, rtol=1e-6)
    np.testing.assert_allclose(numpy(draw.decoder_input), expected.reshape(8, 3), rtol=1e-6)


def test_samples_have_the_mean_and_variance_of_the_posterior():
    m = 40000
    z, _ = latent_of(seed=0)(both(MEAN, LOG_VAR), num_samples=m)
    z = numpy(z).reshape(m, 2, 3)
    std = np.exp(LOG_VAR / 2)
    assert (abs(z.mean(0) - MEAN) < 5 * std / np.sqrt(m)).all()
    assert (abs(z.var(0) / std**2 - 1) < 5 * np.sqrt(2 / m)).all()


def test_the_rate_is_the_closed_form_kl():
    draw = latent_of().draw(both(MEAN, LOG_VAR), num_samples=2)
    expected = kl_to(MEAN, LOG_VAR, 0, 1)
    np.testing.assert_allclose(numpy(draw.rate), np.tile(expected, (2, 1)), rtol=1e-6)
    np.testing.assert_allclose(numpy(draw.unit_rates).sum(axis=1), expected, rtol=1e-6)
    np.testing.assert_array_equal(rate_of(latent_of(), ops.zeros((2, 6))), 0)


def test_the_closed_form_kl_equals_monte_carlo_with_scipys_densities():
    rng = np.random.default_rng(0)
    std = np.exp(LOG_VAR / 2).astype("float64")
    z = MEAN + std * rng.normal(size=(200000, 2, 3))
    log_ratio = (stats.norm.logpdf(z, MEAN, std) - stats.norm.logpdf(z)).sum(-1)
    rate = rate_of(latent_of(), both(MEAN, LOG_VAR))
    error = log_ratio.std(0) / np.sqrt(len(z))
    assert (abs(log_ratio.mean(0) - rate) < 5 * error).all()


def test_the_rate_under_another_prior_is_log_q_minus_log_p():
    m, moments = 40000, (1, 2)
    latent = latent_of(WideNormal())
    noise = np.random.default_rng(0).normal(size=(m, 2, 3)).astype("float32")
    rate = rate_of(latent, both(MEAN, LOG_VAR), noise=noise)
    z = MEAN + np.exp(LOG_VAR / 2) * noise
    log_q = stats.norm.logpdf(z, MEAN, np.exp(LOG_VAR / 2)).sum(-1)
    log_ratio = log_q - stats.norm.logpdf(z, *moments).sum(-1)
    np.testing.assert_allclose(rate, log_ratio.mean(0), atol=1e-3)
    error = log_ratio.std(0) / np.sqrt(m)
    assert (abs(rate - kl_to(MEAN, LOG_VAR, *moments)) < 5 * error).all()


def test_importance_ratios_are_log_p_minus_log_q():
    noise = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("float32")
    latent, h = latent_of(), both(MEAN, LOG_VAR)
    draw = latent.draw(h, noise)
    z = numpy(draw.code)
    log_q = stats.norm.logpdf(z, MEAN, np.exp(LOG_VAR / 2)).sum(-1)
    expected = stats.norm.logpdf(z).sum(-1) - log_q
    np.testing.assert_allclose(numpy(draw.log_ratio), expected, atol=1e-4)
    # Also for given codes.
    np.testing.assert_allclose(numpy(latent.log_ratio(h, draw.code)), expected, atol=1e-4)


def test_log_variances_within_bounds_are_untouched():
    log_var = np.linspace(-30, 10, 3 * 50).reshape(50, 3).astype("float32")
    mean = np.zeros_like(log_var)
    np.testing.assert_array_equal(numpy(latent_of().posterior(both(mean, log_var))[1]), log_var)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("log_var", [1e4, -1e4, np.inf, -np.inf])
def test_extreme_log_variances_give_finite_terms_and_gradients(log_var, dtype):
    h = np.array([[0.5, 0.5, 0.5, log_var, 0, log_var]], dtype)
    latent = latent_of()
    noise = np.ones((1, 1, 3), "float32")
    draw = latent.draw(ops.convert_to_tensor(h), noise)
    for value in (draw.code, draw.rate, draw.log_ratio, draw.unit_rates):
        assert np.isfinite(numpy(value)).all()

    def total(h):
        draw = latent.draw(h, noise)
        return ops.sum(draw.rate) + ops.sum(draw.code)

    assert np.isfinite(gradient(total, h)).all()


@pytest.mark.parametrize("log_var, sign", [(50.0, 1), (-50.0, -1)])
def test_beyond_the_bounds_the_gradient_points_back_inside(log_var, sign):
    h = np.array([[0.0, log_var]], "float32")
    latent = latent_of(shape=(None, 2))
    g = gradient(lambda h: latent.draw(h, np.zeros((1, 1, 1), "float32")).rate, h)
    assert np.sign(g[0, 1]) == sign


@pytest.mark.parametrize("magnitude", [1e4, -1e4])
def test_large_means_give_a_finite_rate(magnitude):
    h = np.array([[magnitude] * 3 + [0] * 3], "float16")
    rate = rate_of(latent_of(), h)
    np.testing.assert_allclose(rate, 1.5 * float(np.float16(magnitude)) ** 2, rtol=1e-6)


def test_the_same_seed_draws_the_same_noise_and_the_next_draw_differs():
    h = both(MEAN, LOG_VAR)
    a, b = latent_of(seed=3), latent_of(seed=3)
    first = numpy(a(h)[0])
    np.testing.assert_array_equal(first, numpy(b(h)[0]))
    assert (numpy(a(h)[0]) != first).all()


def test_the_standard_normal_prior_equals_scipy():
    prior = priors.StandardNormal()
    prior.build((None, 2, 3))
    z = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    log_prob = numpy(prior.log_prob(ops.convert_to_tensor(z)))
    np.testing.assert_allclose(log_prob, stats.norm.logpdf(z).sum((1, 2)), rtol=1e-5)
    draws = prior.sample(20000, np.random.default_rng(0))
    assert draws.shape == (20000, 2, 3) and draws.dtype == "float32"
    assert abs(draws.mean()) < 0.02 and abs(draws.std() - 1) < 0.02


def test_a_latent_names_its_prior():
    codes = VectorQuantizer(4, 2)
    codes.build((None, 3, 2))
    point, grid = PointLatent(), Grid()  # the second has integer codes and draws them itself
    point.build((None, 6))
    grid.build((None, 3, 2))
    named = (latent_of(), latent_of("realnvp"), latent_of(WideNormal()), codes, grid, point)
    expected = ["normal", "realnvp", "WideNormal", "uniform", "uniform", None]
    assert [latent.prior_name for latent in named] == expected


def test_a_latent_survives_serialisation():
    saved = keras.saving.serialize_keras_object(GaussianLatent(seed=5))
    again = keras.saving.deserialize_keras_object(saved)
    assert again.seed == 5 and isinstance(again.prior, priors.StandardNormal)


@pytest.mark.parametrize("shape", [(None, 5), (None, 1), (None,)])
def test_an_odd_width_is_refused(shape):
    with pytest.raises(ValueError, match="width 2 \\* latent_dim: the mean first"):
        latent_of(shape=shape)


@pytest.mark.parametrize("shape", [[(None, 3), (None, 4)], [(None, 3)] * 3])
def test_two_tensors_of_different_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"two tensors \[mean, log_var\] of one shape"):
        latent_of(shape=shape)


def test_an_invalid_prior_is_refused():
    with pytest.raises(ValueError, match="prior must be an object of keras_vae.priors"):
        GaussianLatent("gauss")


@pytest.mark.parametrize("kind", [GaussianLatent, VectorQuantizer])
def test_declared_shapes_are_the_computed_ones(kind):
    if kind is GaussianLatent:
        latent, shape, cases = GaussianLatent(), (3, 4), ((3, 1), (3, 2), (None, 1))
    else:
        latent, shape, cases = VectorQuantizer(5, 4), (3, 2, 2, 4), ((3, 1), (None, 1))
    for batch, num_samples in cases:
        said = latent(keras.Input(batch_shape=(batch, *shape[1:])), num_samples=num_samples)
        computed = latent(np.ones(shape, "float32"), num_samples=num_samples)
        for one, other in zip(said, computed):
            assert one.dtype == keras.backend.standardize_dtype(other.dtype) == "float32"
            assert one.shape[1:] == tuple(other.shape)[1:]
            assert one.shape[0] in (None, other.shape[0]) and (one.shape[0] is None) == (not batch)
