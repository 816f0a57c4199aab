"""Parts that users write (`extensions.py`), through everything a model can be asked for."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from extension_cases import CASES, N, fit
from extensions import MMD
from keras import ops

import keras_vae
from keras_vae import explorer


@pytest.fixture(scope="module", params=CASES)
def fitted(request):
    """Each model, fitted with all that `fit` takes."""
    return fit(request.param)


def raises(reason):
    return pytest.raises(ValueError, match=reason)


def numpy(t):
    return ops.convert_to_numpy(t)


def test_it_trains_and_says_how_it_uses_its_latent(fitted):
    name, _, model, x, history = fitted
    figures = model.latent.use(model.encode(x)).figures
    for key in ("loss", "distortion", "rate", "val_loss", "val_distortion", "val_rate", *figures):
        assert len(history[key]) == 2 and np.isfinite(history[key]).all(), key
    assert {key: history[key][-1] for key in figures} == figures
    assert history["val_loss"][1] < history["val_loss"][0]


def test_keras_evaluates_the_objective_as_it_validates(fitted):
    _, _, model, x, history = fitted

    def evaluate(weight):
        weights = np.full(N, weight)
        return model.evaluate(x, None, N, verbose=0, sample_weight=weights, return_dict=True)

    got, doubled = evaluate(1.0), evaluate(2.0)
    for key in ("loss", "distortion", "rate"):
        assert got[key] == pytest.approx(history[f"val_{key}"][-1], rel=0.1)
    assert evaluate(1.0) == got
    assert doubled["distortion"] == pytest.approx(2 * got["distortion"], rel=1e-5)
    if type(model.objective) is not MMD:  # whose divergence is that of the whole batch
        assert doubled["loss"] == pytest.approx(2 * got["loss"], rel=1e-2)
    if type(model.objective) is keras_vae.objectives.ELBO and not model.objective.free_bits:
        terms = model.elbo_terms(ops.convert_to_tensor(model.likelihood.read(x)))
        penalty = numpy(terms["penalty"]).mean()
        assert got["loss"] == pytest.approx(got["distortion"] + got["rate"] + penalty, rel=1e-5)


def test_codes_decode_to_reconstructions(fitted):
    _, _, model, x, _ = fitted
    code, spec = model.encode(x), model.code_spec(x.shape[1:])
    assert code.shape == (N, *spec.shape) and code.dtype == spec.dtype
    images = model.decode(code)
    assert images.shape == x.shape and images.dtype == "float32"
    np.testing.assert_array_equal(images, model.reconstruct(x))
    np.testing.assert_allclose(images, model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


def test_posterior_samples_are_codes(fitted):
    _, _, model, x, _ = fitted
    z = model.sample_posterior(x, seed=1)
    np.testing.assert_array_equal(z, model.sample_posterior(x, seed=1))
    is_point = model.code_spec(x.shape[1:]).noise_shape is None
    assert np.array_equal(z, model.encode(x)) == is_point
    assert np.array_equal(z, model.sample_posterior(x, seed=2)) == is_point
    assert model.decode(z).shape == x.shape


def test_it_generates_or_says_why_not(fitted):
    _, case, model, x, _ = fitted
    assert model.latent.generates == (case.no_generate is None)
    size = x.shape[1:-1] if None in model.data_shape else None
    if case.no_generate:
        with raises(case.no_generate):
            model.generate(3, seed=0, size=size)
        return
    images = model.generate(3, seed=0, size=size)
    assert images.shape == (3, *x.shape[1:]) and np.isfinite(images).all()
    np.testing.assert_array_equal(images, model.generate(3, seed=0, size=size))


def test_the_elbo_is_minus_distortion_minus_rate(fitted):
    _, case, model, x, _ = fitted
    if case.no_bound:
        with raises(case.no_bound):
            model.elbo(x)
        return
    distortion, rate = model.distortion_and_rate(x, seed=0)
    np.testing.assert_array_equal(model.elbo(x, seed=0), -distortion - rate)
    assert np.isfinite(distortion).all() and (rate.mean() >= 0 or not model.latent.has_unit_rates)


def test_the_log_likelihood_of_one_sample_is_that_samples_bound(fitted):
    _, case, model, x, _ = fitted
    if case.no_bound:
        with raises(case.no_bound):
            model.log_likelihood(x)
        return
    got = model.log_likelihood(x, 1, seed=3)
    if model.code_spec(x.shape[1:]).noise_shape is None:
        np.testing.assert_allclose(got, model.elbo(x), rtol=1e-5)
        return
    z = ops.convert_to_tensor(model.sample_posterior(x, seed=3))  # from the same noise
    read = ops.convert_to_tensor(model.likelihood.read(x))
    log_p = model.log_prob(read, model.decoder(model.latent.decoder_input(z)))[0]
    log_ratio = model.latent.log_ratio(model.encoder(read), z[None])[0]
    np.testing.assert_allclose(got, numpy(log_p + log_ratio), rtol=1e-4, atol=1e-3)


def test_unit_rates_add_up_to_the_rate(fitted):
    _, case, model, x, _ = fitted
    assert model.latent.has_unit_rates == (case.no_unit_rates is None)
    if case.no_unit_rates:
        with raises(case.no_unit_rates):
            model.latent_rates(x)
        return
    each = model.latent_rates(x).reshape(N, -1).sum(axis=1)
    rate = model.distortion_and_rate(x, num_samples=1, seed=0)[1]
    np.testing.assert_allclose(each, rate, rtol=1e-4, atol=1e-5)


def test_evaluate_measures_what_there_is(fitted):
    _, case, model, x, _ = fitted
    got = keras_vae.evaluate(model, x, num_samples=1)
    assert set(model.latent.use(model.encode(x)).figures) <= set(got)
    assert got["mse"] == pytest.approx(np.mean((model.likelihood.read(x) - model.predict(x)) ** 2))
    assert ("elbo" in got) == (case.no_bound is None)
    assert ("latent_rates" in got) == (case.no_unit_rates is None)
    is_code_length = case.data in ("levels", "counts")
    assert ("bits_per_dim" in got) == is_code_length == model.likelihood.is_code_length


def test_a_pickled_model_is_the_same_model(fitted):
    check_is_copy(pickle.loads(pickle.dumps(fitted.model)), fitted.model)


def test_so_is_a_deep_copy():  # made as pickles are
    model = fit("ladder").model
    check_is_copy(copy.deepcopy(model), model)


def check_is_copy(again, model):
    assert again.objective.get_config() == model.objective.get_config()
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


LOAD = """
import pathlib, sys
import keras, numpy as np
import extensions
for file in pathlib.Path(sys.argv[1]).glob("*.keras"):
    model = keras.saving.load_model(file)
    x = np.load(file.with_suffix(".npy"))
    np.save(file.with_suffix(".reconstructions.npy"), model.reconstruct(x))
    if not model.latent.no_bound:
        np.save(file.with_suffix(".elbo.npy"), model.elbo(x, seed=0))
"""


@pytest.mark.long
def test_a_fresh_process_loads_them(tmp_path):
    # One test of all models, so that one worker starts one process.
    for name in CASES:
        fitted = fit(name)
        fitted.model.save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", fitted.x)
    tests = str(Path(__file__).parent)
    path = os.pathsep.join([tests, str(Path(tests).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "KERAS_BACKEND": keras.backend.backend()}
    subprocess.run([sys.executable, "-c", LOAD, str(tmp_path)], env=environment, check=True)
    for name in CASES:
        _, case, model, x, _ = fit(name)
        got = np.load(tmp_path / f"{name}.reconstructions.npy")
        np.testing.assert_allclose(got, model.reconstruct(x), rtol=1e-5, atol=1e-6, err_msg=name)
        if not case.no_bound:
            got = np.load(tmp_path / f"{name}.elbo.npy")
            np.testing.assert_allclose(got, model.elbo(x, seed=0), rtol=1e-4, err_msg=name)


def test_a_folder_holds_it_or_says_why_not(fitted, tmp_path):
    _, case, model, x, _ = fitted
    if case.no_folder:
        with raises(case.no_folder):
            keras_vae.save_to_folder(model, tmp_path / "model")
        return
    keras_vae.save_to_folder(model, tmp_path / "model")
    again = keras_vae.load(tmp_path / "model")
    np.testing.assert_array_equal(again.reconstruct(x), model.reconstruct(x))


def test_a_model_trained_on_an_objective_of_ones_own_is_shared_without_it(tmp_path):
    _, _, model, x, _ = fit("mmd")
    parts = model.encoder, model.decoder, model.latent
    elbo = keras_vae.VAE(*parts, likelihood=model.likelihood, beta=2.0)
    keras_vae.save_to_folder(elbo, tmp_path / "model")
    again = keras_vae.load(tmp_path / "model")
    np.testing.assert_array_equal(again.reconstruct(x), model.reconstruct(x))
    assert type(again.objective) is keras_vae.objectives.ELBO


def test_it_is_exported_or_says_why_not(fitted, tmp_path):
    _, case, model, _, _ = fitted
    reason = case.no_export
    if keras.backend.backend() != "tensorflow":
        reason = "Export needs KERAS_BACKEND=tensorflow"
    if reason:
        with raises(reason):
            keras_vae.export(model, tmp_path / "exported", format="saved_model")
        return
    # `export` compares the graphs with the model.
    graphs = keras_vae.export(model, tmp_path / "exported", format="saved_model")["graphs"]
    assert {"encoder", "decoder"} <= set(graphs)


def test_it_is_explored_or_says_why_not(fitted):
    _, case, model, x, _ = fitted
    if case.no_page:
        with raises(case.no_page):
            explorer.render(model, x)
        return
    assert model.name in explorer.render(model, x)
