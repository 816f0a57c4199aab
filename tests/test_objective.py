"""Tests of training objectives: the beta-ELBO, free bits, capacity, importance weights."""

import keras
import numpy as np
import pytest
from conftest import long_elsewhere, quick_first
from keras import ops
from scipy import special, stats

import keras_vae
from keras_vae.latents import Draw
from keras_vae.likelihoods import Gaussian
from keras_vae.objectives import ELBO, ImportanceWeighted, Terms


def terms_of(distortion, rates, penalty, weight=None):
    """The `Terms` of one sample of each example."""
    draw = Draw(
        code=None,
        decoder_input=None,
        rate=ops.convert_to_tensor(rates.sum(axis=1)[None]),
        penalty=ops.convert_to_tensor(penalty),
        unit_rates=ops.convert_to_tensor(rates),
    )
    weight = None if weight is None else ops.convert_to_tensor(weight)
    log_prob = -ops.convert_to_tensor(distortion[None])
    return Terms(x=None, h=None, draw=draw, outputs=None, log_prob=log_prob, weight=weight)


@pytest.mark.parametrize("weight", [None, np.array([0.0, 1, 2, 0.5, 3, 1], "float32")])
def test_the_loss_equals_its_formula(weight):
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.5, size=(6, 4)).astype("float32")
    d, p = rng.normal(5, 1, 6).astype("float32"), rng.random(6, dtype="float32")
    terms = terms_of(d, rates, p, weight)
    w = np.ones(6) if weight is None else weight
    rest, rate = np.mean(w * (d + p)), np.mean(w * rates.sum(axis=1))
    each = np.mean(w[:, None] * rates, axis=0)

    def loss(**arguments):
        return float(ELBO(0.7, **arguments).loss(None, terms))

    assert loss() == pytest.approx(rest + 0.7 * rate, rel=1e-5)
    for free_bits in (0.25, 10.0):
        expected = rest + 0.7 * np.maximum(each, free_bits).sum()
        assert loss(free_bits=free_bits) == pytest.approx(expected, rel=1e-5)
    for capacity in (0.0, 30.0):
        expected = rest + 0.7 * abs(rate - capacity)
        assert loss(capacity=capacity) == pytest.approx(expected, rel=1e-5)
    both = rest + 0.7 * abs(np.maximum(each, 0.25).sum() - 1.0)
    assert loss(free_bits=0.25, capacity=1.0) == pytest.approx(both, rel=1e-5)


def test_the_importance_weighted_bound_equals_scipy():
    log_prob, log_ratio = np.random.default_rng(0).normal(-400, 30, (2, 7, 5)).astype("float32")
    log_w = [ops.convert_to_tensor(part) for part in (log_prob, log_ratio)]
    draw = Draw(code=None, decoder_input=None, rate=-log_w[1])
    terms = Terms(x=None, h=None, draw=draw, outputs=None, log_prob=log_w[0])
    got = ImportanceWeighted(7).loss(None, terms)
    expected = special.logsumexp((log_prob + log_ratio).astype("float64"), axis=0, b=1 / 7)
    assert float(got) == pytest.approx(-expected.mean(), rel=1e-6)


def test_settings_are_not_weights(make):
    one, two = make("mlp_vae", beta=2.0, capacity=3.0), make("mlp_vae", beta=5.0)
    two.set_weights(one.get_weights())  # as many weights, although only one has a capacity
    assert float(two.beta) == 5.0 and two.capacity is None
    assert not one.objective.weights and one.count_params() == two.count_params()


def test_an_objective_is_given_as_an_object_or_by_its_settings(make):
    model = make("mlp_vae", objective=ImportanceWeighted(4, beta=0.5, gradient="dreg"))
    assert model.num_samples == 4 and float(model.beta) == 0.5
    with pytest.raises(ValueError, match="not both. Received objective and beta"):
        make("mlp_vae", objective=ELBO(), beta=2.0)
    with pytest.raises(ValueError, match="objective must be an object of keras_vae.objectives"):
        make("mlp_vae", objective="elbo")


def collapsing(**arguments):
    """A model with beta = 20, which makes it collapse, after training; its data and history."""
    x = np.random.default_rng(0).normal(size=(256, 6)).astype("float32")
    model = keras_vae.mlp_vae((6,), 4, (), likelihood=Gaussian(1.0), beta=20.0, seed=0, **arguments)
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:  # the same on every backend
        weight.assign(0.3 * rng.standard_normal(weight.shape))
    model.compile(keras.optimizers.Adam(0.03))
    # Not shuffled, so that the rates do not depend on how a backend shuffles.
    history = model.fit(x, epochs=25, batch_size=64, shuffle=False, verbose=0).history
    return model, x, history


@long_elsewhere
def test_without_free_bits_or_capacity_this_model_collapses():
    model, x, _ = collapsing()
    assert model.latent_rates(x).mean(axis=0).max() < 0.01


@long_elsewhere
def test_with_free_bits_every_latent_stays_in_use_at_about_that_rate():
    model, x, history = collapsing(free_bits=0.5)
    rates = model.latent_rates(x).mean(axis=0)
    assert rates.min() > 0.2 and rates.max() < 0.6
    # The metrics are those of the ELBO; the loss counts a rate of at least 4 x 0.5 nats, times 20.
    loss, distortion, rate = (history[k][-1] for k in ("loss", "distortion", "rate"))
    assert loss >= distortion + 20 * max(rate, 4 * 0.5) - 1e-3


@long_elsewhere
def test_the_rate_approaches_the_capacity_and_follows_its_changes():
    model, x, history = collapsing(capacity=2.0)
    assert history["rate"][-1] == pytest.approx(2.0, abs=0.3)
    model.capacity = 4.0
    assert model.fit(x, epochs=25, batch_size=64, verbose=0).history["rate"][-1] == pytest.approx(
        4.0, abs=0.4
    )
    assert float(model.capacity) == 4.0


@pytest.fixture(scope="module")
def exact():
    """A linear-Gaussian model with its exact posterior: arguments of `VAE`, data and log p(x)."""
    x = np.random.default_rng(0).normal(size=(32, 3)).astype("float32")
    scale = 0.6
    w = np.array([[1.2, 0.0, 0.0], [0.0, 0.5, 0.0]])
    var = 1 / (1 + (w**2).sum(axis=1) / scale**2)
    inputs, z = keras.Input((3,)), keras.Input((2,))
    encoder = keras.Model(inputs, keras.layers.Dense(4)(inputs))
    decoder = keras.Model(z, keras.layers.Dense(3)(z))
    to_mean = (w * var[:, None] / scale**2).T
    encoder.set_weights(
        [np.concatenate([to_mean, 0 * to_mean], axis=1), np.concatenate([[0, 0], np.log(var)])]
    )
    decoder.set_weights([w, np.zeros(3)])
    log_p = stats.multivariate_normal(np.zeros(3), w.T @ w + scale**2 * np.eye(3)).logpdf(x)
    return {"encoder": encoder, "decoder": decoder, "likelihood": Gaussian(scale)}, x, log_p


def test_with_the_exact_posterior_the_importance_weighted_loss_is_the_marginal(exact):
    parts, x, log_p = exact
    model = keras_vae.VAE(**parts, num_samples=3, importance_weighted=True, seed=0)
    got = model.evaluate(x, batch_size=len(x), verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(-log_p.mean(), rel=1e-5)
    assert got["distortion"] + got["rate"] == pytest.approx(-log_p.mean(), abs=0.2)  # sampled
    kl = model.distortion_and_rate(x, seed=0)[1].mean()
    assert got["rate"] == pytest.approx(kl, rel=1e-5)  # closed form


def test_the_importance_weighted_bound_is_tighter_than_the_elbo_and_below_the_marginal(exact):
    parts, x, log_p = exact
    encoder = keras.models.clone_model(parts["encoder"])
    kernel, bias = parts["encoder"].get_weights()
    encoder.set_weights([kernel, bias + np.array([0.4, 0.4, 0.7, 0.7])])
    losses = {}
    for k in (1, 2, 50):
        options = {"num_samples": k, "importance_weighted": k > 1, "seed": 0}
        model = keras_vae.VAE(**{**parts, "encoder": encoder}, **options)
        repeated = np.repeat(x, 50, axis=0)
        losses[k] = model.evaluate(repeated, batch_size=1600, verbose=0)[0]
    assert losses[1] > losses[2] + 0.02 and losses[2] > losses[50] + 0.02
    assert losses[50] > -log_p.mean() - 0.01


def gradients(parts, x, shift=0.0, beta=1.0, **arguments):
    """The importance-weighted loss and its gradients for the encoder's and decoder's biases."""
    encoder, decoder = (keras.models.clone_model(parts[name]) for name in ("encoder", "decoder"))
    kernel, bias = parts["encoder"].get_weights()
    encoder.set_weights([kernel, bias + shift])
    decoder.set_weights(parts["decoder"].get_weights())
    parts = {**parts, "encoder": encoder, "decoder": decoder}
    model = keras_vae.VAE(**parts, num_samples=4, beta=beta, seed=0, **arguments)
    model.compile(keras.optimizers.SGD(1.0))
    before = [part.get_weights()[1] for part in (encoder, decoder)]
    loss = model.train_on_batch(x)
    after = [part.get_weights()[1] for part in (encoder, decoder)]
    return loss, *(then - now for then, now in zip(before, after))


def test_the_doubly_reparameterised_gradient_has_no_noise_at_the_exact_posterior(exact):
    parts, x, _ = exact
    plain = gradients(parts, x, importance_weighted=True)
    doubly = gradients(parts, x, importance_weighted="dreg")
    # There log w is the same for every z, so the plain gradient consists of the score of q only.
    assert np.abs(plain[1]).max() > 0.01
    np.testing.assert_allclose(doubly[1], 0, atol=1e-5)


@pytest.mark.parametrize("beta", quick_first([0.3, 1.0, 2.0]))
def test_the_doubly_reparameterised_gradient_is_the_gradient_of_the_bound(exact, beta):
    parts, x, _ = exact
    options = {"shift": np.array([0.2, -0.1, 0.3, -0.2]), "beta": beta}
    x = np.repeat(x, 5000, axis=0)
    plain = gradients(parts, x, importance_weighted=True, **options)
    doubly = gradients(parts, x, importance_weighted="dreg", **options)
    assert doubly[0] == pytest.approx(plain[0], rel=1e-5)  # the same loss
    np.testing.assert_allclose(doubly[2], plain[2], atol=1e-5)  # the decoder's gradient, too
    np.testing.assert_allclose(doubly[1], plain[1], atol=0.015)
    assert np.abs(plain[1]).max() > 0.06


@pytest.mark.parametrize(
    "arguments",
    quick_first(
        [
            {"num_samples": 2, "importance_weighted": True},
            {"capacity": 3.0},
            {"free_bits": 0.25},
            {"num_samples": 2, "importance_weighted": "dreg", "prior": "realnvp"},
        ]
    ),
)
def test_an_objective_trains_evaluates_and_is_saved(make, binary, tmp_path, arguments):
    model = make("mlp_vae", **arguments)
    model.compile(keras.optimizers.Adam(1e-2))
    # In TensorFlow's graph the size of batches from a generator is unknown.
    batches = ((binary,) for _ in range(8))
    options = {"epochs": 8, "steps_per_epoch": 1, "shuffle": False}
    fitted = model.fit(batches, verbose=0, validation_data=(binary, None), **options)
    history = fitted.history
    assert history["val_loss"][-1] < history["val_loss"][0]
    assert model.evaluate(binary, batch_size=12, verbose=0)[0] == history["val_loss"][-1]
    model.save(tmp_path / "model.keras")
    keras_vae.save_to_folder(model, tmp_path / "folder")
    loaded = keras_vae.load(tmp_path / "folder")
    again = keras.saving.load_model(tmp_path / "model.keras")
    config = model.objective.get_config()
    assert again.objective.get_config() == config
    del config["name"]
    assert {name: loaded.objective.get_config()[name] for name in config} == config
    assert again.evaluate(binary, batch_size=12, verbose=0)[0] == pytest.approx(
        history["val_loss"][-1], rel=1e-5
    )


@pytest.mark.parametrize(
    "factory, arguments, message",
    [
        ("mlp_vae", {"free_bits": -1}, "free_bits must be a finite number >= 0"),
        ("mlp_vae", {"capacity": "high"}, "capacity must be a finite number >= 0"),
        ("mlp_vae", {"free_bits": 0.1, "prior": "mixture"}, "standard normal prior"),
        ("mlp_vae", {"importance_weighted": 5, "num_samples": 5}, 'must be True, False or "dreg"'),
        ("mlp_vae", {"importance_weighted": True}, "num_samples of at least 2"),
        (
            "conv_vae",
            {"importance_weighted": True, "num_samples": 2, "capacity": 1.0},
            "has no rate of its own",
        ),
    ],
)
def test_invalid_objectives_are_refused(make, factory, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(factory, **arguments)


def test_a_latent_that_is_not_sampled_has_no_importance_weights(frozen):
    model, _ = frozen
    with pytest.raises(ValueError, match="needs a latent that is sampled"):
        keras_vae.VAE(
            model.encoder, model.decoder, model.latent, num_samples=2, importance_weighted=True
        )


def test_setting_a_capacity_needs_a_model_with_one(make):
    with pytest.raises(ValueError, match="make it with capacity=0.0"):
        make("mlp_vae").capacity = 3.0
