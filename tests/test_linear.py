"""The start of a run at the principal components: the closed form of probabilistic PCA."""

import math

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import data, likelihoods, training
from keras_vae.data.variants import count_variants, variants
from keras_vae.training import components

pytestmark = pytest.mark.usefixtures("eager")

RNG = np.random.default_rng(0)
# Pictures of few degrees of freedom, and some noise.
X = RNG.normal(size=(90, 5)) @ RNG.normal(size=(5, 48)) / 20 + RNG.normal(0, 0.02, (90, 48)) + 0.5
X = X.reshape(90, 4, 4, 3).astype("float32")
TRAIN, HELD_OUT = X[:75], X[75:]
SMALL = {"filters": [4], "hidden_units": [8], "linear": True}


def small(**arguments):
    defaults = {"latent_dim": 5, "likelihood": "learned_gaussian", "seed": 0}
    return keras_vae.conv_vae((4, 4, 3), **{**defaults, **SMALL, **arguments})


def pca(x, new, count):
    """PCA by the singular value decomposition: what it leaves of new data, and the variances."""
    flat, new = x.reshape(len(x), -1), new.reshape(len(new), -1)
    _, values, axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    new = new - flat.mean(0)
    return new - new @ axes[:count].T @ axes[:count], values**2 / len(x)


@pytest.mark.parametrize("few", [0, 60, 100])  # by power iteration, from 48 values, or 90 images
def test_components_are_those_of_the_singular_value_decomposition(monkeypatch, few):
    monkeypatch.setattr(components, "_FEW", few)
    monkeypatch.setattr(components, "_MORE", 10)
    center, axes, found, total = components.principal_components(np.asarray, X, 5)
    residual, expected = pca(X, X, 5)
    np.testing.assert_allclose(center, X.reshape(90, -1).mean(0), atol=1e-6)
    np.testing.assert_allclose(found, expected[:5], rtol=1e-3)
    assert total == pytest.approx(expected.sum(), rel=1e-5)
    flat = X.reshape(90, -1) - center
    np.testing.assert_allclose(flat - flat @ axes @ axes.T, residual, atol=1e-4)


def test_more_components_than_there_are_images_are_no_more(tmp_path):
    got, count = components.psnr_of_components(TRAIN[:9], HELD_OUT, np.asarray, 30)
    residual, _ = pca(TRAIN[:9], HELD_OUT, 8)
    assert count == 8 and got == pytest.approx(components.psnr(residual), abs=1e-3)


def test_more_latents_than_images_are_a_start_too():
    model = small(latent_dim=40)
    training.fit_linear(model, np.concatenate([TRAIN[:6]] * 2), HELD_OUT)
    left = HELD_OUT - model.reconstruct(HELD_OUT)
    assert components.psnr(left) > components.psnr(pca(TRAIN[:6], HELD_OUT, 5)[0]) - 1.0


def test_the_start_is_probabilistic_pca_and_its_bound_is_tight():
    model = small(likelihood={"name": "gaussian", "scale": 0.03})
    training.fit_linear(model, TRAIN, HELD_OUT)
    flat = TRAIN.reshape(75, -1).astype("float64")
    noise, (_, variances) = 0.03**2, pca(TRAIN, TRAIN, 5)
    _, _, axes = np.linalg.svd(flat - flat.mean(0), full_matrices=False)
    signal = np.maximum(variances[:5] - noise, 0)
    covariance = axes[:5].T * signal @ axes[:5] + noise * np.eye(48)
    new = HELD_OUT.reshape(15, -1) - flat.mean(0)
    exact = -0.5 * np.sum(new @ np.linalg.inv(covariance) * new, 1)
    exact -= 0.5 * (np.linalg.slogdet(covariance)[1] + 48 * math.log(2 * math.pi))
    # The posterior of a linear model is Gaussian: the ELBO is log p(x) itself, whatever the sample.
    bound = model.log_likelihood(HELD_OUT, num_samples=2)
    np.testing.assert_allclose(bound, exact, rtol=1e-3, atol=0.05)
    expected = -10 * math.log10(np.mean(pca(TRAIN, HELD_OUT, 5)[0] ** 2))
    assert components.psnr(HELD_OUT - model.reconstruct(HELD_OUT)) == pytest.approx(
        expected, abs=0.3
    )


ERRORS = np.array([[4.0, 2.5, 1.0], [2.5, 5.0, 2.0], [1.0, 2.0, 3.0]]) / 1000
# Their errors are independent, or, with some, as related to each other as the covariance says.
STARTS = {
    "pixel_gaussian": {},
    "laplace": {},
    "student_t": {"df": 8.0},
    "discretised_logistic": {},
    "logistic_mixture": {"components": 1},
    "logistic_mixture of three": {"components": 3},
}


@pytest.mark.parametrize("name", STARTS)
def test_a_likelihood_begins_with_a_mean_and_errors_of_a_covariance(name):
    likelihood = likelihoods.get({"name": name.split()[0], **STARTS[name]})
    means = np.array([[0.5, 0.45, 0.6], [0.4, 0.55, 0.5]])
    matrix, offsets, noise = likelihood.begin_at(ERRORS)
    outputs = (means @ matrix + offsets).astype("float32")
    assert outputs.shape[-1:] == likelihood.output_shape((3,))
    assert noise == pytest.approx(0.004)
    expected = keras.ops.convert_to_numpy(likelihood.mean(outputs))
    np.testing.assert_allclose(expected, means, atol=2e-3)
    many = np.broadcast_to(outputs, (60_000, *outputs.shape))
    drawn = keras.ops.convert_to_numpy(likelihood.sample(many, seed=1))
    related = ERRORS if "mixture" in name else np.diag(np.diag(ERRORS))
    for place, mean in enumerate(means):
        np.testing.assert_allclose(drawn[:, place].mean(0), mean, atol=2e-3)
        np.testing.assert_allclose(np.cov(drawn[:, place].T), related, rtol=0.05, atol=1e-4)


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("places", [{"latent_dim": 5}, {"latent_shape": (2, 2, 3)}], ids=str)
def test_training_begins_at_the_components_with_other_likelihoods(name, places):
    levels = np.rint(255 * X.clip(0, 1)).astype("uint8")
    arguments = {"latent_dim": None, **places}
    model = small(likelihood={"name": name.split()[0], **STARTS[name]}, **arguments)
    gaussian = small(**arguments)
    for one in (model, gaussian):
        training.fit_linear(one, levels[:75], levels[75:])
    np.testing.assert_allclose(model.encode(levels), gaussian.encode(levels), rtol=1e-4, atol=1e-4)
    found, expected = (m.reconstruct(levels).clip(0, 1) for m in (model, gaussian))
    np.testing.assert_allclose(found, expected, atol=0.02)  # levels have edges
    # The Gaussian's scale is the best of one for all; no start is far from it.
    bits = -model.elbo(levels, seed=0).mean() / (48 * math.log(2))
    best = 8 - gaussian.elbo(levels, seed=0).mean() / (48 * math.log(2))
    per_level = 0 if model.likelihood.is_code_length else 8
    assert bits + per_level == pytest.approx(best, abs=0.3)


@pytest.mark.parametrize("df", [1.5, 2.0, 2.1, 5.0])
def test_the_start_of_a_t_distribution_is_near_that_of_a_gaussian_at_any_freedom(df):
    model = small(likelihood={"name": "student_t", "df": df})
    gaussian = small()
    for one in (model, gaussian):
        training.fit_linear(one, TRAIN, HELD_OUT)
    nats = (gaussian.elbo(HELD_OUT, seed=0) - model.elbo(HELD_OUT, seed=0)).mean()
    assert nats < 0.3 * 48 * math.log(2)


def test_a_likelihood_without_a_linear_mean_is_refused():
    with pytest.raises(ValueError, match="a likelihood that defines begin_at"):
        training.fit_linear(small(likelihood="bernoulli"), TRAIN.round(), HELD_OUT.round())


def patches_of(x, side):
    """The patches of data, in the order of their places, each a row."""
    spatial = x.shape[1:-1]
    rows = []
    for image in x:
        for place in np.ndindex(*(size // side for size in spatial)):
            rows.append(image[tuple(slice(p * side, (p + 1) * side) for p in place)].ravel())
    return np.array(rows, "float64")


@pytest.mark.parametrize("shape", [(12, 2), (8, 4, 3), (4, 6, 2, 1)], ids=str)
def test_the_start_of_latents_on_a_map_is_probabilistic_pca_of_patches(shape):
    side, scale, count = 2, 0.05, 3
    values = side ** (len(shape) - 1) * shape[-1]
    places = math.prod(size // side for size in shape[:-1])
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(40 * places, count)) @ rng.normal(size=(count, values)) / 8 + 0.4
    rows += np.tile(np.arange(shape[-1]) / 10, values // shape[-1])  # each channel has its mean
    rows += rng.normal(0, scale, rows.shape)
    # From rows of patches to data: `patches_of`, the other way round.
    x = np.zeros((40, *shape), "float32")
    each = iter(rows)
    for image in x:
        for place in np.ndindex(*(size // side for size in shape[:-1])):
            part = tuple(slice(p * side, (p + 1) * side) for p in place)
            image[part] = next(each).reshape(image[part].shape)
    np.testing.assert_allclose(patches_of(x, side), rows, rtol=1e-6)

    model = keras_vae.conv_vae(
        shape,
        latent_shape=(*(size // side for size in shape[:-1]), count),
        filters=(4,),
        hidden_units=(),
        linear=True,
        likelihood={"name": "gaussian", "scale": scale},
        seed=0,
    )
    training.fit_linear(model, x[:30], x[30:])
    new = patches_of(x[30:], side)
    rows = patches_of(x[:30], side)
    center = np.tile(rows.reshape(-1, shape[-1]).mean(0), values // shape[-1])
    variances, axes = np.linalg.eigh((rows - center).T @ (rows - center) / len(rows))
    signal = np.maximum(variances[-count:] - scale**2, 0)
    covariance = axes[:, -count:] * signal @ axes[:, -count:].T + scale**2 * np.eye(values)
    exact = -0.5 * np.sum((new - center) @ np.linalg.inv(covariance) * (new - center), 1)
    exact -= 0.5 * (np.linalg.slogdet(covariance)[1] + values * math.log(2 * math.pi))
    bound = model.log_likelihood(x[30:], num_samples=2)
    np.testing.assert_allclose(bound, exact.reshape(10, -1).sum(1), rtol=1e-3, atol=0.05)
    assert model.encode(x[:2]).shape == (2, *(size // side for size in shape[:-1]), count)


def test_the_prior_of_latents_on_a_map_is_the_covariance_of_all_codes():
    model = keras_vae.conv_vae(
        (4, 4, 3),
        latent_shape=(2, 2, 2),
        filters=(4,),
        linear=True,
        prior={"name": "low_rank", "rank": 8},  # as many as there are latents: nothing is left out
        likelihood={"name": "gaussian", "scale": 0.05},
        seed=0,
    )
    plain = keras_vae.VAE(model.encoder, model.decoder, likelihood=model.likelihood, seed=0)
    training.fit_linear(model, TRAIN, HELD_OUT)
    codes, prior = model.encode(TRAIN).reshape(75, 8).astype("float64"), model.latent.prior
    _, log_var = model.encoder(TRAIN[:1])
    var = np.exp(keras.ops.convert_to_numpy(log_var)).ravel()
    mean, rest, w = map(keras.ops.convert_to_numpy, (prior.mean, prior.log_var, prior.factors))
    expected = np.cov(codes.T, bias=True) + np.diag(var)
    np.testing.assert_allclose(mean, codes.mean(0), atol=1e-5)
    np.testing.assert_allclose(w @ w.T + np.diag(np.exp(rest)), expected, atol=1e-4)
    assert model.elbo(HELD_OUT).mean() > plain.elbo(HELD_OUT).mean() + 1


@pytest.mark.parametrize(
    "latents",
    [{"latent_dim": 20}, {"latent_dim": 44}, {"latent_dim": None, "latent_shape": (2, 2, 9)}],
    ids=str,
)
def test_the_errors_that_a_likelihood_begins_with_are_those_of_drawn_codes(latents, monkeypatch):
    # What is left is in one colour more than in others, the noise of the codes is not.
    rng = np.random.default_rng(5)
    sizes = np.geomspace(0.2, 0.01, 48).reshape(16, 3) * [1.0, 0.6, 0.2]
    axes = np.linalg.qr(rng.normal(size=(48, 48)) * np.tile([1.0, 0.8, 0.2], 16)[:, None])[0]
    x = (0.5 + rng.normal(size=(1500, 48)) * sizes.ravel() @ axes.T).reshape(-1, 4, 4, 3)
    x = x.astype("float32")
    model, given = small(likelihood="pixel_gaussian", **latents), []
    begin_at = type(model.likelihood).begin_at

    def noted(self, covariance):
        given.append(covariance)
        return begin_at(self, covariance)

    monkeypatch.setattr(type(model.likelihood), "begin_at", noted)
    training.fit_linear(model, x, x)
    codes = model.sample_posterior(np.tile(x, (4, 1, 1, 1)), seed=0)
    drawn = keras.ops.convert_to_numpy(model.decoder.get_layer("linear")(codes))
    if drawn.ndim == 2:
        drawn = drawn.reshape(-1, 4, 4, 3)
    errors = (np.tile(x, (4, 1, 1, 1)) - drawn).reshape(-1, 3).astype("float64")
    expected = errors.T @ errors / len(errors)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(given[0] / scale, expected / scale, atol=0.03)


@pytest.mark.parametrize("likelihood", ["learned_gaussian", "pixel_gaussian"])
@pytest.mark.parametrize("shape", [(12, 2), (8, 4, 3), (4, 4, 2, 2)], ids=str)
def test_a_vq_model_begins_with_the_means_of_patches(shape, likelihood):
    rng = np.random.default_rng(1)
    x = np.clip(rng.normal(0.5, 0.2, (60, *shape)).cumsum(axis=1) / 4, 0, 1).astype("float32")
    model = keras_vae.vq_vae(
        shape, 9, 5, (4,), blocks=1, linear=True, last_conv=False, likelihood=likelihood, seed=0
    )
    training.fit_linear(model, x[:40], x[40:])
    codebook = keras.ops.convert_to_tensor(model.latent.codebook.vectors)
    vectors = keras.ops.reshape(codebook, (9, *(1,) * (len(shape) - 1), 5))
    means = keras.ops.convert_to_numpy(model.decoder.get_layer("linear")(vectors)).reshape(9, -1)
    new = patches_of(x[40:], 2)
    # The components leave the same of a patch whatever its code.
    nearest = np.argmin(np.square(new[:, None] - means[None]).sum(-1), 1)
    np.testing.assert_array_equal(model.encode(x[40:]).ravel(), nearest)
    errors = new - means[nearest]
    expected = errors.reshape(-1, shape[-1]).T @ errors.reshape(-1, shape[-1])
    expected /= errors.size / shape[-1]
    left = x[40:] - model.reconstruct(x[40:])
    np.testing.assert_allclose(np.mean(left**2), np.mean(errors**2), rtol=1e-4)
    if likelihood == "learned_gaussian":
        scale = math.sqrt(np.trace(expected) / shape[-1])
        assert model.likelihood.scale == pytest.approx(scale, rel=1e-3)
    else:
        drawn = model.latent.embed(keras.ops.convert_to_tensor(model.encode(x[40:])))
        outputs = keras.ops.convert_to_numpy(model.decoder(drawn))
        log_scales = outputs[..., shape[-1] :].reshape(-1, shape[-1])
        wanted = np.broadcast_to(0.5 * np.log(np.diag(expected)), log_scales.shape)
        np.testing.assert_allclose(log_scales, wanted, atol=1e-3)
    assert len(np.unique(model.encode(x[:40]))) == 9


def test_k_means_are_means_of_what_is_nearest_to_them():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3000, 2)) + rng.integers(0, 3, (3000, 1)) * 4
    vectors = vectors.astype("float32")
    means = components.k_means(vectors, 6, np.random.default_rng(1), passes=100)
    distance = np.square(vectors[:, None] - means[None]).sum(-1)
    nearest = distance.argmin(1)
    for k in range(6):
        np.testing.assert_allclose(vectors[nearest == k].mean(0), means[k], atol=1e-3)
    few = components.k_means(vectors, 6, np.random.default_rng(1), passes=0)
    assert distance.min(1).mean() < np.square(vectors[:, None] - few[None]).sum(-1).min(1).mean()
    twice = components.k_means(vectors[:4], 6, np.random.default_rng(1))
    assert set(map(tuple, twice)) <= set(map(tuple, vectors[:4]))


def test_a_learned_scale_is_what_held_out_images_need():
    model = small()
    training.fit_linear(model, TRAIN, HELD_OUT)
    left = pca(TRAIN, HELD_OUT, 5)[0]
    expected = math.sqrt(np.sum(left**2) / len(left) / (48 - 5))
    assert model.likelihood.scale == pytest.approx(expected, rel=0.01)
    fixed = [layer.trainable for layer in model.encoder.layers if layer.name == "linear"]
    assert fixed == [False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"linear": False}, "a factory made with linear=True"),
        ({"likelihood": "bernoulli"}, "a likelihood that defines begin_at.*Received: Bernoulli"),
    ],
)
def test_a_model_without_linear_maps_of_the_mean_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        training.fit_linear(small(**arguments), TRAIN.round(), HELD_OUT.round())


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((3, 6, 4, 1), "float32"), "x must have shape"),
        (np.full((3, 6, 4, 3), np.nan, "float32"), "x must be finite"),
        (np.zeros((3, 6, 5, 3), "float32"), "multiples of 2|divide"),
    ],
)
def test_images_that_are_no_data_of_the_model_are_refused(x, message):
    model = keras_vae.vq_vae((None, None, 3), 4, 2, (4,), linear=True, seed=0)
    with pytest.raises(ValueError, match=message):
        training.fit_linear(model, x, x)


def test_linear_maps_are_for_a_quantizer_of_the_arguments():
    quantizer = keras_vae.latents.VectorQuantizer(4, 2)
    with pytest.raises(ValueError, match="linear=True is for the VectorQuantizer that"):
        keras_vae.vq_vae((4, 4, 3), filters=(4,), linear=True, quantizer=quantizer)


def test_codes_differ_though_the_components_were_forgotten():
    x = np.random.default_rng(0).random((64, 4, 4, 3), dtype="float32")
    model = keras_vae.vq_vae((4, 4, 3), 4, 2, (4,), linear=True, seed=0)
    model.fit(x, epochs=2, batch_size=16, verbose=0)
    assert len(np.unique(model.encode(x))) > 1


def test_a_model_with_linear_maps_is_saved_and_loaded(tmp_path):
    model = small()
    training.fit_linear(model, TRAIN, HELD_OUT)
    keras_vae.save_to_folder(model, tmp_path)
    again = keras_vae.load(tmp_path)
    np.testing.assert_allclose(again.reconstruct(X), model.reconstruct(X), atol=1e-6)
    assert again.made_by["arguments"]["linear"] is True


def recipe(parts, **options):
    arguments = {"latent_dim": 5, "filters": [4], "hidden_units": [8]}
    return training.default_recipe(parts, arguments=arguments, batch_size=25, **options)


@pytest.mark.long
def test_pictures_begin_at_the_components_and_training_does_not_make_them_worse(tmp_path):
    parts = data.Data(TRAIN, HELD_OUT, pictures=True)
    # A learning rate at which every step harms.
    model, history = training.follow(recipe(parts, epochs=2, learning_rate=1.0), parts, tmp_path)
    assert [entry["epoch"] for entry in history] == [0, 1, 2]
    assert training.best_epoch(history)["epoch"] == 0
    expected = components.psnr(pca(TRAIN, HELD_OUT, 5)[0])
    assert components.psnr(HELD_OUT - model.reconstruct(HELD_OUT)) > expected - 0.3
    more, longer = training.follow(recipe(parts, epochs=3, learning_rate=1.0), parts, tmp_path)
    assert [entry["epoch"] for entry in longer] == [0, 1, 2, 3]
    np.testing.assert_array_equal(more.reconstruct(X), model.reconstruct(X))


def test_a_start_that_stays_the_best_is_kept_though_the_weights_are_averaged(tmp_path):
    parts = data.Data(TRAIN, HELD_OUT, pictures=True)
    made = training.default_recipe(
        parts, quality="best", epochs=1, learning_rate=1.0, batch_size=25, shifts=0
    )
    made["training"]["average"] = 0.99
    model, history = training.follow(made, parts, tmp_path)
    best = training.best_epoch(history)
    assert best["epoch"] == 0
    for result in (model, training.restore(made, tmp_path)[0]):
        loss = result.evaluate(HELD_OUT, verbose=0, return_dict=True)["loss"]
        assert loss == pytest.approx(best["val_loss"], abs=5.0)


@pytest.mark.parametrize(
    ("shape", "latents"),
    [((32, 32, 3), 1024), ((64, 64, 3), 384), ((28, 28, 1), 256), ((4, 4, 1), 5), ((1, 1, 1), 1)],
)
def test_the_number_of_latents_suits_the_size_of_pictures(shape, latents):
    networks = {"hidden_units": [256], "kernel_size": 3}
    assert training.linear_arguments(shape) == {"linear": True, "latent_dim": latents, **networks}


@pytest.mark.parametrize(
    ("shape", "place", "filters"),
    [
        ((64, 64, 3), [8, 8, 128], [32, 64, 96]),
        ((48, 20, 1), [12, 5, 10], [32, 64]),
        ((30, 6, 4), [15, 3, 10], [32]),
        ((28, 28, 1), [7, 7, 10], [32, 64]),
        ((6, 2, 1), [3, 1, 2], [32]),
    ],
)
def test_the_best_quality_of_pictures_has_latents_on_a_map(shape, place, filters):
    arguments = training.map_arguments(shape)
    assert arguments["latent_shape"] == place and arguments["filters"] == filters
    parts = data.Data(np.zeros((4, *shape), "uint8"), np.zeros((2, *shape), "uint8"), pictures=True)
    made = training.default_recipe(parts, quality="best")
    assert made["model"]["arguments"].items() >= arguments.items()
    assert made["training"]["epochs"] == 3 * 3000
    model = keras_vae.factories.build("conv_vae", made["model"]["arguments"])
    assert model.encode(parts.x_train[:1]).shape == (1, *place)


def test_what_is_given_comes_before_what_the_best_quality_is():
    def arguments(parts, **options):
        made = training.default_recipe(parts, **{"quality": "best", **options})["model"]
        keras_vae.factories.build(made["factory"], made["arguments"])
        return made["arguments"]

    pictures = data.Data(*np.zeros((2, 4, 16, 16, 3), "uint8"), pictures=True)
    wide = arguments(pictures, arguments={"filters": [8, 8], "blocks": 3})
    assert (wide["latent_shape"], wide["filters"], wide["blocks"]) == ([4, 4, 32], [8, 8], 3)
    assert "latent_shape" not in arguments(pictures, arguments={"latent_dim": 7})
    placed = {"latent_shape": [4, 4, 5]}
    assert arguments(pictures, arguments=placed) == {
        **wide,
        **placed,
        "filters": [32, 64],
        "blocks": 1,
    }
    for place in ([4, 4, 5], [2, 2, 7]):  # the model is built, too
        fast = arguments(pictures, arguments={"latent_shape": place}, quality="fast")
        assert fast["linear"] and fast["latent_shape"] == place
    for name in ("filters", "latent_shape"):
        with pytest.raises(ValueError, match=f"{name} must"):
            arguments(pictures, arguments={name: "many"})
    assert arguments(pictures, arguments={"filters": 8})["latent_shape"] == [8, 8, 8]
    levels = arguments(pictures, arguments={"likelihood": "discretised_logistic"})
    assert levels["latent_shape"] == [2, 2, 128]
    assert levels["likelihood"] == "discretised_logistic"
    assert arguments(pictures)["likelihood"] == {"name": "logistic_mixture", "components": 1}
    floats = pictures._replace(x_train=np.zeros((4, 16, 16, 3), "float32"))
    assert arguments(floats)["likelihood"] == "learned_gaussian"
    between = pictures._replace(x_validation=np.zeros((4, 16, 16, 3), "float32"))
    assert arguments(between)["likelihood"] == "learned_gaussian"
    bands = data.Data(*np.zeros((2, 4, 16, 16, 5), "uint8"))
    assert arguments(bands)["likelihood"] == "learned_gaussian"
    each = arguments(pictures, arguments={"likelihood": "categorical"})
    assert "linear" not in each and each["stem"] == 16
    assert arguments(pictures, factory="mlp_vae")["activation"] == "glu"
    assert arguments(pictures, factory="vq_vae") == {"input_shape": [16, 16, 3]}
    odd = pictures._replace(x_train=np.zeros((4, 15, 9, 3), "uint8"))
    assert training.map_arguments((15, 9, 3)) is None and arguments(odd)["latent_dim"]
    digits = data.Data(*np.zeros((2, 4, 8, 8, 1), "uint8"))
    assert arguments(digits)["prior"]["name"] == "realnvp"
    placed = arguments(digits, arguments={"latent_shape": [2, 2, 3]})
    assert "prior" not in placed and "latent_dim" not in placed
    assert arguments(digits, factory="vq_vae") == {"input_shape": [8, 8, 1]}
    with pytest.raises(ValueError, match='quality must be "fast" or "best". Received: \'high\''):
        training.default_recipe(digits, quality="high")


def test_images_with_colours_are_taken_for_pictures():
    colour = data.Data(*np.zeros((2, 4, 8, 8, 3), "uint8"))
    made = training.default_recipe(colour)["model"]["arguments"]
    assert made["likelihood"] == "learned_gaussian" and made["linear"]
    grey = data.Data(*np.zeros((2, 4, 8, 8, 1), "uint8"))
    assert "likelihood" not in training.default_recipe(grey)["model"]["arguments"]


def test_variants_are_the_image_itself_and_its_shifts_and_mirror_images():
    x = RNG.integers(0, 256, (3, 6, 7, 1), dtype="uint8")
    made = variants(x, 40, shifts=2, flips=True)
    np.testing.assert_array_equal(made[:3], x)
    assert made.shape == (120, 6, 7, 1)
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="symmetric")
    seen = set()
    for index, image in enumerate(made):
        matches = [
            (top, left, flip)
            for top in range(5)
            for left in range(5)
            for flip in (1, -1)
            if (padded[index % 3, top : top + 6, left : left + 7] == image[:, ::flip]).all()
        ]
        assert matches
        seen |= set(matches)
    assert len(seen) > 30  # of 50
    np.testing.assert_array_equal(variants(x, 3), np.concatenate([x, x, x]))
    np.testing.assert_array_equal(variants(x, 2, flips=True), np.concatenate([x, x[:, :, ::-1]]))
    assert [count_variants(n) for n in (100, 5000, 20_000, 60_000)] == [16, 4, 2, 2]


def test_many_pictures_are_shifted_only_if_that_is_asked_for():
    shape = (16, 16, 1)
    for n, shifts in ((10_000, 1), (10_001, 0)):
        parts = data.Data(
            np.zeros((n, *shape), "uint8"), np.zeros((2, *shape), "uint8"), pictures=True
        )
        assert training.default_recipe(parts)["training"]["shifts"] == shifts
    assert training.default_recipe(parts, shifts=2)["training"]["shifts"] == 2
