"""Published figures: how a protocol measures, and what verify compares."""

import math

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import data, verification
from keras_vae.likelihoods import Gaussian

X = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 1), dtype="uint8")


@pytest.fixture(scope="module")
def mlp():
    keras.utils.set_random_seed(0)
    return keras_vae.mlp_vae((6, 5, 1), 3, (8,), seed=0)


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "x.npz"
    np.savez(path, x_train=X[:20], x_validation=X[20:30], x_test=X[30:])
    return path


def test_likelihoods_are_of_images_binarised_once_and_errors_of_grey_ones(mlp, npz):
    got = verification.published_metrics(mlp, "mnist-dynamic", source=npz, num_samples=3)
    binary = keras_vae.evaluate(mlp, data.binarized_once(data.load(npz))[1], num_samples=3)
    grey = keras_vae.evaluate(mlp, X[30:], num_samples=1)
    of_grey = {"mse", "mse_stderr", "mse_sampled", "psnr", "active_units"}
    assert got == {
        "protocol": "mnist-dynamic",
        **{key: (grey if key in of_grey else binary)[key] for key in binary},
    }
    assert all(grey[key] != binary[key] for key in ("elbo", "nll", "mse"))


@pytest.mark.usefixtures("eager")
def test_the_rates_of_a_hierarchys_layers_are_of_binary_images_too(npz):
    model = keras_vae.ladder_vae((6, 5, 1), 1, (2,), layers=(2,), blocks=0, seed=0)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:  # the same on every backend
        weight.assign(0.3 * rng.standard_normal(weight.shape))
    got = verification.published_metrics(model, "mnist-dynamic", source=npz, num_samples=1)
    binary = keras_vae.evaluate(model, data.binarized_once(data.load(npz))[1], num_samples=1)
    assert got["layer_rates"] == binary["layer_rates"]
    assert sum(got["layer_rates"]) == pytest.approx(got["rate"], rel=0.02)


@pytest.mark.parametrize("likelihood", ["gaussian", "learned_gaussian", Gaussian(0.3)])
def test_a_model_of_grey_values_is_measured_on_grey_images(npz, likelihood):
    model = keras_vae.mlp_vae((6, 5, 1), 2, (4,), likelihood=likelihood, seed=0)
    got = verification.published_metrics(model, "mnist-dynamic", source=npz, num_samples=2)
    expected = keras_vae.evaluate(model, X[30:], num_samples=2)
    assert got == {"protocol": "mnist-dynamic", **expected}


def test_a_protocol_without_binarisation_measures_everything_on_its_images(mlp, npz):
    got = verification.published_metrics(mlp, "mnist-static", source=npz, num_samples=2)
    assert got == {"protocol": "mnist-static", **keras_vae.evaluate(mlp, X[30:], num_samples=2)}


@pytest.mark.parametrize(
    ("protocol", "likelihood"),
    [
        ("cifar10-levels", "bernoulli"),
        ("cifar10-levels", {"name": "categorical", "num_levels": 32}),
        ("cifar10-levels", "poisson"),
        ("mnist-static", "discretised_logistic"),
    ],
)
def test_figures_of_other_values_than_the_protocols_are_refused(protocol, likelihood):
    shape = data.DATASETS[data.PROTOCOLS[protocol].dataset].shape
    model = keras_vae.mlp_vae(shape, 2, (4,), likelihood=likelihood)
    with pytest.raises(
        ValueError, match=f"{protocol} measures .*{type(model.likelihood).__name__}"
    ):
        verification.published_metrics(model, protocol)


def test_bits_per_dim_of_levels_are_measured_under_their_protocol(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 3)).astype("uint8")
    np.savez(tmp_path / "mine.npz", x_train=x[:16], x_test=x[16:])
    model = keras_vae.mlp_vae((4, 4, 3), 2, (4,), likelihood="discretised_logistic", seed=0)
    source = tmp_path / "mine.npz"
    got = verification.published_metrics(model, "cifar10-levels", source=source, num_samples=2)
    nll = -model.log_likelihood(x[16:], 2, seed=0).mean()
    assert got["bits_per_dim"] == pytest.approx(nll / 48 / math.log(2), rel=1e-5)
    assert got["num_samples"] == 2 and got["protocol"] == "cifar10-levels"
    density = keras_vae.mlp_vae((4, 4, 3), 2, (4,), likelihood="gaussian")
    got = verification.published_metrics(density, "cifar10-levels", source=source, num_samples=1)
    assert "psnr" in got and "bits_per_dim" not in got


def test_a_protocol_needs_its_test_images(mlp, tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=np.zeros((12, 8, 8, 1), "uint8"))
    with pytest.raises(ValueError, match="mine.npz must hold x_test"):
        verification.published_metrics(mlp, "mnist-dynamic", source=tmp_path / "mine.npz")


def test_an_unknown_protocol_is_refused(mlp):
    with pytest.raises(ValueError, match="Unknown protocol 'grey'.*mnist-dynamic"):
        verification.published_metrics(mlp, "grey")


def test_only_figures_with_a_tolerance_are_compared():
    got, published = {"elbo": -90.0, "mse": 0.10, "rate": 3.0}, {"elbo": -90.1, "mse": 0.2}
    rows = verification.checks(got, published, {"elbo": 0.2, "mse": 0.05})
    assert [(row["quantity"], row["pass"]) for row in rows] == [("elbo", True), ("mse", False)]
    nothing = verification.checks({"elbo": float("nan")}, published, {"elbo": 0.2})
    assert not nothing[0]["pass"]


def measure(name, n, parts):
    """ELBO and squared error of a published model on the first test images."""
    model = keras_vae.load(name)
    binary = model.likelihood.observes == "binary"
    x = (data.binarized_once(parts)[1] if binary else parts.x_test)[:n]
    grey = parts.x_test[:n]
    mse = np.mean(np.square(grey / 255 - model.reconstruct(grey)), dtype="float64")
    return model.elbo(x, num_samples=2, seed=0).mean(dtype="float64"), mse


@pytest.mark.long  # it is the images that take seconds to read
@pytest.mark.parametrize("name", sorted(keras_vae.registry.entries()))
def test_some_test_images_are_like_the_ten_thousand_published(name, real_data):
    n = 100
    entry = keras_vae.info(name)
    metrics = entry["metrics"]
    got = measure(name, n, real_data(entry["data"]["name"]))
    for key, value in zip(("elbo", "mse"), got):
        error = math.sqrt(10_000 / n) * metrics[f"{key}_stderr"]
        assert value == pytest.approx(metrics[key], abs=3 * error)


@pytest.mark.long
@pytest.mark.parametrize("name", keras_vae.registry.entries())
def test_the_published_figures_are_reproducible(name, real_data):
    entry = keras_vae.info(name)
    metrics, allowed = entry["metrics"], entry["tolerances"]
    elbo, mse = measure(name, 10_000, real_data(entry["data"]["name"]))
    assert elbo == pytest.approx(metrics["elbo"], abs=allowed["elbo"])
    assert mse == pytest.approx(metrics["mse"], abs=allowed["mse"])
