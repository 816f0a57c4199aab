"""The `keras-vae` command: verify, download and publish."""

import json

import loopback_hub
import numpy as np
import pytest
from loopback_hub import TOKEN
from test_cli import refused, run

import keras_vae
from keras_vae import data, hub, registry, verification

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=")  # huggingface_hub 2.4 uploads
loopback, served = loopback_hub.loopback, loopback_hub.served
ARGUMENTS = {"input_shape": [6, 5, 1], "latent_dim": 2, "hidden_units": [4]}
X = np.random.default_rng(0).integers(0, 256, (24, 6, 5, 1), dtype="uint8")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder with a model and an .npz of data, and the entry that a registry has of them."""
    folder = tmp_path_factory.mktemp("small")
    np.savez(folder / "x.npz", x_train=X, x_test=X)
    model = keras_vae.mlp_vae(**ARGUMENTS)
    hub.save_to_folder(model, folder)
    parts = [json.loads((folder / name).read_text()) for name in ("config.json", "metadata.json")]
    options = {"source": folder / "x.npz", "num_samples": 2}
    metrics = verification.published_metrics(model, "mnist-dynamic", **options)
    entry = {
        **parts[0],
        **parts[1],
        "file": "model.weights.h5",
        "repository": "keras-vae/small",
        "revision": None,
        "licence": "Apache-2.0",
        "data": {"name": "mnist", "version": "3.0.1", "licence": "CC BY-SA 3.0"},
        "metrics": {"protocol": "mnist-dynamic", "num_samples": 2, **metrics},
        "tolerances": {"elbo": 0.05, "nll": 0.05, "mse": 2e-5},
    }
    return folder, entry


@pytest.fixture
def small(measured, monkeypatch):
    """The entry of the only published model, `small`, which a test may change; and its data."""
    folder, entry = measured
    entry = {
        key: value.copy() if isinstance(value, dict) else value for key, value in entry.items()
    }
    monkeypatch.setattr(registry, "PRETRAINED", folder)
    monkeypatch.setattr(registry, "entries", lambda: {"small": entry})
    return entry, folder / "x.npz"


def test_verify_shows_what_it_got_beside_what_is_published(small):
    entry, npz = small
    result = run("verify", "small", "--data", npz)
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if "small" in line]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert [row[1] for row in cells] == [f"fingerprint {i + 1}" for i in range(8)] + [
        "elbo",
        "nll",
        "mse",
    ]
    elbo = cells[8]
    assert float(elbo[2]) == pytest.approx(float(elbo[3]), abs=1e-3)
    assert float(elbo[3]) == pytest.approx(entry["metrics"]["elbo"], rel=1e-6)
    assert elbo[4:] == ["0.05", "yes"]
    assert entry["sha256"] in lines[-1]


def test_verify_exits_with_1_if_a_number_is_not_the_published_one(small):
    entry, npz = small
    entry["metrics"]["elbo"] += 1
    result = run("verify", "small", "--data", npz)
    assert result.exit_code == 1
    assert result.stdout.count(" NO ") == 1
    assert "1 of 11 figures differ from the published ones." in result.stdout
    as_json = run("verify", "small", "--data", npz, "--json")
    assert as_json.exit_code == 1
    rows = {row["quantity"]: row for row in json.loads(as_json.stdout)}
    assert [key for key in rows if not rows[key]["pass"]] == ["elbo"]
    assert rows["elbo"]["model"] == "small"
    assert rows["elbo"]["published"] - rows["elbo"]["got"] == pytest.approx(1, abs=1e-3)


def test_a_quick_verify_needs_no_data_and_takes_several_names(small, monkeypatch):
    monkeypatch.setattr(data, "load", lambda *_, **__: pytest.fail("data were loaded"))
    result = run("verify", "small", "small", "--quick", "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)) == 8


def test_verify_refuses_other_weights_and_other_names_before_it_measures(small, monkeypatch):
    entry, npz = small
    monkeypatch.setattr(verification, "published_metrics", lambda *_, **__: pytest.fail("measured"))
    assert "Did you mean 'small'?" in refused(run("verify", "small", "smal", "--data", npz))
    own = run("verify", npz.parent, "--quick")  # the folder that holds the published weights
    assert "not one of the published models" in refused(own)
    wrong = run("verify", "small", "--data", npz.parent)
    assert wrong.exit_code == 2 and "an .npz file with the array x_test" in wrong.stderr
    entry["fingerprint"] = [entry["fingerprint"][0] + 1, *entry["fingerprint"][1:]]
    assert "are not the published ones" in refused(run("verify", "small", "--quick"))
    entry["sha256"] = "0" * 64
    assert "sha256" in refused(run("verify", "small", "--quick"))


def test_download_says_where_the_model_is(loopback, measured, tmp_path):
    folder, _ = measured
    names = ("config.json", "metadata.json", "model.weights.h5")
    commit = loopback.add("me/mine", {name: (folder / name).read_bytes() for name in names})
    result = run("download", "hf://me/mine", "--revision", commit, "--cache-dir", tmp_path / "c")
    assert result.exit_code == 0, result.output
    place = result.stdout.strip().removeprefix("hf://me/mine is in ")
    assert place.startswith(str(tmp_path / "c")) and place.endswith(commit)
    assert keras_vae.load(place).data_shape == (6, 5, 1)
    assert "no model" in refused(run("download", "hf://me/other"))


def test_publish_prints_the_commit_and_how_to_load_and_pin_it(loopback, small, monkeypatch):
    _, npz = small
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    result = run("publish", "small", "--namespace", "tester", "--private", "--data", npz)
    assert result.exit_code == 0, result.output
    repository = loopback.repositories["tester/small"]
    commit = repository.refs["main"]
    assert repository.private and "samples.png" in repository.commits[commit]
    first, second, third = result.stdout.splitlines()
    assert first == f"Published commit {commit}. Load it in Python:"
    assert eval(second, {"keras_vae": keras_vae}).data_shape == (6, 5, 1)
    assert third.endswith(f"python -m zoo.publish small --pin {commit} --repository tester/small")


def test_a_folder_is_published_under_its_own_name_or_a_given_one(loopback, measured, monkeypatch):
    folder, _ = measured
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(folder)
    assert run("publish", ".", "--namespace", "tester", "--licence", "mit").exit_code == 0
    assert run("publish", folder, "--repository", "tester/other").exit_code == 0
    assert set(loopback.repositories) == {f"tester/{folder.name}", "tester/other"}
    commits = loopback.repositories[f"tester/{folder.name}"]
    assert b"license: mit" in commits.commits[commits.refs["main"]]["README.md"]


def test_publish_asks_for_one_place_and_a_login(loopback, small):
    for options in ([], ["--namespace", "me", "--repository", "me/mine"]):
        result = run("publish", "small", *options)
        assert result.exit_code == 2 and "--namespace or --repository" in result.stderr
    assert "hf auth login" in refused(run("publish", "small", "--namespace", "me"))
    assert loopback.requests == []
