"""Numbers about models, held against closed forms and plain NumPy."""

import math

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import evaluation
from keras_vae.likelihoods import Gaussian

X = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 1), dtype="uint8")


@pytest.fixture(scope="module")
def mlp():
    keras.utils.set_random_seed(0)
    return keras_vae.mlp_vae((6, 5, 1), 3, (8,), seed=0)


def test_every_mean_is_that_of_the_models_own_numbers(mlp):
    result = keras_vae.evaluate(mlp, X, num_samples=20, seed=5)
    elbo = mlp.elbo(X, seed=5)
    assert result["elbo"] == pytest.approx(elbo.mean(), rel=1e-5)
    assert result["elbo_stderr"] == pytest.approx(elbo.std() / math.sqrt(40), rel=1e-4)
    assert result["elbo"] == pytest.approx(-result["distortion"] - result["rate"], rel=1e-5)
    nll = -mlp.log_likelihood(X, 20, seed=5)
    assert result["nll"] == pytest.approx(nll.mean(), rel=1e-5)
    assert result["bits_per_dim"] == pytest.approx(nll.mean() / 30 / math.log(2), rel=1e-5)
    mse = np.mean((X / 255 - mlp.reconstruct(X)) ** 2)
    assert result["mse"] == pytest.approx(mse, rel=1e-4)


def test_the_importance_weighted_bound_rises_with_its_samples(mlp):
    bounds = [keras_vae.evaluate(mlp, X, num_samples=k)["nll"] for k in (1, 10, 500)]
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


def test_an_unknown_protocol_is_refused(mlp):
    with pytest.raises(ValueError, match="Unknown protocol 'grey'.*mnist-dynamic"):
        evaluation.published_metrics(mlp, "grey")


@pytest.mark.parametrize("name", keras_vae.list_models("*-mnist"))
def test_the_published_figures_are_had_again(name, real_data):
    entry = keras_vae.info(name)
    parts = real_data(entry["data"]["name"])
    model = keras_vae.load(name)
    binary = entry["likelihood"] == "bernoulli"
    x = keras_vae.data.binarized_once(parts)[1] if binary else parts.x_test
    mse = np.mean(np.square(parts.x_test / 255 - model.reconstruct(parts.x_test)))
    metrics, allowed = entry["metrics"], entry["tolerances"]
    assert model.elbo(x, seed=0).mean() == pytest.approx(metrics["elbo"], abs=allowed["elbo"])
    assert mse == pytest.approx(metrics["mse"], abs=allowed["mse"])
