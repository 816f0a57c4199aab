"""Ladders against exact marginals of linear-Gaussian ones, and against models of one layer."""

import itertools
import math

import keras
import numpy as np
import pytest
from conftest import long_elsewhere, quick_first
from keras import layers, ops
from reference_steps import gradient
from scipy import stats

import keras_vae
from keras_vae.backends import compile_method
from keras_vae.latents import Ladder
from keras_vae.likelihoods import Gaussian
from keras_vae.networks.ladder import smooth_log_var

WIDE = 4  # numbers of an example
SCALE = 0.8  # of the likelihood


def numpy(t):
    return ops.convert_to_numpy(t)


def tensor(value):
    return ops.convert_to_tensor(value)


def compiled(function, model, *arrays):
    """What a function of tensors returns, as NumPy arrays; by itself each operation is compiled."""
    outputs = compile_method(function, model)(*map(tensor, arrays))
    return [numpy(output) for output in outputs]


def affine(inputs, kernel, bias):
    """A model of one dense layer, of several inputs side by side, with these weights."""
    x = inputs[0] if len(inputs) == 1 else layers.Concatenate()(inputs)
    model = keras.Model(inputs[0] if len(inputs) == 1 else inputs, layers.Dense(len(bias))(x))
    model.set_weights([np.asarray(kernel, "float32"), np.asarray(bias, "float32")])
    return model


def identity(shape):
    x = keras.Input(shape)
    return keras.Model(x, layers.Identity()(x))


class LinearLadder:
    """z_l | z_<l ~ N(K_l z_<l + b_l, diag(v_l)), x | z ~ N(D z + c, SCALE^2): all is Gaussian.

    The state is all z so far, in a row. Each posterior has the exact conditional mean and the exact
    variances of its layer; within a layer it leaves out the covariances. `error` is added to all of
    its weights.
    """

    def __init__(self, widths, error=0.0):
        rng = np.random.default_rng(len(widths))
        size, ends = sum(widths), [0, *itertools.accumulate(widths)]
        self.mean, self.cov = np.zeros(size), np.zeros((size, size))
        rows = [slice(a, b) for a, b in zip(ends, ends[1:])]
        conditionals, moments = [], []
        for row, k in zip(rows, widths):
            kernel, bias = rng.normal(0, 0.7, (row.start, k)), rng.normal(0, 0.5, k)
            log_var = rng.normal(-0.5, 0.3, k)
            if row.start == 0:
                bias, log_var = np.zeros(k), np.zeros(k)
            else:
                weights = np.concatenate([kernel, np.zeros_like(kernel)], 1)
                both = np.concatenate([bias, log_var])
                conditionals.append(affine([keras.Input((row.start,))], weights, both))
            above = slice(0, row.start)
            self.mean[row] = self.mean[above] @ kernel + bias
            self.cov[above, row] = self.cov[above, above] @ kernel
            self.cov[row, above] = self.cov[above, row].T
            self.cov[row, row] = kernel.T @ self.cov[above, row] + np.diag(np.exp(log_var))
            moments.append((kernel, bias, log_var))
        decode = rng.normal(0, 0.6, (size, WIDE)), rng.normal(0, 0.3, WIDE)
        cross = self.cov @ decode[0]
        self.x_mean = self.mean @ decode[0] + decode[1]
        self.x_cov = decode[0].T @ cross + SCALE**2 * np.eye(WIDE)
        joint = np.block([[self.cov, cross], [cross.T, self.x_cov]])
        posteriors, steps = [], []
        for row, k, (kernel, bias, log_var) in zip(rows, widths, moments):
            given = [*range(size, size + WIDE), *range(row.start)]  # x, then the layers above
            inverse = np.linalg.inv(joint[np.ix_(given, given)])
            gain = inverse @ joint[given, row]
            cov = joint[row, row] - joint[row, given] @ gain
            centre = np.concatenate([self.x_mean, self.mean[: row.start]])
            offset = self.mean[row] - centre @ gain - bias
            gain[WIDE:] -= kernel
            std = np.exp(log_var / 2)  # relative to the prior
            weights = np.concatenate([gain / std, np.zeros_like(gain)], 1)
            both = np.concatenate([offset / std, np.log(np.diag(cov)) - log_var])
            weights, both = (w + error * rng.normal(size=w.shape) for w in (weights, both))
            state = [keras.Input((row.start,))] if row.start else []
            posteriors.append(affine([keras.Input((WIDE,)), *state], weights, both))
            z = keras.Input((k,))
            joined = layers.Concatenate()([*state, z]) if state else layers.Identity()(z)
            steps.append(keras.Model([*state, z] if state else z, joined))
        latent = Ladder(posteriors, conditionals, steps, sources=[0] * len(widths))
        decoder = affine([keras.Input((size,))], *decode)
        self.model = keras_vae.VAE(identity((WIDE,)), decoder, latent, likelihood=Gaussian(SCALE))

    def data(self, n):
        rng = np.random.default_rng(0)
        return rng.multivariate_normal(self.x_mean, self.x_cov, n).astype("float32")

    def log_prob(self, x):
        return stats.multivariate_normal(self.x_mean, self.x_cov).logpdf(x)


@pytest.mark.parametrize("widths", [(1, 1), (1, 1, 1)])
def test_the_elbo_of_the_exact_posterior_is_the_marginal_likelihood(widths):
    ladder = LinearLadder(widths)
    x = ladder.data(6)
    exact = ladder.log_prob(x)
    # Every sample has the same importance weight: the bound is exact with one.
    got = ladder.model.log_likelihood(x, 1, seed=0)
    np.testing.assert_allclose(got, exact, atol=2e-4)
    np.testing.assert_allclose(ladder.model.elbo(x, num_samples=4000), exact, atol=0.15)


@pytest.mark.parametrize("widths", [(2, 2), (2, 1, 2)])
def test_bounds_of_an_inexact_posterior_are_below_and_close_in_on_the_marginal(widths):
    ladder = LinearLadder(widths, error=0.04)
    x = ladder.data(8)
    exact, terms = ladder.log_prob(x), ladder.model.importance_terms(x, 5000, seed=0)
    elbo = -terms["distortion"] - terms["rate"]
    assert (elbo + 3 * np.sqrt(terms["elbo_variance"]) < exact).all() and (exact - elbo).max() < 2
    np.testing.assert_allclose(terms["log_likelihood"], exact, atol=0.05)


def test_codes_are_latents_in_units_of_their_conditional_prior():
    ladder = LinearLadder((2, 1, 2))
    z = ladder.model.sample_prior(20000, seed=0)
    assert abs(z.mean()) < 0.02 and np.allclose(np.cov(z.T), np.eye(5), atol=0.05)
    images = ladder.model.decode(z)  # their means: p(x) without the likelihood's noise
    np.testing.assert_allclose(images.mean(0), ladder.x_mean, atol=0.05)
    cov = ladder.x_cov - SCALE**2 * np.eye(WIDE)
    np.testing.assert_allclose(np.cov(images.T), cov, atol=0.1 * cov.max())


SMALL_FLOW = {"name": "realnvp", "couplings": 2, "hidden_units": [8]}


@pytest.mark.parametrize(
    "prior", quick_first([None, SMALL_FLOW, {"name": "mixture", "components": 3}], 2)
)
@pytest.mark.usefixtures("eager")
def test_rates_are_those_of_the_layers(prior):
    options = {"prior": prior, "blocks": 0, "likelihood": Gaussian(SCALE), "seed": 0}
    model = scatter(keras_vae.ladder_vae((4, 4, 1), 1, (4,), **options))
    x, m = np.random.default_rng(0).random((2, 4, 4, 1), dtype="float32"), 400
    noise = np.random.default_rng(1).normal(size=(m, 2, 32)).astype("float32")

    def draw(x, noise):
        draw = model.latent.draw(model.encoder(x), noise)
        return draw.log_ratio, draw.rate, draw.layer_rates

    log_ratio, rate, layer_rates = compiled(draw, model, x, noise)
    error = log_ratio.std(0) / np.sqrt(m)
    assert (abs(rate.mean(0) + log_ratio.mean(0)) < 5 * error + 1e-3).all()
    np.testing.assert_allclose(layer_rates.sum(1), rate.mean(0), rtol=1e-4)
    got = model.layer_rates(x)
    assert got.shape == (2, 2)
    total = model.distortion_and_rate(x, num_samples=1, seed=0)[1]
    np.testing.assert_allclose(got.sum(1), total, rtol=1e-4, atol=1e-4)
    if prior is None:
        units = model.latent_rates(x)
        np.testing.assert_allclose(units[:, :16].sum(1), got[:, 0], rtol=1e-4)
        np.testing.assert_allclose(units[:, 16:].sum(1), got[:, 1], rtol=1e-4)
    figures = keras_vae.evaluate(model, x, num_samples=2)
    np.testing.assert_allclose(figures["layer_rates"], got.mean(0), rtol=1e-4)
    assert ("latent_rates" in figures) == (prior is None)


def scatter(model):
    """Gives all weights values of their own, those that begin at zero too."""
    rng = np.random.default_rng(5)
    for weight in model.trainable_weights:
        weight.assign(numpy(weight) + rng.normal(0, 0.1, weight.shape).astype("float32"))
    return model


@long_elsewhere
@pytest.mark.parametrize(
    "factory, prior",
    [("mlp_vae", {"name": "mixture", "components": 3}), ("conv_vae", None)],
)
@pytest.mark.usefixtures("eager")
def test_a_ladder_of_one_layer_is_a_gaussian_latent(make, grey, factory, prior):
    plain = scatter(make(factory, prior=prior))
    parts = identity((6,)), identity((3,))
    latent = Ladder(parts[:1], [], parts[1:], prior=prior, seed=0)
    ladder = keras_vae.VAE(plain.encoder, plain.decoder, latent, seed=0)
    latent.prior.set_weights(plain.latent.prior.get_weights())
    assert latent.prior_name == plain.latent.prior_name
    for ask in (
        lambda model: model.encode(grey),
        lambda model: model.sample_posterior(grey, seed=1),
        lambda model: model.elbo(grey, seed=1),
        lambda model: model.log_likelihood(grey, 7, seed=1),
        lambda model: model.generate(3, seed=1),
        lambda model: model.layer_rates(grey),
    ):
        np.testing.assert_allclose(ask(ladder), ask(plain), rtol=1e-4, atol=1e-5)
    code, h = plain.sample_posterior(grey, seed=2)[None], plain.encoder(tensor(grey))
    ratios = [numpy(model.latent.log_ratio(h, tensor(code))) for model in (plain, ladder)]
    np.testing.assert_allclose(*ratios, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def two_maps(make):
    """A trained-looking model of three layers on maps of 3 x 4 and 5 x 7."""
    model = keras_vae.ladder_vae((5, 7, 1), 2, (3, 4), layers=(1, 2), blocks=1, seed=0)
    return scatter(model), np.random.default_rng(0).random((3, 5, 7, 1), dtype="float32")


def test_the_code_holds_all_layers_top_first(two_maps):
    model, x = two_maps
    assert model.latent.layout == ((3, 4, 2), (3, 4, 2), (5, 7, 2))
    code = model.encode(x)
    assert code.shape == (3, 24 + 24 + 70)
    parts = model.latent.split(code)
    assert [part.shape for part in map(numpy, parts)] == [(3, *s) for s in model.latent.layout]
    np.testing.assert_array_equal(np.concatenate([numpy(p).reshape(3, -1) for p in parts], 1), code)


def test_a_lower_layer_does_not_change_those_above(two_maps):
    model, x = two_maps
    z = model.encode(x)
    again = model.sample_below(z, 2, seed=0)
    np.testing.assert_array_equal(again[:, :48], z[:, :48])
    np.testing.assert_array_equal(again[:, 48:], model.sample_prior(3, seed=0)[:, 48:])
    assert np.ptp(model.decode(again) - model.decode(z)) > 0
    mean = model.sample_below(z, 2, temperature=0)
    np.testing.assert_array_equal(mean[:, 48:], 0)
    np.testing.assert_allclose(model.reconstruct(x, layers=2), model.decode(mean), atol=1e-6)
    np.testing.assert_array_equal(model.reconstruct(x, layers=3), model.reconstruct(x))


@pytest.mark.parametrize("layers", [0, 4, 1.5])
def test_layers_that_a_ladder_does_not_have_are_refused(two_maps, layers):
    model, x = two_maps
    with pytest.raises(ValueError, match="layers must be"):
        model.reconstruct(x, layers=layers)


def test_layers_are_those_of_a_hierarchy(make, grey):
    with pytest.raises(ValueError, match="layers must be left out: it counts the layers of a hier"):
        make("mlp_vae").reconstruct(grey, layers=1)


def test_temperature_scales_the_noise_of_every_layer(two_maps):
    model, _ = two_maps
    z = model.sample_prior(4, seed=0)
    np.testing.assert_array_equal(model.sample_prior(4, seed=0, temperature=1.0), z)
    np.testing.assert_allclose(model.sample_prior(4, seed=0, temperature=0.7), 0.7 * z, rtol=1e-6)
    cold = model.generate(4, seed=0, temperature=0)
    np.testing.assert_allclose(cold, model.decode(np.zeros_like(z)), atol=1e-6)
    with pytest.raises(ValueError, match="temperature must be a finite number >= 0"):
        model.generate(1, temperature=-1)


def test_temperature_scales_what_a_flow_transforms_and_a_mixtures_components(make):
    flow = scatter(make("mlp_vae", prior="realnvp"))
    noise = np.zeros((2, 3), "float32")
    got = flow.sample_prior(2, seed=0, temperature=0)
    np.testing.assert_allclose(got, numpy(flow.latent.prior.from_normal(noise)), atol=1e-6)
    mixture = make("mlp_vae", prior={"name": "mixture", "components": 2})
    means = numpy(mixture.latent.prior.mean)
    for z in mixture.sample_prior(5, seed=0, temperature=0):
        assert np.abs(means - z).max(1).min() < 1e-6


def test_a_prior_without_normal_noise_has_no_temperature(make):
    model = make("vq_vae", prior={"name": "transformer", "width": 4, "blocks": 1, "heads": 1})
    assert model.generate(1, seed=0, temperature=1).shape == (1, 8, 8, 1)
    with pytest.raises(ValueError, match="temperature is for priors that draw normal noise"):
        model.generate(1, temperature=0.5)


@pytest.mark.usefixtures("eager")
def test_a_new_ladder_has_small_rates(two_maps):
    _, x = two_maps
    model = keras_vae.ladder_vae((5, 7, 1), 2, (3, 4), layers=(1, 3), blocks=0, seed=0)
    rates = model.layer_rates(x)
    assert rates.shape == (3, 4) and 0 < rates.max() < 1


def test_smooth_log_variances_are_those_of_a_softplus():
    x = np.linspace(-60, 60, 241).astype("float32")
    expected = 2 * np.log(np.logaddexp(0, np.log(2) * x.astype("float64")) / np.log(2))
    np.testing.assert_allclose(numpy(smooth_log_var(tensor(x))), expected, rtol=1e-4, atol=1e-5)
    extreme = np.array([-1e4, -100, -21.7, -21.6, 0, 1e4], "float32")
    slope = gradient(lambda x: ops.sum(smooth_log_var(x)), extreme)
    assert np.isfinite(slope).all() and (slope >= 0).all()
    np.testing.assert_allclose(slope[:5], [2 * math.log(2)] * 4 + [1], rtol=0.01)


@pytest.mark.usefixtures("eager")
def test_free_bits_are_those_of_a_layer(two_maps):
    model, x = two_maps
    free = float(np.sort(model.layer_rates(x).mean(0))[1])  # two layers do not use more
    objectives = [keras_vae.objectives.ELBO(free_bits=bits) for bits in (0.0, free)]

    def losses(x, noise):
        terms = model.terms(x, noise=noise)
        return terms.draw.layer_rates, *(one.loss(model, terms) for one in objectives)

    noise = np.zeros((1, 3, 118), "float32")
    rates, plain, loss = compiled(losses, model, x, noise)
    extra = np.maximum(free - rates.mean(0), 0).sum()
    assert extra > 0 and loss - plain == pytest.approx(extra, rel=1e-3)


@long_elsewhere
@pytest.mark.parametrize("prior", quick_first([SMALL_FLOW, {"name": "vamp", "components": 4}]))
@pytest.mark.usefixtures("eager")
def test_free_bits_of_layers_need_no_closed_form(prior):
    model = keras_vae.ladder_vae((4, 4, 1), 1, (3,), prior=prior, free_bits=0.5, blocks=0, seed=0)
    x = np.random.default_rng(0).random((4, 4, 4, 1), dtype="float32")
    assert np.isfinite(model.train_on_batch(x)).all()
    assert model.generate(2, seed=0).shape == (2, 4, 4, 1)
    with pytest.raises(ValueError, match="not a sum over its latents"):
        model.latent_rates(x)


@pytest.mark.parametrize("policy", quick_first(["mixed_bfloat16", "float32"]))
def test_gradients_of_many_layers_are_finite_in_low_precision(policy):
    """Of extreme weights and data, 8 layers of dense networks."""
    keras.config.set_dtype_policy(policy)
    try:
        model = dense_ladder(8, scale=3.0)
    finally:
        keras.config.set_dtype_policy("float32")
    x = np.random.default_rng(0).normal(0, 100, (4, WIDE)).astype("float32")
    noise = tensor(np.random.default_rng(1).normal(size=(1, 4, 16)).astype("float32"))

    def loss(x):
        terms = model.terms(x, noise=noise)
        return ops.mean(terms.rate + terms.distortion)

    assert np.isfinite(float(numpy(loss(tensor(x)))))
    assert np.isfinite(gradient(loss, x)).all()
    assert model.latent.posteriors[3].layers[-1].compute_dtype == policy.replace("mixed_", "")


def dense_ladder(count, scale):
    """Layers of two latents, with weights of a standard deviation of `scale`."""
    posteriors, conditionals, steps = [], [], []

    def moments(x):
        large = keras.initializers.RandomNormal(stddev=scale, seed=len(steps))
        return layers.Dense(4, kernel_initializer=large)(x)

    for i in range(count):
        h, s, z = keras.Input((WIDE,)), keras.Input((6,)), keras.Input((2,))
        if i:
            conditionals.append(keras.Model(s, moments(s)))
        inputs = [h, s] if i else h
        posteriors.append(keras.Model(inputs, moments(layers.Concatenate()(inputs) if i else h)))
        y = layers.Concatenate()([s, z]) if i else z
        steps.append(keras.Model([s, z] if i else z, layers.Dense(6, "tanh")(y)))
    latent = Ladder(posteriors, conditionals, steps, sources=[0] * count)
    decoder = keras.Sequential([keras.Input((6,)), layers.Dense(WIDE)])
    return keras_vae.VAE(identity((WIDE,)), decoder, latent, likelihood=Gaussian(SCALE))


@long_elsewhere
@pytest.mark.usefixtures("eager")
def test_a_ladder_of_ones_own_networks_is_saved_as_plain_data(tmp_path):
    model = dense_ladder(3, scale=0.5)
    x = np.random.default_rng(0).normal(size=(5, WIDE)).astype("float32")
    keras_vae.save_to_folder(model, tmp_path / "folder")
    model.save(tmp_path / "model.keras")
    for again in (
        keras_vae.load(tmp_path / "folder"),
        keras.saving.load_model(tmp_path / "model.keras"),
    ):
        np.testing.assert_allclose(again.elbo(x, seed=0), model.elbo(x, seed=0), rtol=1e-5)


def architectures():
    rng = np.random.default_rng(24)
    for prior in ("learned", SMALL_FLOW, {"name": "vamp", "components": 3}):
        levels = int(rng.integers(1, 4))
        counts = [int(n) for n in rng.integers(0, 3, levels - 1)] + [int(rng.integers(1, 3))]
        yield {
            "input_shape": (*(int(n) for n in rng.integers(2, 10, 2)), int(rng.integers(1, 4))),
            "latent_channels": int(rng.integers(2, 4)),
            "filters": tuple(int(n) for n in rng.integers(1, 6, levels)),
            "layers": tuple(counts),
            "blocks": int(rng.integers(0, 2)),
            "prior": prior,
        }


@long_elsewhere
@pytest.mark.parametrize("arguments", quick_first(architectures()), ids=lambda a: f"{a['layers']}")
@pytest.mark.usefixtures("eager")
def test_random_architectures_keep_every_promise(arguments):
    model = scatter(keras_vae.ladder_vae(**arguments, likelihood=Gaussian(SCALE), seed=0))
    x = np.random.default_rng(0).random((2, *arguments["input_shape"]), dtype="float32")
    size = sum(math.prod(shape) for shape in model.latent.layout)
    assert len(model.latent.layout) == sum(arguments["layers"])
    code = model.encode(x)
    assert code.shape == (2, size) == model.sample_prior(2, seed=0).shape
    np.testing.assert_allclose(model.decode(code), model.reconstruct(x), atol=1e-6)
    noise = np.random.default_rng(1).normal(size=(3, 2, size)).astype("float32")
    top = math.prod(model.latent.layout[0])
    mask = (np.arange(size) < top).astype("float32")

    def draw(x, noise):
        terms = model.terms(x, noise=noise)
        code, latent = terms.draw.code, model.latent
        again = latent.decoder_input(ops.reshape(code, (6, size)))
        other = latent.draw(terms.h, noise * tensor(mask))
        ratios = latent.log_ratio(terms.h, code), terms.draw.log_ratio
        rates = terms.draw.layer_rates, terms.rate
        return again, terms.draw.decoder_input, *ratios, *rates, code, other.code

    again, state, ratio, drawn, rates, rate, code, other = compiled(draw, model, x, noise)
    # What is drawn decodes to what it was said to decode to, and has the ratio that it should have.
    np.testing.assert_allclose(again, state, atol=1e-4)
    np.testing.assert_allclose(ratio, drawn, rtol=1e-3, atol=1e-3)
    assert rates.shape == (2, len(model.latent.layout))
    np.testing.assert_allclose(rates.sum(1), rate, rtol=1e-4, atol=1e-4)
    # Latents of a layer do not depend on the noise of those below.
    np.testing.assert_allclose(code[..., :top], other[..., :top], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"layers": (1, 1)}, "layers must hold a number for each of filters"),
        ({"filters": (4, 4), "layers": (1, 0)}, "of which the last is at least 1"),
        ({"layers": (-1,)}, "each of layers must be a whole number >= 0"),
        ({"latent_channels": 0}, "latent_channels must be a whole number >= 1"),
        ({"prior": "lerned"}, "prior must be an object of keras_vae.priors"),
        ({"num_samples": 3, "importance_weighted": "dreg"}, "Ladder has weights of its own"),
    ],
)
def test_arguments_out_of_range_are_refused(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make("ladder_vae", **arguments)


def test_networks_that_make_no_ladder_are_refused():
    one, small = identity((4,)), identity((2,))
    for parts, message in (
        (([], [], []), "Expected 1 posteriors. Received: 0"),
        (([one], [one], [small]), "Expected 0 conditionals. Received: 1"),
        (([layers.Dense(4)], [], [small]), "posteriors must be built models of Keras"),
    ):
        with pytest.raises(ValueError, match=message):
            Ladder(*parts)
    with pytest.raises(ValueError, match="sources must hold a number for each of 1 layers"):
        Ladder([one], [], [small], sources=(0, 0))
    with pytest.raises(ValueError, match="sources must be among the 1 tensors"):
        keras_vae.VAE(identity((4,)), small, Ladder([one], [], [small], sources=(1,)))
