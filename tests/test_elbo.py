"""Tests of ELBO and log-likelihood against exact marginals: linear-Gaussian, PCA, quadrature."""

import itertools

import keras
import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA

import keras_vae
from keras_vae.likelihoods import Gaussian

S = 0.4  # standard deviation of the linear model's pixels


@pytest.fixture(scope="module")
def linear():
    """x = W z + b + S e, W with orthogonal columns: returns data, W, b and the exact log p(x)."""
    rng = np.random.default_rng(0)
    w = np.linalg.qr(rng.normal(size=(5, 2)))[0] * [1.5, 0.7]
    b = rng.normal(size=5)
    x = (rng.normal(size=(64, 2)) @ w.T + b + S * rng.normal(size=(64, 5))).astype("float32")
    exact = stats.multivariate_normal(b, w @ w.T + S**2 * np.eye(5)).logpdf(x)
    return x, w, b, exact


def linear_vae(w, b, *, shift=0.0, stretch=0.0):
    """The linear model with its exact posterior, or one with a shifted mean and log-variance."""
    var = 1 / (1 + (w**2).sum(0) / S**2)  # (I + W^T W / S^2)^-1 is diagonal
    to_mean = w * var / S**2  # E[z|x] = var W^T (x - b) / S^2
    x, z = keras.Input((5,)), keras.Input((2,))
    heads = [keras.layers.Dense(2, name=name) for name in ("mean", "log_var")]
    encoder = keras.Model(x, [head(x) for head in heads])
    decoder = keras.Model(z, keras.layers.Dense(5)(z))
    heads[0].set_weights([to_mean, shift - b @ to_mean])
    heads[1].set_weights([np.zeros((5, 2)), np.log(var) + stretch])
    decoder.set_weights([w.T, b])
    return keras_vae.VAE(encoder, decoder, likelihood=Gaussian(S))


def test_with_the_exact_posterior_the_elbo_is_the_log_marginal(linear):
    x, w, b, exact = linear
    elbo = linear_vae(w, b).elbo(x, num_samples=4000, seed=0)
    # log p(x|z) under q has a standard deviation below 1: 5 / sqrt(4000) = 0.08 per example.
    np.testing.assert_allclose(elbo, exact, atol=0.08)
    assert elbo.mean() == pytest.approx(exact.mean(), abs=0.01)


@pytest.mark.parametrize("k", [1, 2, 100])
def test_with_the_exact_posterior_any_number_of_importance_samples_is_exact(linear, k):
    x, w, b, exact = linear
    got = linear_vae(w, b).log_likelihood(x, num_samples=k, seed=0)
    np.testing.assert_allclose(got, exact, rtol=2e-5, atol=2e-5)


def test_with_a_wrong_posterior_the_bounds_are_ordered_and_tight_for_many_samples(linear):
    x, w, b, exact = linear
    model = linear_vae(w, b, shift=0.3, stretch=0.8)
    elbo = model.elbo(x, num_samples=500, seed=0).mean()
    few = model.log_likelihood(x, num_samples=10, seed=0).mean()
    many = model.log_likelihood(x, num_samples=5000, seed=0)
    assert elbo < few - 0.05 < exact.mean() - 0.05
    assert few < many.mean() < exact.mean() + 0.01
    np.testing.assert_allclose(many, exact, atol=0.05)


def test_the_gap_of_a_wrong_posterior_is_its_kl_from_the_exact_one(linear):
    x, w, b, exact = linear
    model = linear_vae(w, b, stretch=0.8)  # KL(N(m, e^0.8 v) || N(m, v)) = (e^0.8 - 1 - 0.8) / 2
    gap = (exact - model.elbo(x, num_samples=4000, seed=0)).mean()
    assert gap == pytest.approx(2 * 0.5 * (np.exp(0.8) - 1.8), abs=0.02)


def test_the_log_likelihood_does_not_depend_on_the_batch_size(linear):
    x, w, b, _ = linear
    model = linear_vae(w, b, stretch=0.5)
    one = model.log_likelihood(x[:6], num_samples=3000, seed=1, batch_size=6)
    two = model.log_likelihood(x[:6], num_samples=3000, seed=1, batch_size=1)
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_a_trained_linear_vae_matches_probabilistic_pca():
    rng = np.random.default_rng(1)
    w = rng.normal(size=(6, 2)) * [1.0, 0.6]
    x = (rng.normal(size=(512, 2)) @ w.T + 0.5 * rng.normal(size=(512, 6))).astype("float32")
    pca = PCA(2).fit(x)
    model = keras_vae.mlp_vae(
        (6,),
        latent_dim=2,
        hidden_units=(),
        activation=None,
        likelihood=Gaussian(np.sqrt(pca.noise_variance_)),
        num_samples=4,
        seed=0,
    )
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.05, 320)))
    model.fit(np.tile(x, (10, 1)), epochs=8, batch_size=128, verbose=0)
    best = pca.score(x)  # the maximum over all such models (Tipping & Bishop 1999)
    assert model.elbo(x, num_samples=200, seed=0).mean() == pytest.approx(best, abs=0.03)
    marginal = model.log_likelihood(x, num_samples=500, seed=0).mean()
    assert best - 0.03 < marginal < best + 0.005


def test_a_decoder_that_ignores_z_gives_the_log_probability_of_its_pixels(binary):
    x = binary.reshape(12, 64)
    logits = np.random.default_rng(0).normal(size=64).astype("float32")
    model = keras_vae.mlp_vae((64,), latent_dim=2, hidden_units=())
    model.encoder.set_weights([np.zeros((64, 4)), np.zeros(4)])  # q is the prior
    model.decoder.set_weights([np.zeros((2, 64)), logits])
    exact = stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-logits.astype("float64")))).sum(1)
    np.testing.assert_allclose(model.elbo(x), exact, rtol=1e-5)
    np.testing.assert_allclose(model.log_likelihood(x, num_samples=3), exact, rtol=1e-5)
    model.encoder.set_weights([np.zeros((64, 4)), np.array([0.5, 0, 1, 0])])
    kl = 0.5 * (0.25 + np.e - 2)
    np.testing.assert_allclose(model.elbo(x), exact - kl, rtol=1e-5)


def test_a_bernoulli_vae_of_one_latent_agrees_with_quadrature():
    x = np.array(list(itertools.product([0, 1], repeat=4)), "float32")
    model = keras_vae.mlp_vae((4,), latent_dim=1, hidden_units=(6,), activation="tanh")
    rng = np.random.default_rng(2)
    model.decoder.set_weights([rng.normal(size=w.shape) for w in model.decoder.get_weights()])
    # The posterior is close to the prior and a little wider, so importance weights are bounded.
    encoder = [0.1 * rng.normal(size=w.shape) for w in model.encoder.get_weights()]
    encoder[-1] = np.array([0.0, 0.5])
    model.encoder.set_weights(encoder)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)  # weight function exp(-z^2 / 2)
    kernel, bias, kernel_out, bias_out = model.decoder.get_weights()
    logits = np.tanh(nodes[:, None] @ kernel + bias) @ kernel_out + bias_out
    p = 1 / (1 + np.exp(-logits.astype("float64")))
    p_x_given_z = np.prod(np.where(x[:, None] > 0.5, p, 1 - p), axis=-1)  # (16, 80)
    exact = np.log(p_x_given_z @ weights / np.sqrt(2 * np.pi))
    assert np.exp(exact).sum() == pytest.approx(1)
    got = model.log_likelihood(x, num_samples=5000, seed=0)
    np.testing.assert_allclose(got, exact, atol=0.1)
    assert np.exp(got.astype("float64")).sum() == pytest.approx(1, abs=0.02)
    assert (model.elbo(x, num_samples=2000, seed=0) < exact + 0.05).all()


def test_the_elbo_of_a_vq_model_is_its_log_probability_minus_the_code_length(frozen, vectors):
    model, _ = frozen
    error = ((vectors - model.reconstruct(vectors)).astype("float64") ** 2).sum(1)
    exact = -0.5 * error - 4 * np.log(2 * np.pi) - 4 * np.log(5)
    np.testing.assert_allclose(model.elbo(vectors), exact, rtol=1e-5)
    np.testing.assert_allclose(model.log_likelihood(vectors), exact, rtol=1e-5)


def test_the_elbo_does_not_depend_on_beta(make, grey):
    model = make("mlp_vae", beta=4.0)
    before = model.elbo(grey, seed=0)
    model.beta = 0.0
    np.testing.assert_array_equal(model.elbo(grey, seed=0), before)


def test_the_elbo_is_minus_distortion_minus_rate(make, factory, grey):
    model = make(factory)
    distortion, rate = model.distortion_and_rate(grey, seed=0)
    np.testing.assert_allclose(model.elbo(grey, seed=0), -distortion - rate, rtol=1e-6)


def test_a_seed_gives_the_same_numbers_whatever_the_batch_size(make, grey):
    model = make("mlp_vae")
    for ask in (model.elbo, model.log_likelihood, model.sample_posterior):
        one, two = ask(grey, seed=3, batch_size=12), ask(grey, seed=3, batch_size=5)
        np.testing.assert_allclose(one, two, rtol=2e-5, atol=1e-6)
        assert (ask(grey, seed=4) != one).any()
    one, two = model.generate(7, seed=3), model.generate(7, seed=3, batch_size=2)
    np.testing.assert_allclose(one, two, rtol=1e-5)
    np.testing.assert_allclose(model.generate(5, seed=3), one[:5], rtol=1e-5)


def test_without_a_seed_every_call_draws_new_numbers(make, grey):
    model = make("mlp_vae")
    for ask in (model.elbo, model.log_likelihood, model.sample_posterior):
        assert (ask(grey) != ask(grey)).any()
    assert (model.generate(3) != model.generate(3)).any()


def test_set_random_seed_makes_calls_without_a_seed_reproducible(make, grey):
    model = make("mlp_vae")
    keras.utils.set_random_seed(5)
    first = model.elbo(grey)
    keras.utils.set_random_seed(5)
    np.testing.assert_array_equal(model.elbo(grey), first)


def test_inference_does_not_change_the_random_state_of_training(make, grey):
    model = make("mlp_vae")
    generators = (model.seed_generator, model.latent.seed_generator)
    before = [keras.ops.convert_to_numpy(generator.state) for generator in generators]
    model.elbo(grey)
    model.log_likelihood(grey, num_samples=2)
    model.generate(2)
    model.sample_posterior(grey)
    model.reconstruct(grey)
    after = [keras.ops.convert_to_numpy(generator.state) for generator in generators]
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("num_samples", [0, 1.5, True, "5"])
def test_a_number_of_samples_that_is_not_whole_is_refused(make, grey, num_samples):
    model = make("mlp_vae")
    for ask in (model.elbo, model.log_likelihood):
        with pytest.raises(ValueError, match="num_samples must be a whole number >= 1"):
            ask(grey, num_samples=num_samples)


@pytest.mark.parametrize("arguments", [{"seed": -1}, {"seed": 0.5}, {"batch_size": 0}])
def test_seeds_and_batch_sizes_that_are_not_whole_are_refused(make, grey, arguments):
    with pytest.raises(ValueError, match="must be a whole number"):
        make("mlp_vae").elbo(grey, **arguments)


@pytest.mark.parametrize("n", [0, 2.5, -1])
def test_a_number_of_images_that_is_not_whole_is_refused(make, n):
    with pytest.raises(ValueError, match="n must be a whole number >= 1"):
        make("mlp_vae").generate(n)


@pytest.mark.parametrize(
    "z", [np.zeros((2, 4)), np.zeros(3), np.zeros((0, 3)), np.zeros((1, 3, 1))]
)
def test_latents_of_the_wrong_shape_are_refused(make, z):
    with pytest.raises(ValueError, match=r"z must have shape \(n, 3\)"):
        make("mlp_vae").decode(z)


def test_latents_that_are_not_finite_are_refused(make):
    with pytest.raises(ValueError, match="z must be finite"):
        make("mlp_vae").decode(np.full((2, 3), np.nan))
