"""The Frechet Inception distance: its formula against SciPy, its features against the network."""

import keras
import numpy as np
import pytest
import scipy.linalg

import keras_vae
from keras_vae import fid

RNG = np.random.default_rng(0)


def with_scipy(mean, covariance, other_mean, other_covariance):
    """Equation 6 of Heusel et al. 2017 as it stands there."""
    root = scipy.linalg.sqrtm(covariance @ other_covariance).real
    return np.sum((mean - other_mean) ** 2) + np.trace(covariance + other_covariance - 2 * root)


def moments(n, width=5, shift=0.0):
    data = RNG.normal(size=(n, width)) @ RNG.normal(size=(width, width)) + shift
    return data.mean(0), np.cov(data, rowvar=False)


def test_the_distance_is_that_of_the_formula():
    pair = (*moments(50), *moments(70, shift=2.0))
    assert fid.frechet_distance(*pair) == pytest.approx(with_scipy(*pair), rel=1e-6)


def test_covariances_of_few_examples_have_a_distance_too():
    pair = (*moments(3), *moments(4, shift=1.0))
    assert fid.frechet_distance(*pair) == pytest.approx(with_scipy(*pair), rel=1e-4)


def test_in_one_dimension_it_is_that_of_means_and_of_standard_deviations():
    got = fid.frechet_distance(np.array([1.0]), np.eye(1) * 4, np.array([3.0]), np.eye(1) * 9)
    assert got == pytest.approx((1 - 3) ** 2 + (2 - 3) ** 2)


def test_a_distribution_has_no_distance_to_itself():
    one = moments(50)
    assert fid.frechet_distance(*one, *one) == pytest.approx(0, abs=1e-5)


def test_statistics_do_not_depend_on_batches():
    data = RNG.normal(size=(20, 4)).astype("float32") + 100
    statistics = fid.FeatureStatistics()
    for part in (data[:7], data[7:8], data[8:]):
        statistics.add(part)
    mean, covariance = statistics.moments()
    np.testing.assert_allclose(mean, data.mean(0, dtype="float64"))
    np.testing.assert_allclose(covariance, np.cov(data, rowvar=False), rtol=1e-6, atol=1e-8)


@pytest.mark.long
def test_evaluate_compares_images_with_samples(monkeypatch, make, grey):
    network = fid.inception(weights=None)  # of random weights: the others would be downloaded
    monkeypatch.setattr(fid, "inception", lambda: network)
    model = make("mlp_vae")
    got = keras_vae.evaluate(model, grey, num_samples=2, seed=3, batch_size=6, fid=True)["fid"]

    def statistics(images):
        pixels = keras.ops.image.resize(images, (299, 299), antialias=True)
        pixels = np.repeat(keras.ops.convert_to_numpy(pixels), 3, axis=-1)
        features = network.predict_on_batch(2 * pixels - 1)
        assert features.shape == (len(images), 2048)
        return features.mean(0, dtype="float64"), np.cov(features.astype("float64"), rowvar=False)

    pair = (*statistics(grey), *statistics(model.generate(len(grey), seed=3)))
    assert got == pytest.approx(fid.frechet_distance(*pair), rel=1e-3)
    assert "fid" not in keras_vae.evaluate(model, grey, num_samples=2)


def test_colours_beyond_their_range_are_clipped():
    seen = []

    class Network:
        def predict_on_batch(self, x):
            seen.append(keras.ops.convert_to_numpy(x))
            return np.zeros((len(x), 2048))

    images = np.linspace(-1, 2, 2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    assert fid.features(Network(), images).shape == (2, 2048)
    assert seen[0].shape == (2, 299, 299, 3)
    assert (seen[0].min(), seen[0].max()) == pytest.approx((-1, 1), abs=1e-5)


@pytest.mark.parametrize(
    ("factory", "shape", "arguments", "message"),
    [
        ("mlp_vae", (8,), {}, "grey or colour images"),
        ("mlp_vae", (4, 4, 2), {}, "grey or colour images"),
        ("mlp_vae", (4, 4, 1), {"likelihood": "poisson"}, "hold counts"),
        ("vq_vae", (4, 4, 1), {}, "measures samples"),
    ],
)
def test_what_has_no_distance_is_refused_before_anything_is_measured(
    monkeypatch, make, factory, shape, arguments, message
):
    monkeypatch.setattr(fid, "inception", pytest.fail)
    model = make(factory, shape, **arguments)
    with pytest.raises(ValueError, match=message):
        keras_vae.evaluate(model, np.zeros((2, *shape), "float32"), fid=True)


def test_one_image_is_refused(make, grey):
    with pytest.raises(ValueError, match="at least two images. Received: 1"):
        keras_vae.evaluate(make("mlp_vae"), grey[:1], fid=True)


def test_a_network_that_cannot_be_downloaded_is_told(monkeypatch, make, grey):
    def offline(**_):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.applications, "InceptionV3", offline)
    with pytest.raises(ConnectionError, match="could not download: URL fetch failure"):
        keras_vae.evaluate(make("mlp_vae"), grey, fid=True)
