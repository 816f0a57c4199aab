"""Numbers about models, held against closed forms and plain NumPy."""

import math

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae.likelihoods import Gaussian

X = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 1), dtype="uint8")


@pytest.fixture(scope="module")
def mlp():
    keras.utils.set_random_seed(0)
    return keras_vae.mlp_vae((6, 5, 1), 3, (8,), seed=0)


def test_every_mean_is_that_of_the_models_own_numbers(mlp):
    result = keras_vae.evaluate(mlp, X, num_samples=20, seed=5)
    elbo = mlp.elbo(X, num_samples=20, seed=5)
    assert result["elbo"] == pytest.approx(elbo.mean(), rel=1e-5)
    assert result["elbo_stderr"] == pytest.approx(elbo.std() / math.sqrt(40), rel=1e-4)
    assert result["elbo"] == pytest.approx(-result["distortion"] - result["rate"], rel=1e-5)
    distortion, rate = mlp.distortion_and_rate(X, num_samples=20, seed=5)
    assert result["distortion_stderr"] == pytest.approx(distortion.std() / math.sqrt(40), rel=1e-4)
    assert result["rate_stderr"] == pytest.approx(rate.std() / math.sqrt(40), rel=1e-4)
    nll = -mlp.log_likelihood(X, 20, seed=5)
    assert result["nll"] == pytest.approx(nll.mean(), rel=1e-5)
    assert result["bits_per_dim"] == pytest.approx(nll.mean() / 30 / math.log(2), rel=1e-5)
    mse = np.mean((X / 255 - mlp.reconstruct(X)) ** 2)
    assert result["mse"] == pytest.approx(mse, rel=1e-4)
    assert result["psnr"] == pytest.approx(-10 * math.log10(mse), rel=1e-4)
    sampled = np.mean((X / 255 - mlp.decode(mlp.sample_posterior(X, seed=5))) ** 2)
    assert result["mse_sampled"] == pytest.approx(sampled, rel=1e-4)
    assert sum(result["latent_rates"]) == pytest.approx(mlp.latent_rates(X).sum(1).mean(), rel=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("prior", ["normal", "mixture"])
def test_the_monte_carlo_error_is_the_spread_over_seeds(prior):
    keras.utils.set_random_seed(0)
    x = (X > 127).astype("float32")  # binary: the seed moves nothing but the latents' noise
    model = keras_vae.mlp_vae((6, 5, 1), 3, (8,), prior=prior, seed=0)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(x, epochs=20, verbose=0)
    results = [keras_vae.evaluate(model, x, num_samples=50, seed=seed) for seed in range(60)]
    for name in ("elbo", "nll"):
        spread = np.std([result[name] for result in results], ddof=1)
        claimed = np.mean([result[f"{name}_mc_stderr"] for result in results])
        assert claimed == pytest.approx(spread, rel=0.35)  # of 60: known to about 9 %


def test_one_sample_cannot_tell_its_monte_carlo_error(mlp):
    result = keras_vae.evaluate(mlp, X, num_samples=1)
    assert result["elbo_mc_stderr"] is None and result["nll_mc_stderr"] is None
    assert result["num_samples"] == 1


def test_the_batch_size_changes_no_figure(mlp):
    one, other = (keras_vae.evaluate(mlp, X, num_samples=200, batch_size=size) for size in (7, 256))
    assert one.keys() == other.keys()
    for name in one:
        assert other[name] == pytest.approx(one[name], rel=1e-5), name


def test_the_importance_weighted_bound_rises_with_its_samples():
    model = keras_vae.mlp_vae((6, 5, 1), 3, (8,), seed=0)
    for weight in model.decoder.weights:
        weight.assign(4 * weight)  # a posterior far from q, so that noise does not decide
    bounds = [keras_vae.evaluate(model, X, num_samples=k)["nll"] for k in (1, 10, 500)]
    assert bounds[0] > bounds[1] > bounds[2]


def test_active_units_are_counted_over_the_posterior_means(mlp):
    variance = mlp.encode(X).var(axis=0)
    assert keras_vae.evaluate(mlp, X, num_samples=1)["active_units"] == (variance > 0.01).sum()
    head = mlp.encoder.layers[-1]
    kernel, bias = head.get_weights()
    kernel[:, 1] = 0  # the mean of the second latent no longer depends on x
    collapsed = keras_vae.mlp_vae((6, 5, 1), 3, (8,), seed=0)
    collapsed.set_weights(mlp.get_weights())
    collapsed.encoder.layers[-1].set_weights([kernel * 10, bias])
    assert keras_vae.evaluate(collapsed, X, num_samples=1)["active_units"] == 2


def test_a_vq_model_is_measured_by_its_codes():
    model = keras_vae.vq_vae((6, 5, 1), 8, 4, (4,), blocks=0, seed=0)
    result = keras_vae.evaluate(model, X, num_samples=7)
    codes = model.encode(X)
    share = np.bincount(codes.ravel(), minlength=8) / codes.size
    entropy = -sum(p * math.log(p) for p in share if p)
    assert result["perplexity"] == pytest.approx(math.exp(entropy))
    assert result["codebook_usage"] == pytest.approx(np.mean(share > 0))
    assert result["rate"] == pytest.approx(9 * math.log(8), rel=1e-6)
    assert result["nll"] == pytest.approx(-result["elbo"], rel=1e-5)
    assert result["num_samples"] == 1 and result["elbo_mc_stderr"] == 0


def test_bits_per_dim_of_a_gaussian_decoder_that_ignores_its_latent():
    model = keras_vae.mlp_vae((4,), 2, (), likelihood=Gaussian(0.5))
    for layer in (*model.encoder.layers, *model.decoder.layers):
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    x = np.random.default_rng(1).normal(size=(30, 4)).astype("float32")
    # p(x) = N(0, 1/4) per value and q(z|x) = p(z), so that bound and density are equal.
    nll = np.mean(np.sum(0.5 * math.log(2 * math.pi * 0.25) + x**2 / 0.5, axis=1))
    result = keras_vae.evaluate(model, x, num_samples=3)
    assert result["nll"] == pytest.approx(nll, rel=1e-5)
    assert result["elbo"] == pytest.approx(-nll, rel=1e-5)
    assert result["active_units"] == 0


def test_one_example_cannot_tell_how_others_differ(mlp):
    result = keras_vae.evaluate(mlp, X[:1], num_samples=2)
    assert result["elbo_stderr"] is None and result["elbo_mc_stderr"] > 0


def test_a_number_is_no_data(mlp):
    with pytest.raises(ValueError, match=r"must have shape \(n, "):
        keras_vae.evaluate(mlp, 3.0)


def test_ssim_is_the_mean_over_windows_of_the_formula():
    """Wang et al. 2004, eq. 13, in plain NumPy."""
    model = keras_vae.mlp_vae((13, 12, 3), 2, (4,), likelihood="gaussian", seed=0)
    x = np.random.default_rng(0).random((3, 13, 12, 3))
    y = model.reconstruct(x).astype("float64")
    window = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(window, window) / window.sum() ** 2

    def mean(values):
        views = np.lib.stride_tricks.sliding_window_view(values, (11, 11), axis=(1, 2))
        return np.sum(views * window, axis=(-1, -2))

    mx, my = mean(x), mean(y)
    variances, covariance = mean(x**2) - mx**2 + mean(y**2) - my**2, mean(x * y) - mx * my
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mx * my + c1) * (2 * covariance + c2)
    ssim /= (mx**2 + my**2 + c1) * (variances + c2)
    result = keras_vae.evaluate(model, x, num_samples=1)
    assert result["ssim"] == pytest.approx(ssim.mean(), rel=1e-4)
    assert result["ssim_stderr"] > 0


def test_images_smaller_than_the_window_have_no_ssim(mlp):
    assert "ssim" not in keras_vae.evaluate(mlp, X[:2], num_samples=1)
