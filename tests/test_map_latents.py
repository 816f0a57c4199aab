"""Latents on a map: their rates and priors against those of vectors; what is refused."""

import keras
import numpy as np
import pytest
from browser import scramble
from conftest import on_default_backend
from keras import ops
from scipy.special import logsumexp
from scipy.stats import norm

import keras_vae
from keras_vae import hub, plots, priors

MAP = (4, 5, 2)


@pytest.fixture(scope="module")
def of_map(make):
    """A model of images of 8 x 10, with two latents at each of 4 x 5 places; and images."""
    arguments = {"latent_dim": None, "latent_shape": MAP, "likelihood": "gaussian"}
    model = scramble(make("conv_vae", (8, 10, 3), **arguments))
    return model, np.random.default_rng(0).random((6, 8, 10, 3), dtype="float32")


def closed_form(model, x):
    """KL(q(z_j|x) || N(0, 1)) of each latent, `(n, *map)` (Kingma & Welling 2014, appendix B)."""
    h = ops.convert_to_numpy(model.encoder(x)).astype("float64")
    mean, log_var = np.split(h, 2, axis=-1)
    return 0.5 * (mean**2 + np.exp(log_var) - log_var - 1)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3, 4, 1)], ids=len)
def test_a_map_of_one_place_is_a_vector(make, shape):
    common = {"filters": (4, 6), "hidden_units": (5,), "likelihood": "gaussian"}
    vector = scramble(make("conv_vae", shape, latent_dim=3, **common))
    place = (*(1,) * (len(shape) - 1), 3)
    model = make("conv_vae", shape, latent_dim=None, latent_shape=place, **common)
    model.set_weights(vector.get_weights())
    x = np.random.default_rng(0).random((4, *shape), dtype="float32")
    assert model.encode(x).shape == (4, *place)
    np.testing.assert_allclose(model.encode(x).reshape(4, 3), vector.encode(x), rtol=1e-4)
    np.testing.assert_allclose(model.elbo(x, seed=0), vector.elbo(x, seed=0), rtol=1e-4)
    np.testing.assert_allclose(model.generate(2, seed=0), vector.generate(2, seed=0), atol=1e-5)


def test_the_rate_is_the_sum_over_the_map(of_map):
    model, x = of_map
    expected = closed_form(model, x)
    assert model.latent_rates(x).shape == expected.shape == (6, *MAP)
    np.testing.assert_allclose(model.latent_rates(x), expected, rtol=1e-3, atol=1e-4)
    rate = model.distortion_and_rate(x, seed=0)[1]
    np.testing.assert_allclose(rate, expected.sum(axis=(1, 2, 3)), rtol=1e-4)


def test_free_bits_are_those_of_each_latent_of_the_map(make, of_map):
    model, x = of_map
    arguments = {"latent_dim": None, "latent_shape": MAP, "likelihood": "gaussian"}
    free = make("conv_vae", (8, 10, 3), free_bits=0.5, **arguments)
    free.set_weights(model.get_weights())
    terms = free.terms(ops.convert_to_tensor(x))
    loss = free.objective.loss(free, terms)
    rate = np.maximum(0.5, closed_form(model, x).mean(axis=0)).sum()
    distortion = ops.convert_to_numpy(terms.distortion).mean()
    np.testing.assert_allclose(ops.convert_to_numpy(loss), distortion + rate, rtol=1e-4)


def test_codes_are_maps_everywhere(of_map):
    model, x = of_map
    assert model.encode(x).shape == model.sample_posterior(x, seed=0).shape == (6, *MAP)
    assert model.sample_prior(3, seed=0).shape == (3, *MAP)
    assert model.generate(3, seed=0).shape == (3, 8, 10, 3)
    figures = keras_vae.evaluate(model, x, num_samples=2)
    active = np.var(model.encode(x), axis=0) > 0.01
    assert figures["active_units"] == active.sum() and np.shape(figures["latent_rates"]) == MAP
    with pytest.raises(ValueError, match=r"have shape \(n, 4, 5, 2\)"):
        model.decode(np.zeros((1, 40), "float32"))


@pytest.mark.parametrize("name", ["normal", "mixture", "realnvp"])
def test_a_prior_of_a_map_is_that_of_its_numbers_in_a_row(name):
    z = np.random.default_rng(0).normal(size=(5, *MAP)).astype("float32")
    of_map, of_vector = priors.get(name), priors.get(name)
    of_map.build((None, *MAP))
    of_vector.build((None, 40))
    rng = np.random.default_rng(1)
    of_map.set_weights([rng.normal(0, 0.2, w.shape) for w in of_map.get_weights()])
    of_vector.set_weights(of_map.get_weights())
    got, expected = (
        ops.convert_to_numpy(prior.log_prob(ops.convert_to_tensor(part)))
        for prior, part in ((of_map, z), (of_vector, z.reshape(5, 40)))
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    draws = [prior.sample(4, np.random.default_rng(2)) for prior in (of_map, of_vector)]
    np.testing.assert_allclose(draws[0].reshape(4, 40), draws[1], rtol=1e-5)


def test_the_vamp_prior_of_a_map_is_the_mean_of_posteriors(make):
    vamp = {"name": "vamp", "components": 3, "seed": 0}
    model = make("conv_vae", (4, 4, 1), latent_dim=None, latent_shape=(2, 2, 2), prior=vamp)
    scramble(model)
    z = np.random.default_rng(0).normal(size=(5, 2, 2, 2)).astype("float32")
    got = ops.convert_to_numpy(model.latent.prior.log_prob(ops.convert_to_tensor(z)))
    h = ops.convert_to_numpy(model.encoder(ops.convert_to_tensor(model.latent.prior.pseudo_inputs)))
    mean, log_var = np.split(h, 2, axis=-1)
    each = norm.logpdf(z[:, None], mean, np.exp(0.5 * log_var)).sum(axis=(2, 3, 4))
    np.testing.assert_allclose(got, logsumexp(each, axis=1) - np.log(3), rtol=1e-4)
    assert np.isfinite(model.train_on_batch(np.zeros((2, 4, 4, 1), "float32"))).all()
    assert model.generate(2).shape == (2, 4, 4, 1)


@on_default_backend
def test_files_and_pictures_of_a_model_of_maps(of_map, tmp_path):
    model, x = of_map
    model.save(tmp_path / "mine.keras")
    hub.save_to_folder(model, tmp_path / "mine")
    for copy in (keras.saving.load_model(tmp_path / "mine.keras"), hub.load(tmp_path / "mine")):
        np.testing.assert_allclose(copy.encode(x), model.encode(x), atol=1e-6)
        assert copy.made_by["arguments"]["latent_shape"] == list(MAP)
    titles = plots.traversal(model, x, units=2, steps=3).axes[0].texts
    worst = np.unravel_index(np.argmax(model.latent_rates(x).mean(0)), MAP)
    assert any(f"latent {', '.join(map(str, worst))}\n" in text.get_text() for text in titles)
    assert len(plots.code_maps(model, x[:2]).axes[0].texts) == 3  # the image and two channels


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"latent_shape": (4, 4, 2), "latent_dim": 3}, "latent_dim or latent_shape, not both"),
        ({"latent_shape": (8, 8, 2)}, r"must be \(4, 4, channels\), .* after 1 strides of 2"),
        ({"latent_shape": (4, 2)}, r"must be \(4, 4, channels\)"),
        ({"latent_shape": (4, 4, 0)}, "each of latent_shape must be a whole number >= 1"),
        ({"latent_shape": "map"}, "latent_shape must be a tuple of whole numbers"),
        ({"norm": "batch"}, 'norm must be "group" or None'),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_vae.conv_vae((8, 8, 1), filters=(4,), **arguments)


def test_a_linear_map_of_patches_needs_sizes_that_the_strides_divide():
    with pytest.raises(ValueError, match="must be multiples of 4, the size of a patch"):
        keras_vae.conv_vae((8, 6, 1), filters=(4, 4), latent_shape=(2, 2, 3), linear=True)
    with pytest.raises(ValueError, match="must be multiples of 4, the size of a patch"):
        keras_vae.vq_vae((None, 6, 1), 4, 3, (4, 4), linear=True)
