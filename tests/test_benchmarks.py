"""Benchmarks: each runs, its mathematics is right, and what is shown is what was measured."""

import json
import math
import re
import sys
import tomllib
from importlib import import_module
from itertools import product

import numpy as np
import pytest
from reference_steps import adam

import keras_vae
from benchmarks import __main__ as listing
from benchmarks import classical, latent_plane, quality, record, tables
from benchmarks.__main__ import scripts
from keras_vae import data, training, verification
from zoo.train import read_recipe

README = tables.README.read_text(encoding="utf-8")
RESULTS = tables.read_results()
NAMES = sorted(keras_vae.registry.entries())
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 5)) @ RNG.normal(size=(5, 5)) + 1.0


@pytest.fixture
def run(monkeypatch):
    """A function that runs a benchmark as its command does and returns its exit code."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [f"benchmarks.{name}", *map(str, arguments)])
        try:
            import_module(f"benchmarks.{name}").main()
        except SystemExit as end:
            return end.code or 0
        return 0

    return run


def contents(folder):
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path: path.read_bytes() for path in files}


NEEDS = {"autoencoders": ("torch", "diffusers"), "accelerator": ("jax",)}  # what it measures
# One model of each kind: the published figures of all are tested elsewhere.
SOME = {"quality": ["mlp-mnist", "vq-mnist"]}


@pytest.mark.filterwarnings("ignore:No artists with labels")  # a smoke run fills half the picture
@pytest.mark.long
@pytest.mark.parametrize("name", sorted({*scripts()} - {"tables"}))
def test_a_benchmark_runs_in_seconds_and_leaves_the_tree_as_it_is(name, run, tmp_path):
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package)
    before = contents(tables.README.parent)
    assert run(name, *SOME.get(name, []), "--smoke", "--out", tmp_path) == 0
    results = tables.read_results(tmp_path)
    assert results
    assert all("versions" in result and "commit" in result for result in results.values())
    assert contents(tables.README.parent) == before


def test_the_list_has_a_line_for_every_benchmark(capsys):
    listing.main()
    names = re.findall(r"python -m benchmarks\.(\w+)", capsys.readouterr().out)
    assert sorted(names) == sorted(scripts())
    assert {"quality", "classical", "backends", "rate_distortion", "load_time"} <= set(names)


def test_the_plain_loop_makes_steps_of_adam():
    jnp = pytest.importorskip("jax.numpy")
    from benchmarks.accelerator_raw import _adam

    weights = [np.linspace(-1, 1, 6, dtype="float32")]
    got, count, state = list(map(jnp.array, weights)), jnp.zeros(()), None
    moments = ([jnp.zeros(6)], [jnp.zeros(6)])
    for step in range(4):
        gradient = [np.cos(step + weights[0])]
        got, moments, count = _adam(got, gradient, moments, count)
        weights, state = adam(weights, gradient, state, 1e-3)
        np.testing.assert_allclose(got[0], weights[0], rtol=1e-5)


def test_figures_that_differ_from_the_published_ones_set_the_exit_code(run, tmp_path):
    other = f"mnist={record.digits(tmp_path / 'other.npz')}"
    options = ["--num-samples", 2, "--data", other, "--out", tmp_path]
    assert run("quality", "mlp-mnist", *options) == 1
    checks = json.loads((tmp_path / "quality-mlp-mnist-k2.json").read_text())["checks"]
    assert not all(check["pass"] for check in checks)
    assert "nll" not in {check["quantity"] for check in checks}  # at K = 2 it is another quantity


def test_a_model_is_retrained_from_its_recipe_and_measured(run, tmp_path):
    assert run("quality", "--retrain", "mlp-mnist-2d", "--smoke", "--out", tmp_path) == 0
    result = json.loads((tmp_path / "retrain-mlp-mnist-2d.json").read_text())
    assert result["training"]["epochs"] == len(
        training.stages(read_recipe("mlp-mnist-2d"))
    )  # one of each
    assert np.isfinite(result["metrics"]["elbo"])


@pytest.mark.parametrize("name", NAMES)
def test_a_retrained_model_must_be_within_the_tolerances(name):
    entry = keras_vae.info(name)
    allowed = quality.tolerances(entry)
    assert allowed["mse"] == pytest.approx(0.05 * entry["metrics"]["mse"])
    kinds = {"binary": ("elbo", 0.3), "levels": ("bits_per_dim", 0.02)}
    key, tolerance = kinds.get(entry["observes"], ("rate", 0.05 * entry["metrics"]["rate"]))
    assert allowed[key] == pytest.approx(tolerance)
    assert len({"elbo", "rate", "bits_per_dim"} & set(allowed)) == 1
    worse = {**entry["metrics"], "mse": 1.06 * entry["metrics"]["mse"]}
    checks = verification.checks(worse, entry["metrics"], allowed)
    assert [check["quantity"] for check in checks if not check["pass"]] == ["mse"]


def test_the_density_of_pca_is_the_gaussian_of_scipy():
    from scipy.stats import multivariate_normal

    row = classical.pca(X, X[:50], 2)
    # Tipping & Bishop 1999: the ML covariance keeps two eigenvalues and levels the others.
    values, vectors = np.linalg.eigh(np.cov(X.T))
    values[:3] = values[:3].mean()
    covariance = vectors @ np.diag(values) @ vectors.T
    log_p = multivariate_normal(X.mean(axis=0), covariance).logpdf(X[:50])
    assert row["log_likelihood"] == pytest.approx(log_p.mean(), rel=1e-9)
    assert row["bits_per_dim"] == pytest.approx(-log_p.mean() / 5 / math.log(2), rel=1e-9)
    axes = vectors[:, 3:]
    centred = X[:50] - X.mean(axis=0)
    residual = centred - centred @ axes @ axes.T
    assert row["mse"] == pytest.approx(np.mean(residual**2), rel=1e-9)


def test_the_density_of_a_mixture_is_that_of_gaussians_over_all_pixels():
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal

    axes, model = classical.fit_mixture(X, 3, 2)
    inside = axes.components_  # (2, 5)
    noise = axes.noise_variance_ * (np.eye(5) - inside.T @ inside)
    parts = [
        multivariate_normal(axes.mean_ + mean @ inside, inside.T @ covariance @ inside + noise)
        for mean, covariance in zip(model.means_, model.covariances_)
    ]
    log_p = logsumexp([part.logpdf(X) for part in parts], axis=0, b=model.weights_[:, None])
    np.testing.assert_allclose(classical.log_density(axes, model, X), log_p, rtol=1e-8)


def test_a_mixture_of_one_is_pca():
    one, whole = classical.mixture(X, X[:50], 1, 2), classical.pca(X, X[:50], 2)
    # EM divides by n, PCA by n - 1.
    assert one["log_likelihood"] == pytest.approx(whole["log_likelihood"], abs=0.01)


def test_k_means_of_separate_groups_is_the_best_of_all_partitions():
    x = np.concatenate([RNG.normal(0, 0.1, (3, 4)), RNG.normal(3, 0.1, (4, 4))])

    def error(labels):
        groups = [x[np.array(labels) == label] for label in set(labels)]
        return sum(((group - group.mean(axis=0)) ** 2).sum() for group in groups) / x.size

    best = min(error(labels) for labels in product(range(2), repeat=len(x)))
    assert classical.kmeans(x, x, 2)["mse"] == pytest.approx(best, rel=1e-6)


def test_patches_are_quantised_each_by_its_place_or_all_by_one_codebook():
    x = RNG.random((40, 4, 8))  # two patches, side by side
    places = [half.reshape(40, 16) for half in (x[:, :, :4], x[:, :, 4:])]
    apart = [classical.kmeans(place, place, 3)["mse"] for place in places]
    flat = x.reshape(40, 32)
    row = classical.patches(flat, flat, (4, 8), 3, shared=False)
    assert row["mse"] == pytest.approx(np.mean(apart), rel=1e-6)
    assert row["bits"] == pytest.approx(2 * math.log2(3))
    both = np.concatenate(places)
    row = classical.patches(flat, flat, (4, 8), 80, shared=True)
    assert len(np.unique(both, axis=0)) == 80
    assert row["mse"] < 1e-12  # a code for each patch


@pytest.mark.parametrize("name", tables.TABLES)
def test_a_table_of_the_readme_is_what_the_results_say(name):
    shown = {match["name"]: match["table"] for match in tables.MARKED.finditer(README)}
    assert shown[name] == tables.table(name, RESULTS)


@pytest.mark.parametrize("name", NAMES)
def test_the_figures_of_the_registry_were_measured_again_within_their_tolerance(name):
    """README and cards show the registry's figures: tests of theirs hold them against it."""
    entry, result = keras_vae.info(name), RESULTS[f"quality-{name}"]
    assert result["sha256"] == entry["sha256"]
    published = {check["quantity"]: check["published"] for check in result["checks"]}
    assert published == {key: entry["metrics"][key] for key in entry["tolerances"]}
    checks = verification.checks(result["metrics"], entry["metrics"], entry["tolerances"])
    assert all(check["pass"] for check in checks), checks


@pytest.mark.parametrize("name", NAMES)
def test_a_model_stands_beside_others_of_its_kind(name):
    is_code_length = keras_vae.info(name)["code_length"]
    assert f"`{name}`" in tables.table("published" if is_code_length else "densities", RESULTS)
    assert f"`{name}`" in tables.table("errors", RESULTS)


def test_no_result_is_that_of_a_smoke_run():
    assert not [name for name, result in RESULTS.items() if "smoke" in result]


@pytest.mark.parametrize(
    "table",
    tomllib.loads(tables.PUBLISHED.read_text(encoding="utf-8"))["table"],
    ids=lambda table: table["title"],
)
def test_a_published_figure_has_a_source_and_says_how_sure_it_is(table):
    assert table["protocol"]
    assert table.get("ours") in {None, *data.PROTOCOLS}
    for row in table["rows"]:
        assert row["source"] and row["sure"] in ("S", "S2")
        assert ("k" in row) != ("text" in row)
        assert row["value"] > 0 if "k" in row or "unit" in table else "value" not in row


def test_figures_of_two_protocols_never_share_a_table():
    text = tables.published(RESULTS)
    ours = {name: keras_vae.info(name) for name in NAMES}
    listed = tomllib.loads(tables.PUBLISHED.read_text(encoding="utf-8"))["table"]
    protocols = {table["title"]: table.get("ours") for table in listed}
    of_codes = {table["title"]: table.get("codes", ()) for table in listed}
    for title, body in re.findall(r"### (.*?)\n(.*?)(?=### |\Z)", text, flags=re.DOTALL):
        for name in NAMES:
            if name in of_codes[title]:
                assert f"| **`{name}`** | PSNR " in body
            elif f"`{name}`" in body:
                assert ours[name]["metrics"]["protocol"] == protocols[title]
                assert ours[name]["code_length"]
    densities = tables.densities(RESULTS)
    assert not [name for name in NAMES if ours[name]["code_length"] and name in densities]


def test_the_network_of_keras_io_has_the_parameters_that_its_page_prints():
    assert [network.count_params() for network in latent_plane.networks()] == [69_076, 65_089]
