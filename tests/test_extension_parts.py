"""Numbers of the parts in `extensions.py`, and what the contracts promise to parts like them."""

import extension_cases as cases
import keras
import numpy as np
import pytest
from conftest import quick_first
from extension_cases import CASES, DATA, N, dense_networks, ladder_networks, vae
from extensions import FSQ, DiscretisedGaussian, Geometric, Ladder
from keras import layers, ops
from scipy import stats

import keras_vae
from keras_vae import plots
from keras_vae.latents import Draw, GaussianLatent, PointLatent, VectorQuantizer
from keras_vae.likelihoods import Gaussian, Likelihood, sum_over_data
from keras_vae.objectives import ELBO, Objective

register = keras.saving.register_keras_serializable("extension_parts")


def tensor(value):
    return ops.convert_to_tensor(value)


def numpy(value):
    return ops.convert_to_numpy(value)


@pytest.mark.parametrize("levels", [(4, 3), (8, 5, 5)])
def test_every_code_of_fsq_stands_for_the_vector_that_the_decoder_is_given(levels):
    latent = FSQ(levels)
    latent.build((None, 50, len(levels)))
    h = np.random.default_rng(0).uniform(-3, 3, (400, 50, len(levels))).astype("float32")
    draw = latent.draw(tensor(h))
    codes = numpy(draw.code[0])
    assert set(codes.ravel()) == set(range(latent.num_codes))
    np.testing.assert_allclose(numpy(latent.embed(tensor(codes))), draw.decoder_input, atol=1e-6)
    np.testing.assert_allclose(numpy(draw.rate), 50 * np.log(latent.num_codes), rtol=1e-6)


def test_codes_of_a_residual_quantizer_add_up_and_its_vectors_decode():
    model, x = CASES["residual"].make(), DATA["grey"]
    codes = model.encode(x)
    books = [numpy(book.vectors) for book in model.latent.codebooks]
    vectors = sum(book[codes[..., i]] for i, book in enumerate(books))
    np.testing.assert_allclose(model.decode(vectors), model.decode(codes), rtol=1e-5, atol=1e-6)
    rest = numpy(model.encoder(tensor(x))) - books[0][codes[..., 0]]
    nearest = ((rest[..., None, :] - books[1]) ** 2).sum(-1).argmin(-1)
    assert np.mean(nearest == codes[..., 1]) > 0.99
    with pytest.raises(ValueError, match=r"integer codes of shape \(n, 4, 4, 2\)"):
        model.decode(codes[..., 0])


def test_the_rate_of_a_ladder_is_that_of_its_layers():
    model, x = CASES["ladder"].make(), DATA["grey"]
    h, m = model.encoder(tensor(x[:1])), 20000
    noise = np.random.default_rng(0).normal(size=(m, 1, 4)).astype("float32")
    draw = model.latent.draw(h, tensor(noise))
    sampled = -numpy(draw.log_ratio)[:, 0]
    error = sampled.std() / np.sqrt(m)
    assert numpy(draw.rate).mean() == pytest.approx(sampled.mean(), abs=5 * error)
    upper = numpy(draw.unit_rates)[0, :2].sum()  # of z2, in closed form
    mean, log_var = np.split(numpy(h[0])[0], 2)
    assert upper == pytest.approx((np.exp(log_var) + mean**2 - 1 - log_var).sum() / 2, abs=1e-4)


@pytest.mark.long
def test_a_ladder_trains_on_the_importance_weighted_bound():
    objective = keras_vae.objectives.ImportanceWeighted(3)
    model = vae(ladder_networks(), Ladder(), objective=objective)
    history = model.fit(DATA["grey"], epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    # Its posterior has weights of its own, whose gradient `dreg` would not leave out.
    with pytest.raises(ValueError, match="Ladder has weights of its own"):
        vae(ladder_networks(), Ladder(), num_samples=3, importance_weighted="dreg")


def test_a_plain_autoencoder_is_keras_trained_on_the_squared_error():
    x = DATA["grey"]
    model = vae(dense_networks(1, 2), PointLatent(), Gaussian(np.sqrt(0.5)))
    encoder, decoder = (keras.models.clone_model(m) for m in (model.encoder, model.decoder))
    theirs = keras.Sequential([encoder, decoder])
    theirs.set_weights(model.get_weights())
    model.compile(keras.optimizers.SGD(0.002))
    theirs.compile(keras.optimizers.SGD(0.002 * 64), "mse")  # the mean over the pixels
    for m, y in ((model, None), (theirs, x)):
        m.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for ours, weight in zip(model.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(ours, weight, rtol=1e-4, atol=1e-6)


def test_a_discretised_gaussian_sums_to_one_over_the_levels():
    x = (np.arange(256)[:, None] / 255).astype("float32")
    for mean, log_scale in np.random.default_rng(0).normal([0, -2], 1, (5, 2)):
        outputs = np.broadcast_to([mean, log_scale], (256, 2)).astype("float32")
        got = np.exp(numpy(DiscretisedGaussian().log_prob(tensor(x), tensor(outputs))))
        u = (2 * x[:, 0] - 1 + 1 / 255 - mean) / np.exp(max(log_scale, -5))
        expected = np.diff(stats.norm.cdf(u[:-1]), prepend=0, append=1)
        np.testing.assert_allclose(got, expected, atol=1e-5)
        assert got.sum() == pytest.approx(1, abs=1e-4)


def test_a_geometric_likelihood_is_scipys_and_reads_counts_as_they_are():
    x = DATA["counts"]
    outputs = np.random.default_rng(0).normal(size=x.shape).astype("float32")
    likelihood = Geometric()
    read = likelihood.read(x)
    np.testing.assert_array_equal(read, x)
    p = 1 / (1 + np.exp(outputs.astype("float64")))
    expected = stats.geom(p, loc=-1).logpmf(x).sum((1, 2, 3))
    got = numpy(likelihood.log_prob(tensor(read), tensor(outputs)))
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    with pytest.raises(ValueError, match="A Geometric likelihood takes counts"):
        CASES["counts"].make().encode(DATA["grey"])


def test_the_total_correlation_is_the_papers_sum():
    model, x = CASES["tc"].make(), DATA["grey"]
    terms = model.terms(tensor(x), noise=tensor(np.ones((1, N, 2), "float32")))
    mean, log_var = map(numpy, model.latent.posterior(terms.h))
    z = numpy(terms.draw.code[0])
    log_q = stats.norm(mean, np.exp(log_var / 2)).logpdf(z[:, None])
    size = np.log(N * model.objective.dataset_size)
    joint = np.log(np.exp(log_q.sum(-1)).sum(1)) - size
    each = np.log(np.exp(log_q).sum(1)) - size
    got = numpy(model.objective.total_correlation(model, terms))
    np.testing.assert_allclose(got, joint - each.sum(-1), rtol=1e-4, atol=1e-4)


@pytest.mark.long  # test_settings.py asks most of it in less time
def test_settings_of_ones_own_are_ramped_changed_and_saved():
    x, model = DATA["grey"], CASES["tc"].make()
    model.compile(keras.optimizers.SGD(0.0))
    ramp = keras_vae.callbacks.Ramp("tc", 2)
    spy = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: shares.append(float(model.objective._shares["tc"]))
    )
    shares = []
    model.fit(x, epochs=3, verbose=0, callbacks=[spy, ramp])
    np.testing.assert_allclose(shares, [1 / 3, 2 / 3, 1], rtol=1e-5)
    model.objective.set("tc", 0.0)
    model.beta = 0.3
    got = model.evaluate(x, verbose=0, return_dict=True)
    assert got["loss"] == pytest.approx(got["distortion"] + 0.3 * got["rate"], rel=1e-5)
    saved = keras.saving.serialize_keras_object(model.objective)
    settings = keras.saving.deserialize_keras_object(saved).settings()
    assert settings == {"beta": pytest.approx(0.3), "tc": 0.0}


@register
class Scaled(ELBO):
    """The ELBO times a learned number, an objective with a weight and a layer of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.head = layers.Dense(1, dtype="float32")
        self.head.build((None, 2))

    def loss(self, model, terms, training=False):
        extra = ops.mean(ops.square(self.head(terms.draw.code[0]) - 1.0))
        return ops.exp(self.scale) * super().loss(model, terms, training) + extra


def test_what_an_objective_learns_is_trained_and_saved(tmp_path):
    x = DATA["grey"]
    model = vae(dense_networks(1, 4), objective=Scaled(beta=0.5))
    model.fit(x, verbose=0)
    names = {weight.name for weight in model.objective.trainable_weights}
    assert names == {"scale", "kernel", "bias"} and len(model.get_weights()) == 8 + 3
    assert float(numpy(model.objective.scale)) != 1.0
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    again = keras.saving.load_model(tmp_path / "model.keras")
    other = vae(dense_networks(1, 4), objective=Scaled(beta=2.0))
    other.objective.scale.assign(7.0)
    other.load_weights(tmp_path / "model.weights.h5", skip_mismatch=False)
    for loaded in (again, other):
        for ours, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert float(again.beta) == 0.5 and float(other.beta) == 2.0  # settings are no weights


@register
class LearnedLogistic(Likelihood, layers.Layer):
    """A logistic density with one learned scale; written as for float32."""

    mean_activation = "linear"

    def __init__(self, **kwargs):
        layers.Layer.__init__(self, **kwargs)
        self.log_scale = self.add_weight(shape=(), initializer="zeros", name="log_scale")
        self.built = True

    def log_prob(self, x, outputs):
        u = (x - outputs) * ops.exp(-self.log_scale)
        return sum_over_data(-u - 2 * ops.softplus(-u) - self.log_scale, x)


@pytest.fixture
def bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("kind", quick_first(["logistic", "residual", "ladder"], 2))
def test_parts_compute_in_float32_under_a_mixed_policy(kind, bfloat16):
    if kind == "logistic":
        model = vae(dense_networks(1, 4), likelihood=LearnedLogistic())
    else:
        model = CASES[kind].make()
    x = DATA["grey"]
    model.fit(x, epochs=1, verbose=0)
    terms = model.terms(tensor(x))
    wide = [terms.log_prob, *keras.tree.flatten(terms.h), terms.draw.rate, terms.draw.decoder_input]
    assert {keras.backend.standardize_dtype(t.dtype) for t in wide} == {"float32"}
    assert keras.backend.standardize_dtype(model.encoder(tensor(x))[0].dtype) == "bfloat16"
    assert model.reconstruct(x).dtype == "float32"


class FlatRate(GaussianLatent):
    def draw(self, h, noise=None, num_samples=1, training=False):
        draw = super().draw(h, noise, num_samples, training)
        return Draw(draw.code, draw.decoder_input, draw.rate[0])


class PerPixel(Likelihood):
    mean_activation = "linear"

    def log_prob(self, x, outputs):
        return -ops.abs(x - outputs)


class PerExample(Objective):
    def loss(self, model, terms, training=False):
        return terms.distortion


@pytest.mark.parametrize(
    "parts, reason",
    [
        ({"latent": FlatRate()}, "The rate of a FlatRate's Draw must be .*(M, n)"),
        ({"likelihood": PerPixel()}, "What PerPixel.log_prob returns must be .*(M, n)"),
        ({"objective": PerExample()}, "What PerExample.loss returns must be one number"),
    ],
)
def test_terms_that_would_broadcast_unnoticed_are_refused(parts, reason):
    model = vae(dense_networks(1, 4), **parts)
    with pytest.raises(ValueError, match=reason):
        model.fit(DATA["grey"], verbose=0)


def test_a_model_of_any_size_takes_two_and_refuses_what_its_strides_do_not_divide():
    model = CASES["any-size"].make()
    x = np.random.default_rng(1).random((6, 16, 12, 3), dtype="float32")
    assert model.encode(x).shape == (6, 4, 3, 2) and model.latent_rates(x).shape == (6, 4, 3, 2)
    assert model.predict(x, verbose=0).shape == model.decode(model.encode(x)).shape == x.shape
    assert model.elbo(x).shape == model.log_likelihood(x, 3).shape == (6,)
    with pytest.raises(ValueError, match="size 15 x 12 would come back as 16 x 12"):
        model.encode(x[:, :15])
    with pytest.raises(ValueError, match=r"generate\(16, size=\(64, 64\)\)"):
        model.generate(2)
    for size in (16, (16, 16, 3)):
        with pytest.raises(ValueError, match="size must hold 2 whole numbers"):
            model.generate(2, size=size)


def test_a_quantizer_comes_without_arguments_for_another():
    with pytest.raises(ValueError, match="not both. Received quantizer and num_codes, prior"):
        cases.vq_vae((8, 8, 1), FSQ(), num_codes=64, prior="transformer")
    model = cases.vq_vae((8, 8, 1), VectorQuantizer(5, 3))
    assert model.encode(DATA["grey"]).max() < 5


def test_a_codebook_of_65536_codes_is_searched_in_parts():
    latent = VectorQuantizer(65536, 4)
    latent.build((None, 30, 4))
    h = np.random.default_rng(0).normal(size=(2, 30, 4)).astype("float32")
    vectors = numpy(latent.codebook.vectors)
    nearest = ((h[..., None, :] - vectors) ** 2).sum(-1).argmin(-1)
    assert np.mean(numpy(latent.code(tensor(h))) == nearest) > 0.95


def test_pictures_of_a_model_of_any_size_take_the_size_of_the_images(tmp_path):
    model, x = CASES["any-size"].make(), DATA["colour"]
    grid = keras_vae.callbacks.SampleGrid(tmp_path, x[:4], num_images=4)
    model.fit(x, verbose=0, callbacks=[grid])
    assert len(list(tmp_path.glob("*.png"))) == 2
    assert plots.overview(model, x) is not None and plots.overview(model) is None
    with pytest.raises(ValueError, match="A model of any size needs images"):
        model.fit(x, verbose=0, callbacks=[keras_vae.callbacks.SampleGrid(tmp_path)])


def test_pictures_of_volumes_are_refused_before_training(tmp_path):
    model, x = CASES["volumes"].make(), DATA["volumes"]
    with pytest.raises(ValueError, match="data are not images"):
        model.fit(x, verbose=0, callbacks=[keras_vae.callbacks.SampleGrid(tmp_path, x)])


def test_a_model_without_an_input_shape_is_built_by_the_first_data():
    def make():
        encoder = keras.Sequential([layers.Flatten(), layers.Dense(4)])
        decoder = keras.Sequential([layers.Dense(64), layers.Reshape((8, 8, 1))])
        return vae((encoder, decoder))

    for ask in (lambda m: m.generate(2), lambda m: m.decode(np.zeros((2, 2), "float32"))):
        with pytest.raises(ValueError, match="The model is not built"):
            ask(make())
    model = make()
    model.fit(DATA["grey"], verbose=0)
    assert model.generate(2).shape == (2, 8, 8, 1)


def test_a_draw_without_the_axis_of_samples_is_refused():
    @register
    class Flat(GaussianLatent):
        def draw(self, h, noise=None, num_samples=1, training=False):
            draw = super().draw(h, noise, num_samples, training)
            return draw._replace(code=draw.code[0])

    with pytest.raises(ValueError, match="The code of a Flat's Draw"):
        vae(dense_networks(1, 4), Flat()).fit(DATA["grey"], verbose=0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("observes", "real", "observes must be one of"), ("outputs_per_value", 0, "whole number")],
)
def test_a_likelihood_that_declares_what_there_is_not_is_refused(name, value, message):
    kind = type("Odd", (Gaussian,), {name: value})
    with pytest.raises(ValueError, match=message):
        keras_vae.likelihoods.get(kind())


def test_a_width_other_than_the_quantizers_is_refused():
    with pytest.raises(ValueError, match="The quantizer has code_dim=4. Received code_dim=16"):
        keras_vae.vq_vae((8, 8, 1), code_dim=16, quantizer=VectorQuantizer(8, 4))
