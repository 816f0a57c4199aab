"""The registry's schema, and zoo.publish, its only writer."""

import json
import math
import re
import shutil
import sys

import h5py
import numpy as np
import pytest

import keras_vae
from keras_vae import data, hub, registry
from keras_vae.files import sha256
from keras_vae.hub.cards import QUANTITIES
from zoo import publish, table, train
from zoo.cards import card as zoo_card

NAMES = sorted(keras_vae.registry.entries())
AVAILABLE = f"Available: {', '.join(NAMES)}"
ENTRY = {
    "factory": str,
    "arguments": dict,
    "repository": str,
    "revision": (str, type(None)),
    "file": str,
    "bytes": int,
    "sha256": str,
    "parameters": int,
    "data_shape": list,
    "likelihood": str,
    "observes": str,
    "code_length": bool,
    "input_range": (list, str),
    "prior": str,
    "generates": bool,
    "fingerprint": list,
    "data": dict,
    "licence": str,
    "metrics": dict,
    "tolerances": dict,
    "training": dict,
}


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the registry that a test may write to."""
    shutil.copy(registry.PRETRAINED / "registry.json", tmp_path)
    monkeypatch.setattr(registry, "PRETRAINED", tmp_path)
    yield tmp_path / "registry.json"


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_has_every_part_in_its_type_and_no_other(name):
    entry = keras_vae.info(name)
    assert entry.pop("rounded_to", "float16") == "float16"  # of weights that are rounded
    assert set(entry) == set(ENTRY)
    for key, kind in ENTRY.items():
        assert isinstance(entry[key], kind), key
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)
    assert re.fullmatch("[0-9a-f]{64}", entry["sha256"])
    assert entry["revision"] is None or re.fullmatch("[0-9a-f]{40}", entry["revision"])
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry["repository"])
    assert entry["likelihood"] in keras_vae.likelihoods.LIKELIHOODS
    assert len(entry["fingerprint"]) in (8, 10, 12) and all(
        map(math.isfinite, entry["fingerprint"])
    )
    assert entry["licence"] == "Apache-2.0"


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_speaks_of_the_file_that_is_there(name):
    entry = keras_vae.info(name)
    path = registry.PRETRAINED / entry["file"]
    assert path.parent == registry.PRETRAINED
    assert (path.stat().st_size, sha256(path)) == (entry["bytes"], entry["sha256"])


@pytest.mark.parametrize("name", NAMES)
def test_the_arguments_of_an_entry_build_a_model_of_its_size(name):
    entry = keras_vae.info(name)
    model = hub.build(entry)
    assert model.count_params() == entry["parameters"]


@pytest.mark.parametrize("name", NAMES)
def test_metrics_have_a_protocol_and_a_tolerance_that_verify_knows(name):
    entry = keras_vae.info(name)
    metrics = entry["metrics"]
    assert data.PROTOCOLS[metrics["protocol"]].dataset == entry["data"]["name"] in data.DATASETS
    assert set(entry["data"]) == {"name", "version", "licence"}
    assert metrics["num_samples"] >= 1
    rates = {"latent_rates", "layer_rates"} & set(metrics)
    for key in set(metrics) - {"protocol", "num_samples", *rates}:
        quantity = key.removesuffix("_stderr").removesuffix("_mc")
        assert quantity in QUANTITIES and math.isfinite(metrics[key])
    # Those of a hierarchy are of one sample of the layers above.
    rel = 1e-2 if "layer_rates" in rates else 1e-4
    for key in rates:
        assert np.sum(metrics[key]) == pytest.approx(metrics["rate"], rel=rel)
    assert {"elbo", "nll", "mse"} <= set(entry["tolerances"]) <= set(metrics)
    assert all(tolerance >= 0 for tolerance in entry["tolerances"].values())


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_says_how_the_model_was_made(name):
    training = keras_vae.info(name)["training"]
    training.pop("variants", None)  # of models whose figures say so
    memory = training.pop("peak_memory_mb", None)  # the first models were made before it was noted
    assert memory is None or memory > 0
    assert set(training) == {"recipe", "seed", "seconds", "backend", "keras", "machine"}
    assert training["recipe"] == f"zoo/recipes/{name}.toml"


def test_pinning_sets_repository_and_revision_and_nothing_else(copied, monkeypatch, capsys):
    before = json.loads(copied.read_text())
    commit = "0123456789" * 4
    run_publish(monkeypatch, "vq-mnist", "--pin", commit)
    entry = keras_vae.info("vq-mnist")
    assert (entry["repository"], entry["revision"]) == ("keras-vae/vq-mnist", commit)
    run_publish(monkeypatch, "vq-mnist", "--pin", commit, "--repository", "me/vq")
    after = json.loads(copied.read_text())
    assert after["vq-mnist"].pop("repository") == "me/vq"
    assert after["vq-mnist"].pop("revision") == commit
    for key in ("repository", "revision"):
        del before["vq-mnist"][key]
    assert after == before
    assert f"Pinned vq-mnist to me/vq@{commit}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["vq-mnist", "--pin", "main"], "40 hexadecimal digits"),
        (["no-such", "--pin", "0" * 40], f"no-such is not published. {AVAILABLE}$"),
        (["vq-mnist", "--pin", "0" * 40, "--repository", "vq"], "NAMESPACE/NAME"),
    ],
)
def test_a_pin_that_leads_nowhere_is_refused(copied, monkeypatch, arguments, message):
    before = copied.read_bytes()
    with pytest.raises((SystemExit, ValueError), match=message):
        run_publish(monkeypatch, *arguments)
    assert copied.read_bytes() == before


RECIPE = """
[model]
factory = "mlp_vae"
arguments = { input_shape = [6, 5, 1], latent_dim = 2, hidden_units = [4] }
[data]
name = "mnist"
[training]
epochs = 1
batch_size = 8
learning_rate = 1e-3
flips = true
shifts = 1
seed = 5
"""


@pytest.mark.usefixtures("eager")
def test_new_weights_keep_the_repository_and_lose_the_pin(copied, monkeypatch, tmp_path, capsys):
    (tmp_path / "vq-mnist.toml").write_text(RECIPE)
    monkeypatch.setattr(train, "RECIPES", tmp_path)
    monkeypatch.setattr(publish, "CARDS", tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 1), dtype="uint8")
    np.savez(tmp_path / "x.npz", x_train=images, x_test=images[:20])
    run_publish(monkeypatch, "vq-mnist", "--pin", "a" * 40, "--repository", "me/vq")

    arguments = ["vq-mnist", "--data", str(tmp_path / "x.npz")]
    monkeypatch.setattr(sys, "argv", ["zoo.train", *arguments, "--out", str(tmp_path / "run")])
    train.main()
    arguments += ["--run", str(tmp_path / "run"), "--num-samples", "2"]
    run_publish(monkeypatch, *arguments, "--float16")
    entry = keras_vae.info("vq-mnist")
    assert entry.pop("rounded_to") == "float16"
    with h5py.File(copied.parent / "vq-mnist.weights.h5") as stored:
        kinds = set()
        stored.visititems(lambda _, item: kinds.add(str(getattr(item, "dtype", ""))))
    assert "float16" in kinds and "float32" not in kinds
    assert "The weights are rounded to float16" in zoo_card("vq-mnist")
    assert not list(copied.parent.glob("new-*"))
    assert (entry["repository"], entry["revision"]) == ("me/vq", None)
    assert (entry["factory"], entry["training"]["seed"]) == ("mlp_vae", 5)
    assert set(entry) == set(ENTRY)
    said = "mirror images and shifts of up to 1 pixel"
    assert entry["training"]["variants"] == said
    assert f"`vq-mnist` (trained on {said}, too) |" in table.table()
    assert f"- trained on variants of the images, too: {said}" in zoo_card("vq-mnist")
    assert (tmp_path / "vq-mnist.png").is_file()
    keras_vae.load("vq-mnist")


def test_tolerances_grow_with_the_nats_and_bits_have_one_where_they_are_of_levels():
    metrics = {"elbo": -82.5, "nll": 79.4, "bits_per_dim": 0.15, "mse": 3e-3, "active_units": 9}
    small = {"elbo": 0.05, "nll": 0.05, "mse": 2e-5, "active_units": 0}
    assert publish.tolerances(metrics, "binary") == small
    metrics |= {"elbo": -9600.0, "nll": 999.0, "bits_per_dim": 4.51, "layer_rates": [5.0, 7.0]}
    large = {**small, "elbo": pytest.approx(0.48), "bits_per_dim": 1e-3}
    assert publish.tolerances(metrics, "levels") == large


@pytest.mark.parametrize("name", NAMES)
def test_published_tolerances_are_those_of_the_rule_or_stricter(name):
    entry = keras_vae.info(name)
    now = publish.tolerances(entry["metrics"], entry["observes"])
    assert set(entry["tolerances"]) == set(now)
    assert all(entry["tolerances"][key] <= now[key] for key in now)


def run_publish(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["zoo.publish", *arguments])
    publish.main()
