"""Tests of priors: densities against closed forms and Jacobians, samples against densities."""

import math

import keras
import numpy as np
import pytest
from conftest import long_elsewhere, quick_first
from keras import ops
from scipy import stats

import keras_vae
from keras_vae import priors


def trained(prior, latent_shape, seed=0, scale=0.3):
    """Builds a prior and perturbs its weights, as training would."""
    prior.build((None, *latent_shape))
    rng = np.random.default_rng(seed)
    for weight in prior.weights:
        value = ops.convert_to_numpy(weight)
        weight.assign(value + scale * rng.standard_normal(value.shape))
    return prior


MAKERS = {
    "normal": priors.StandardNormal,
    "mixture": lambda: priors.MixtureOfGaussians(5, seed=1),
    "realnvp": lambda: priors.RealNVP(4, (16,)),
    "low_rank": lambda: priors.LowRankGaussian(1, seed=1),
    "channel_flow": lambda: priors.ChannelFlow((1, 1), 8, rank=1, seed=1),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_density_integrates_to_one(name):
    prior = trained(MAKERS[name](), (2,))
    edges = np.linspace(-12, 12, 601)
    z = np.stack(np.meshgrid(edges, edges), axis=-1).reshape(-1, 2).astype("float32")
    p = np.exp(ops.convert_to_numpy(prior.log_prob(z)).astype("float64"))
    assert p.sum() * (edges[1] - edges[0]) ** 2 == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("name", MAKERS)
def test_samples_follow_the_density(name):
    """The share of samples in each cell of a grid is the integral of the density over the cell."""
    prior = trained(MAKERS[name](), (2,))
    z = prior.sample(200_000, np.random.default_rng(0))
    assert z.dtype == np.float32 and z.shape == (200_000, 2)
    edges = np.linspace(-6, 6, 7)
    counts, _, _ = np.histogram2d(z[:, 0], z[:, 1], bins=(edges, edges))
    fine = np.linspace(-6, 6, 481)
    middles = (fine[1:] + fine[:-1]) / 2
    grid = np.stack(np.meshgrid(middles, middles, indexing="ij"), axis=-1)
    p = np.exp(ops.convert_to_numpy(prior.log_prob(grid.reshape(-1, 2).astype("float32"))))
    cell = p.reshape(6, 80, 6, 80).sum(axis=(1, 3)) * (fine[1] - fine[0]) ** 2
    np.testing.assert_allclose(counts / len(z), cell, atol=5e-3)


def test_the_density_of_low_rank_is_that_of_scipy():
    prior = trained(priors.LowRankGaussian(3, seed=0), (2, 4), scale=0.7)
    mean, log_var, w = map(ops.convert_to_numpy, (prior.mean, prior.log_var, prior.factors))
    covariance = w @ w.T + np.diag(np.exp(log_var))
    z = np.random.default_rng(2).normal(size=(6, 2, 4)).astype("float32")
    expected = stats.multivariate_normal(mean, covariance).logpdf(z.reshape(6, 8))
    got = ops.convert_to_numpy(prior.log_prob(z))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    draws = prior.sample(100_000, np.random.default_rng(0)).reshape(-1, 8)
    np.testing.assert_allclose(np.cov(draws.T), covariance, atol=0.1)
    np.testing.assert_allclose(draws.mean(0), mean, atol=0.03)


@pytest.mark.parametrize("name", MAKERS)
def test_latents_may_have_any_shape(name):
    prior = trained(MAKERS[name](), (2, 3))
    z = prior.sample(4, np.random.default_rng(0))
    assert z.shape == (4, 2, 3) and ops.shape(prior.log_prob(z)) == (4,)


def test_the_log_determinant_of_a_flow_is_that_of_its_jacobian():
    flow, d = trained(priors.RealNVP(5, (8, 8)), (6,)), 6
    rng = np.random.default_rng(1)
    z = rng.standard_normal((3, d)).astype("float32")
    _, log_det = flow.to_normal(z)
    step = 1e-2
    for row, got in zip(z, ops.convert_to_numpy(log_det)):
        moved = np.concatenate([row + step * np.eye(d), row - step * np.eye(d)]).astype("float32")
        u = ops.convert_to_numpy(flow.to_normal(moved)[0]).astype("float64")
        jacobian = (u[:d] - u[d:]) / (2 * step)
        assert got == pytest.approx(np.linalg.slogdet(jacobian)[1], abs=2e-2)


def test_a_flow_and_its_inverse_give_back_the_input():
    flow = trained(priors.RealNVP(8, (16,)), (5,), scale=0.2)
    z = np.random.default_rng(2).standard_normal((50, 5)).astype("float32")
    again = ops.convert_to_numpy(flow.from_normal(flow.to_normal(z)[0]))
    np.testing.assert_allclose(again, z, atol=1e-3)


def test_two_couplings_change_every_latent():
    flow = trained(priors.RealNVP(2, ()), (7,))
    z = np.random.default_rng(2).standard_normal((1, 7)).astype("float32")
    assert (ops.convert_to_numpy(flow.to_normal(z)[0]) != z).all()


def test_a_new_flow_is_the_standard_normal():
    flow = priors.RealNVP()
    flow.build((None, 9))
    z = np.random.default_rng(0).standard_normal((20, 9)).astype("float32")
    expected = stats.norm.logpdf(z).sum(axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(flow.log_prob(z)), expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(6,), (3, 6), (2, 2, 6), (2, 1, 2, 6)], ids=str)
def test_channels_depend_on_the_groups_before_theirs_only(shape):
    """The density is that of its base at u, and the Jacobian of u; samples have the same u."""
    flow = trained(priors.ChannelFlow((1, 2), 4, rank=2, seed=0), shape, scale=0.2)
    assert [flow.networks[i].output_shape[-1] for i in range(2)] == [2 * 2, 2 * 3]
    d, rng = math.prod(shape), np.random.default_rng(1)
    z = rng.standard_normal((1, *shape)).astype("float32")
    seen = {}

    def u_of(z):
        original = flow.base.log_prob
        flow.base.log_prob = lambda u: seen.setdefault("u", u) is None or original(u)
        try:
            seen.clear()
            flow.log_prob(z)
        finally:
            flow.base.log_prob = original
        return ops.convert_to_numpy(seen["u"]).reshape(len(z), d).astype("float64")

    step = 1e-2 * np.eye(d).reshape(d, *shape)
    plus, minus = (u_of((z + sign * step).astype("float32")) for sign in (1, -1))
    jacobian = (plus - minus) / 2e-2  # [j, i]: of u_i in z_j
    of_channel = np.arange(d) % 6
    group = np.digitize(of_channel, [1, 3])
    assert (jacobian[group[:, None] > group[None, :]] == 0).all()
    within = group[:, None] == group[None, :]
    assert (np.abs(jacobian[within & ~np.eye(d, dtype=bool)]) < 1e-6).all()
    assert (np.abs(jacobian[group[:, None] < group[None, :]]) > 0).mean() > 0.9
    u = u_of(z).reshape(z.shape).astype("float32")
    expected = ops.convert_to_numpy(flow.base.log_prob(u)) + np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(ops.convert_to_numpy(flow.log_prob(z)), expected, atol=2e-2)
    drawn = flow.sample(5, np.random.default_rng(3))
    np.testing.assert_allclose(
        u_of(drawn), flow.base.sample(5, np.random.default_rng(3)).reshape(5, d), atol=1e-4
    )


def test_two_channel_flows_of_one_seed_are_the_same():
    first, second, other = (priors.ChannelFlow((1, 1), 8, rank=1, seed=seed) for seed in (3, 3, 4))
    for flow in (first, second, other):
        flow.build((None, 4, 3))
    for a, b, c in zip(first.weights, second.weights, other.weights):
        a, b, c = map(ops.convert_to_numpy, (a, b, c))
        np.testing.assert_array_equal(a, b)
        assert (a != c).any() or not a.any()
    kernels = [network.layers[0].kernel for network in first.networks]
    assert len({ops.convert_to_numpy(kernel).max() for kernel in kernels}) == 2
    many = first.sample(1100, np.random.default_rng(0))  # in several passes
    assert many.shape == (1100, 4, 3) and first.sample(0, np.random.default_rng(0)).shape[0] == 0


def test_a_new_channel_flow_is_its_base_and_its_groups_are_octaves():
    flow = priors.ChannelFlow(rank=3, seed=0)
    flow.build((None, 2, 2, 32))
    assert flow.spans == [(2, 4), (4, 8), (8, 16), (16, 32)]
    z = np.random.default_rng(0).standard_normal((5, 2, 2, 32)).astype("float32")
    np.testing.assert_allclose(
        *(ops.convert_to_numpy(prior.log_prob(z)) for prior in (flow, flow.base)), rtol=1e-6
    )


@pytest.mark.parametrize("groups", [(4, 2), (2, 2, 2), (2, 3), (4,), None])
def test_a_channel_flow_needs_channels_for_its_groups(groups):
    with pytest.raises(ValueError, match="must be at least two, and hold no more channels"):
        priors.ChannelFlow(groups).build((None, 3, 1 if groups is None else 4))


def test_couplings_are_initialised_like_dense_layers():
    flow = priors.RealNVP(6, (50, 30))
    flow.build((None, 40))
    for kernel, (fan_in, fan_out) in zip(flow.kernels, ((40, 50), (50, 30))):
        limit = math.sqrt(6 / (fan_in + fan_out))  # Glorot & Bengio 2010, eq. 16
        values = ops.convert_to_numpy(kernel)
        assert values.shape == (6, fan_in, fan_out)
        np.testing.assert_allclose(values.std(axis=(1, 2)), limit / math.sqrt(3), rtol=0.1)
        assert 0.95 * limit < abs(values).max() <= limit


@pytest.mark.parametrize("name", MAKERS)
def test_a_density_is_computed_in_float32_inside_a_mixed_precision_layer(name):
    class Within(keras.layers.Layer):
        def call(self, z):
            return prior.log_prob(z)

    prior = trained(MAKERS[name](), (4,))
    z = ops.cast(np.random.default_rng(0).standard_normal((5, 4)), "bfloat16")
    within = Within(dtype="mixed_bfloat16")(z)
    expected = ops.convert_to_numpy(prior.log_prob(ops.cast(z, "float32")))
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(within, "float32")), expected, 1e-6)


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "normal"])
@pytest.mark.parametrize("floatx", ["float64", "float16"])
def test_a_prior_computes_in_float32_whatever_keras_s_default(name, floatx):
    before = keras.config.floatx(), keras.config.dtype_policy()
    try:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(floatx)
        prior = trained(MAKERS[name](), (4,))
        z = np.random.default_rng(0).standard_normal((5, 4)).astype("float32")
        log_p = prior.log_prob(ops.convert_to_tensor(z, "float32"))
        assert keras.backend.standardize_dtype(log_p.dtype) == "float32"
        assert np.isfinite(ops.convert_to_numpy(log_p)).all()
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def test_the_density_of_a_mixture_equals_scipy():
    prior = trained(priors.MixtureOfGaussians(3, seed=0), (4,))
    mean, log_var, logits = (ops.convert_to_numpy(w) for w in prior.weights)
    weights = np.exp(logits) / np.exp(logits).sum()
    z = np.random.default_rng(0).standard_normal((20, 4)).astype("float32")
    normals = stats.norm.logpdf(z[:, None], mean, np.exp(log_var / 2)).sum(axis=2)
    expected = np.log(np.exp(normals) @ weights)
    np.testing.assert_allclose(ops.convert_to_numpy(prior.log_prob(z)), expected, rtol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_distant_latents_have_a_finite_density(name):
    prior = trained(MAKERS[name](), (3,))
    z = np.float32([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]])
    assert np.isfinite(ops.convert_to_numpy(prior.log_prob(z))).all()


@pytest.mark.parametrize(
    "name", quick_first(["low_rank", *(name for name in priors.PRIORS if name != "low_rank")])
)
def test_a_vae_trains_its_prior_and_saves_it(name, tmp_path):
    x = np.random.default_rng(0).random((64, 6)).round().astype("float32")
    small = {"name": "realnvp", "couplings": 2, "hidden_units": [8]}
    prior = small if name == "realnvp" else name
    model = keras_vae.mlp_vae((6,), latent_dim=2, hidden_units=(8,), prior=prior, seed=0)
    before = [ops.convert_to_numpy(w) for w in model.latent.prior.trainable_weights]
    model.fit(x, epochs=2, verbose=0)
    after = [ops.convert_to_numpy(w) for w in model.latent.prior.trainable_weights]
    assert sum((a != b).any() for a, b in zip(after, before)) >= len(after) / 2
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.elbo(x, seed=0), model.elbo(x, seed=0), rtol=1e-5)
    np.testing.assert_allclose(again.generate(4, seed=0), model.generate(4, seed=0), atol=1e-6)
    assert type(again.latent.prior) is priors.PRIORS[name]
    keras_vae.save_to_folder(model, tmp_path / "folder")
    again = keras_vae.load(tmp_path / "folder")
    np.testing.assert_allclose(again.elbo(x, seed=0), model.elbo(x, seed=0), rtol=1e-5)


@pytest.mark.parametrize("name", ["mixture", "realnvp"])
def test_the_bound_tightens_with_samples_under_any_prior(name):
    x = np.random.default_rng(0).random((64, 6)).round().astype("float32")
    prior = trained(MAKERS[name](), (2,), scale=0.1)
    model = keras_vae.mlp_vae((6,), latent_dim=2, hidden_units=(8,), prior=prior, seed=0)
    for weight in model.decoder.weights:
        weight.assign(4 * weight)  # a posterior far from q, so that noise does not decide
    elbo = model.elbo(x, num_samples=500, seed=0).mean()
    few, many = (model.log_likelihood(x, k, seed=0).mean() for k in (10, 1000))
    assert elbo < few < many


@long_elsewhere
def test_the_log_likelihood_is_the_integral_over_the_prior():
    """In 2-D: log p(x) from a fine grid over z, under a non-Gaussian prior."""
    x = np.random.default_rng(0).random((8, 6)).round().astype("float32")
    flow = trained(priors.RealNVP(4, (16,)), (2,), scale=0.15)
    model = keras_vae.mlp_vae((6,), latent_dim=2, hidden_units=(8,), prior=flow, seed=0)
    rng = np.random.default_rng(1)
    for weight in (*model.encoder.weights, *model.decoder.weights):  # q near N(0, I) covers p
        weight.assign(0.2 * rng.standard_normal(weight.shape))
    edges = np.linspace(-8, 8, 401)
    z = np.stack(np.meshgrid(edges, edges), axis=-1).reshape(-1, 2).astype("float32")
    log_p = ops.convert_to_numpy(flow.log_prob(z)).astype("float64")
    assert np.abs(log_p - stats.norm.logpdf(z).sum(axis=1))[np.abs(z).max(axis=1) < 2].max() > 0.3
    mean = np.clip(model.decode(z).astype("float64"), 1e-7, 1 - 1e-7)
    log_x = x @ np.log(mean).T + (1 - x) @ np.log(1 - mean).T
    exact = np.log(np.exp(log_x + log_p).sum(axis=1) * (edges[1] - edges[0]) ** 2)
    np.testing.assert_allclose(model.log_likelihood(x, 20_000, seed=0), exact, atol=0.03)


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("flow", "prior must be an object of keras_vae.priors"),
        ({"name": "realnvp", "depth": 3}, "Unrecognized keyword arguments passed to RealNVP"),
        ({"name": "realnvp", "activation": "glu"}, "takes no activation that halves its input"),
        ({"name": "realnvp", "couplings": 0}, "couplings must be a whole number >= 1"),
        ({"name": "channel_flow", "filters": 0}, "filters must be a whole number >= 1"),
        ({"name": "channel_flow", "groups": (1, 0)}, "groups"),
        ({"name": "channel_flow", "activation": "glu"}, "takes no activation that halves"),
        ({"name": "mixture", "components": 1.5}, "components must be a whole number"),
        ({"class_name": "Lambda", "config": {}}, "prior must be an object of keras_vae.priors"),
    ],
)
def test_an_invalid_prior_is_refused(identifier, message):
    with pytest.raises(ValueError, match=message):
        keras_vae.mlp_vae((6,), latent_dim=2, prior=identifier)


def test_a_vamp_prior_is_the_mean_of_posteriors():
    prior = priors.VampPrior(70, seed=0)  # more than one block
    model = keras_vae.mlp_vae((6,), latent_dim=2, hidden_units=(8,), prior=prior, seed=0)
    u = ops.convert_to_numpy(prior.pseudo_inputs)
    mean, log_var = map(ops.convert_to_numpy, model.latent.posterior(model.encoder(u)))
    z = np.random.default_rng(0).standard_normal((20, 2)).astype("float32")
    normals = stats.norm.logpdf(z[:, None], mean, np.exp(log_var / 2)).sum(axis=2)
    expected = np.log(np.exp(normals).mean(axis=1))
    np.testing.assert_allclose(ops.convert_to_numpy(prior.log_prob(z)), expected, rtol=1e-4)
    draws = prior.sample(20_000, np.random.default_rng(0))
    np.testing.assert_allclose(draws.mean(axis=0), mean.mean(axis=0), atol=0.05)
    within, between = np.exp(log_var).mean(axis=0), mean.var(axis=0)
    np.testing.assert_allclose(draws.var(axis=0), within + between, rtol=0.05)


def test_a_vamp_prior_needs_a_model():
    with pytest.raises(ValueError, match="needs data_shape, or a model"):
        priors.VampPrior().build((None, 2))


def test_a_flow_over_one_latent_is_refused():
    with pytest.raises(ValueError, match="needs at least 2 latents"):
        keras_vae.mlp_vae((6,), latent_dim=1, prior="realnvp")


def test_the_density_of_the_standard_normal():
    prior = priors.StandardNormal()
    prior.build((None, 3))
    assert float(prior.log_prob(np.zeros((1, 3)))[0]) == pytest.approx(-1.5 * math.log(2 * math.pi))


def test_a_prior_built_for_another_width_is_refused():
    prior = priors.RealNVP(2, (4,))
    keras_vae.mlp_vae((6,), latent_dim=2, prior=prior)
    with pytest.raises(ValueError, match=r"prior was built for latents of shape \(2,\)"):
        keras_vae.mlp_vae((6,), latent_dim=3, prior=prior)


def test_pseudo_inputs_do_not_count_as_training_data():
    """They do not change the statistics of a batch normalisation."""
    encoder = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.BatchNormalization(momentum=0.5, name="norm"),
            keras.layers.Dense(4),
        ]
    )
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(6)])
    latent = keras_vae.latents.GaussianLatent(priors.VampPrior(3, seed=0))
    model = keras_vae.VAE(encoder, decoder, latent, likelihood="gaussian")
    latent.prior.pseudo_inputs.assign(np.full((3, 6), 9.0))
    model.compile(keras.optimizers.SGD(0.0))
    model.train_on_batch(np.full((8, 6), 0.5, "float32"))
    mean = ops.convert_to_numpy(encoder.get_layer("norm").moving_mean)
    np.testing.assert_allclose(mean, 0.25, rtol=1e-5)
