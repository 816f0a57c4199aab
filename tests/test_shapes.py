"""Signals and volumes by the code of images: against images of one row, files, what is refused."""

import keras
import numpy as np
import pytest
from browser import scramble
from conftest import eagerly, on_default_backend

import keras_vae
from keras_vae import explorer, hub, plots, training

pytestmark = pytest.mark.usefixtures("eager")

SIGNAL, VOLUME = (13, 2), (5, 6, 7, 2)


def data(shape, n=4):
    return np.random.default_rng(0).random((n, *shape), dtype="float32")


def copy_weights(thick, thin):
    """Gives `thin` the weights of `thick`, whose data have an axis of length 1 before the others.

    Along that axis only one place of a kernel meets data; the others meet padding.
    """
    for network in ("encoder", "decoder"):
        sides = [getattr(model, network).layers for model in (thick, thin)]
        pairs = [[layer for layer in layers if layer.weights] for layers in sides]
        for source, target in zip(*pairs, strict=True):
            weights = source.get_weights()
            if weights[0].ndim > len(target.weights[0].shape):
                size, doubles = len(weights[0]), "Transpose" in type(source).__name__
                weights[0] = weights[0][max(size - 2, 0) // 2 if doubles else (size - 1) // 2]
            target.set_weights(weights)
    thin.latent.set_weights(thick.latent.get_weights())


NETWORKS = {
    "images": ("conv_vae", {"filters": (4, 6), "norm": "group"}),
    "deep": ("conv_vae", {"filters": (4,), "blocks": 1, "stem": 3, "kernel_size": 4}),
    "codes": ("vq_vae", {"attention": True, "norm": "group"}),
    "doubled": ("vq_vae", {"filters": (4, 6), "last_conv": False, "activation": "silu"}),
}


@pytest.mark.parametrize(
    "name, shape",
    [("images", SIGNAL), ("deep", (5, 7, 2)), ("codes", SIGNAL), ("doubled", (5, 7, 2))],
)
def test_data_with_one_more_axis_of_length_one_give_the_same_numbers(make, name, shape):
    """A signal is an image of one row; an image is a volume of one slice."""
    factory, arguments = NETWORKS[name]
    thick = scramble(make(factory, (1, *shape), likelihood="gaussian", **arguments))
    thin = make(factory, shape, likelihood="gaussian", **arguments)
    copy_weights(thick, thin)
    x = data(shape)
    code, expected = thin.encode(x), thick.encode(x[:, None])
    np.testing.assert_allclose(code, expected.reshape(code.shape), rtol=1e-3, atol=1e-4)
    images = thick.decode(expected)[:, 0]
    assert np.ptp(images) > 0.1
    np.testing.assert_allclose(thin.decode(code), images, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(thin.elbo(x, seed=0), thick.elbo(x[:, None], seed=0), rtol=1e-4)


@pytest.fixture(scope="module", params=["volume", "codes of a signal"])
def fitted(request, make):
    """A trained model and its data."""
    if request.param == "volume":
        model = make("conv_vae", VOLUME, likelihood="gaussian")
    else:
        prior = {"name": "transformer", "width": 4, "blocks": 1, "heads": 1}
        model = make("vq_vae", SIGNAL, blocks=0, prior=prior)
    x = data(model.data_shape, 12)
    with eagerly():
        model.fit(x, batch_size=4, verbose=0)
    return model, x


def test_a_trained_model_of_signals_or_volumes_answers_everything(fitted):
    model, x = fitted
    assert model.encode(x).shape == (12, *model.latent.code_spec.shape)
    assert model.reconstruct(x).shape == x.shape == model.predict(x, verbose=0).shape
    assert model.generate(3, seed=0).shape == (3, *x.shape[1:])
    pipeline = (x[i : i + 3] for i in range(0, 12, 3))
    np.testing.assert_allclose(model.elbo(pipeline, seed=0), model.elbo(x, seed=0), rtol=1e-5)
    figures = keras_vae.evaluate(model, x, num_samples=2)
    assert figures["mse"] == pytest.approx(np.mean((x - model.reconstruct(x)) ** 2), rel=1e-5)
    assert "ssim" not in figures  # which is of images


@on_default_backend
def test_files_hold_models_of_signals_and_volumes(fitted, tmp_path):
    model, x = fitted
    model.save(tmp_path / "mine.keras")
    plain = keras_vae.VAE(model.encoder, model.decoder, model.latent, likelihood=model.likelihood)
    hub.save_to_folder(plain, tmp_path / "of-layers")
    for copy in (
        keras.saving.load_model(tmp_path / "mine.keras"),
        hub.load(tmp_path / "of-layers"),
    ):
        np.testing.assert_allclose(copy.reconstruct(x), model.reconstruct(x), atol=1e-6)


@on_default_backend
def test_pictures_and_pages_of_signals_and_volumes_are_refused_in_a_sentence(fitted, tmp_path):
    model, x = fitted
    assert plots.overview(model, x) is None
    for draw in (plots.code_maps, plots.traversal):
        with pytest.raises(ValueError, match=r"not images, \(height, width, channels\): shape"):
            draw(model, x)
    with pytest.raises(ValueError, match="shows images of shape"):
        explorer.write(model, tmp_path / "page.html", x)
    assert not any(tmp_path.iterdir())
    assert plots.latent_use(model, x).axes  # a chart of latents needs no images


@pytest.mark.parametrize("shape", [(None, 2), (None, 4, None, 1)], ids=["signal", "volume"])
def test_codes_of_data_of_any_size_have_its_places(make, shape, tmp_path):
    model = make("vq_vae", shape, blocks=0)
    full = (8, *(size or 12 for size in shape[1:]))
    x = data(full)
    small = make("vq_vae", full, blocks=0)
    small.set_weights(model.get_weights())
    codes = model.encode(x)
    np.testing.assert_array_equal(codes, small.encode(x))
    assert codes.shape == (4, *(size // 2 for size in full[:-1]))
    np.testing.assert_allclose(model.decode(codes), small.decode(codes), atol=1e-6)
    # A tile of the whole length is the whole.
    np.testing.assert_array_equal(model.encode(x, tile_size=16), codes)
    odd = data((9, *full[1:]))
    with pytest.raises(ValueError, match="would come back as 10.*the strides"):
        model.encode(odd)
    hub.save_to_folder(model, tmp_path / "any")
    fixed = hub.load(tmp_path / "any", input_shape=full)
    assert fixed.data_shape == full
    np.testing.assert_array_equal(fixed.encode(x), codes)
    with pytest.raises(ValueError, match=r"has none, and random codes decode to noise"):
        model.generate(2, size=full[:-1])


def test_a_size_to_generate_at_has_a_number_for_each_axis(make):
    class Uniform(keras_vae.latents.VectorQuantizer):
        """Random codes."""

        generates = True

        def sample_prior(self, n, rng, shape=None):
            return rng.integers(8, size=(n, *shape))

    model = make("vq_vae", (None, 2), num_codes=512, code_dim=64, quantizer=Uniform(8, 4))
    assert model.generate(3, seed=0, size=10).shape == (3, 10, 2)
    with pytest.raises(ValueError, match=r"generate\(16, size=\(64,\)\)"):
        model.generate(3)
    with pytest.raises(ValueError, match="size must hold 1 whole numbers"):
        model.generate(3, size=(10, 10))


def test_the_linear_start_is_that_of_the_same_values_in_any_shape(make):
    x = data((24,), 60)
    found = []
    for shape in ((24, 1), (2, 4, 3), (2, 2, 2, 3)):
        model = make("conv_vae", shape, linear=True, likelihood="gaussian")
        training.fit_linear(model, x[:50].reshape(50, *shape), x[50:].reshape(10, *shape))
        found.append(model.reconstruct(x.reshape(60, *shape)).reshape(60, 24))
    assert np.ptp(found[0]) > 0.1
    np.testing.assert_allclose(found[1], found[0], atol=1e-4)
    np.testing.assert_allclose(found[2], found[0], atol=1e-4)


@pytest.mark.parametrize(
    "likelihood, shape", [("categorical", (8, 2)), ("logistic_mixture", (4, 4, 4, 3))]
)
def test_levels_of_signals_and_volumes_have_a_likelihood(make, likelihood, shape):
    model = make("conv_vae", shape, likelihood=likelihood)
    x = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype("uint8")
    assert np.isfinite(model.elbo(x)).all() and model.generate(2).shape == (2, *shape)
