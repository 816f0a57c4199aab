"""Saving and publishing your own model: all of it or nothing, and what to do if it fails."""

import copy
import json
import os
import pathlib
import pickle
import subprocess
import sys

import h5py
import keras
import loopback_hub
import numpy as np
import pytest
from huggingface_hub import ModelCard, constants
from loopback_hub import TOKEN, cut, environment, page, status

import keras_vae
from keras_vae import hub, registry
from keras_vae.hub import AccessError, HubError, OfflineError, RateLimitError
from keras_vae.hub.publish import upload

loopback, served = loopback_hub.loopback, loopback_hub.served
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=")  # huggingface_hub 2.4 uploads

ARGUMENTS = {"input_shape": [6, 5, 1], "latent_dim": 3, "hidden_units": [8], "activation": "silu"}
FILES = [
    *("README.md", "config.json", "explorer.html"),
    *("metadata.json", "model.weights.h5", "samples.png"),
]
OF_A_FOLDER = ["config.json", "metadata.json", "model.weights.h5"]
X = np.random.default_rng(0).integers(0, 256, (32, 6, 5, 1), dtype="uint8")


@pytest.fixture(scope="module")
def model():
    """A trained model, which no test changes."""
    model = keras_vae.mlp_vae(**ARGUMENTS)
    model.fit(X, verbose=0)
    return model


@pytest.fixture
def logged_in(loopback, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return loopback


def newest(hub, repository):
    """The files of the newest commit of a repository, but for the one that the Hub makes."""
    repository = hub.repositories[repository]
    commit = repository.commits[repository.refs["main"]]
    return {name: commit[name] for name in commit if name != ".gitattributes"}


def same(model, other):
    np.testing.assert_allclose(model.reconstruct(X), other.reconstruct(X), atol=1e-5)
    np.testing.assert_allclose(model.elbo(X, seed=1), other.elbo(X, seed=1), rtol=1e-4)


def test_a_model_knows_how_it_was_made_when_it_is_saved(model, tmp_path):
    keras_vae.save_to_folder(model, tmp_path)
    same(keras_vae.load(tmp_path), model)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == model.made_by and config["arguments"].items() >= ARGUMENTS.items()


@pytest.mark.parametrize("name", ["beta", "capacity"])
def test_what_was_changed_of_the_objective_is_saved(name, tmp_path):
    start = {"beta": 0.1, "capacity": 1.0 if name == "capacity" else None, "num_samples": 2}
    model = keras_vae.mlp_vae(X.shape[1:], 2, (4,), **start)
    setattr(model, name, 3)
    keras_vae.save_to_folder(model, tmp_path)
    loaded = keras_vae.load(tmp_path)
    assert float(getattr(loaded, name)) == 3
    arguments = json.loads((tmp_path / "config.json").read_text())["arguments"]
    assert arguments == {**model.made_by["arguments"], name: 3}  # 0.1 is not 0.10000000149


def test_another_scale_in_the_config_is_no_longer_that_model(tmp_path):
    model = keras_vae.mlp_vae(X.shape[1:], 2, (4,), likelihood="gaussian")
    keras_vae.save_to_folder(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["arguments"]["likelihood"] = {"name": "gaussian", "scale": 0.5}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(hub.WeightsError, match="outputs of .* not the published"):
        keras_vae.load(tmp_path)


def test_a_model_of_our_objects_and_numpys_numbers_is_saved_by_itself(tmp_path):
    likelihood, prior = keras_vae.likelihoods.Gaussian(0.5), keras_vae.priors.RealNVP()
    options = {"likelihood": likelihood, "prior": prior, "beta": np.float32(0.5)}
    model = keras_vae.mlp_vae(X.shape[1:], np.int64(2), np.array([4]).tolist(), **options)
    keras_vae.save_to_folder(model, tmp_path)
    loaded = keras_vae.load(tmp_path)
    same(loaded, model)
    np.testing.assert_allclose(loaded.generate(3, seed=1), model.generate(3, seed=1), atol=1e-6)
    assert loaded.likelihood.scale == 0.5 and float(loaded.beta) == 0.5


@pytest.mark.parametrize("wrong", [{"activation": "relu"}, {"latent_dim": 2}])
def test_a_model_that_is_no_longer_what_the_factory_makes_is_saved_as_layers(tmp_path, wrong):
    model = keras_vae.mlp_vae(**ARGUMENTS)
    model.note_origin({"factory": "mlp_vae", "arguments": {**ARGUMENTS, **wrong}})
    keras_vae.save_to_folder(model, tmp_path)
    assert set(json.loads((tmp_path / "config.json").read_text())) == {"architecture"}
    same(keras_vae.load(tmp_path), model)


@pytest.mark.parametrize("way", ["keras file", "pickle", "deepcopy"])
def test_a_copy_of_a_model_knows_how_it_was_made(model, tmp_path, way):
    if way == "keras file":
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
    else:
        again = copy.deepcopy(model) if way == "deepcopy" else pickle.loads(pickle.dumps(model))
    keras_vae.save_to_folder(again, tmp_path / "mine")
    assert json.loads((tmp_path / "mine" / "config.json").read_text()) == model.made_by
    same(keras_vae.load(tmp_path / "mine"), model)


def test_a_model_that_diverged_is_not_saved(tmp_path):
    model = keras_vae.mlp_vae(**ARGUMENTS)
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    with pytest.raises(ValueError, match="diverged"):
        keras_vae.save_to_folder(model, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_what_was_trained_in_mixed_precision_is_shared_in_float32(logged_in, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = keras_vae.mlp_vae(**ARGUMENTS)
        keras_vae.save_to_folder(model, tmp_path)
        keras_vae.publish(model, "tester/mine")
        keras_vae.publish(tmp_path, "tester/other")
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")
    for source in (tmp_path, "hf://tester/mine", "hf://tester/other"):
        assert keras_vae.load(source).encoder.compute_dtype == "float32"


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_a_save_that_stops_leaves_the_earlier_model_or_one_that_load_refuses(
    model, tmp_path, monkeypatch, step
):
    keras_vae.save_to_folder(model, tmp_path)
    replace, steps = pathlib.Path.replace, []

    def replace_or_stop(*arguments):
        steps.append(arguments)
        if len(steps) > step:
            raise KeyboardInterrupt
        return replace(*arguments)

    other = keras_vae.mlp_vae(**{**ARGUMENTS, "activation": "relu"})
    monkeypatch.setattr(pathlib.Path, "replace", replace_or_stop)
    if step < 3:
        with pytest.raises(KeyboardInterrupt):
            keras_vae.save_to_folder(other, tmp_path)
        monkeypatch.undo()
    else:
        keras_vae.save_to_folder(other, tmp_path)
    if step in (1, 2):
        with pytest.raises(hub.WeightsError):
            keras_vae.load(tmp_path)
        keras_vae.save_to_folder(other, tmp_path)
    same(keras_vae.load(tmp_path), other if step else model)
    assert sorted(path.name for path in tmp_path.iterdir()) == OF_A_FOLDER


def test_a_save_that_fails_leaves_the_earlier_model(model, tmp_path, monkeypatch):
    keras_vae.save_to_folder(model, tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Model, "save_weights", full)
    with pytest.raises(OSError, match="No space left"):
        keras_vae.save_to_folder(keras_vae.mlp_vae(**ARGUMENTS), tmp_path)
    same(keras_vae.load(tmp_path), model)
    assert sorted(path.name for path in tmp_path.iterdir()) == OF_A_FOLDER


@pytest.mark.long
def test_two_lines_share_a_model_and_one_line_loads_it_in_another_process(
    model, logged_in, tmp_path
):
    commit = keras_vae.publish(model, "tester/mine")
    assert logged_in.repositories["tester/mine"].refs["main"] == commit
    np.save(tmp_path / "x.npy", X)
    code = (
        "import sys, numpy as np, keras_vae\n"
        'model = keras_vae.load("hf://tester/mine")\n'
        "x = np.load(sys.argv[1])\n"
        "np.savez(sys.argv[2], elbo=model.elbo(x, seed=1), again=model.reconstruct(x))"
    )
    command = [sys.executable, "-c", code, tmp_path / "x.npy", tmp_path / "got.npz"]
    variables = environment(logged_in, tmp_path / "another home")
    subprocess.run(command, env={**os.environ, **variables}, check=True)
    with np.load(tmp_path / "got.npz") as file:
        got = dict(file)
    np.testing.assert_allclose(got["elbo"], model.elbo(X, seed=1), rtol=1e-5)
    np.testing.assert_allclose(got["again"], model.reconstruct(X), atol=1e-6)


def test_publishing_is_one_commit_of_six_files_without_optimizer_state(model, logged_in, tmp_path):
    keras_vae.publish(model, "tester/mine", x=X)
    assert len(logged_in.repositories["tester/mine"].commits) == 2  # the first is the Hub's own
    assert len(logged_in.asked("POST /api/models/tester/mine/commit")) == 1
    published = newest(logged_in, "tester/mine")
    assert sorted(published) == FILES
    (tmp_path / "w.h5").write_bytes(published["model.weights.h5"])
    with h5py.File(tmp_path / "w.h5") as file:
        assert "optimizer" not in file
    assert published["samples.png"].startswith(b"\x89PNG")
    card = ModelCard(published["README.md"].decode())
    assert 'keras_vae.load("hf://tester/mine")' in card.text
    assert "](samples.png)" in card.text and "](explorer.html)" in card.text
    assert published["explorer.html"].startswith(b"<!doctype html>")


def test_a_model_of_signals_is_published_without_a_picture(logged_in):
    x = np.random.default_rng(0).random((4, 8, 2), dtype="float32")
    signals = keras_vae.conv_vae((8, 2), 3, (4,), hidden_units=(), norm="group", attention=True)
    keras_vae.publish(signals, "tester/signals", x=x)
    assert sorted(newest(logged_in, "tester/signals")) == ["README.md", *OF_A_FOLDER]
    again = keras_vae.load("hf://tester/signals")
    np.testing.assert_allclose(again.reconstruct(x), signals.reconstruct(x), atol=1e-6)


def test_publishing_the_same_folder_again_makes_no_second_commit(model, logged_in, tmp_path):
    keras_vae.save_to_folder(model, tmp_path)
    commits = {keras_vae.publish(tmp_path, "tester/mine") for _ in range(2)}
    assert len(commits) == 1
    assert len(logged_in.asked("POST /api/models/tester/mine/commit")) == 1


def test_a_published_name_is_uploaded_byte_for_byte_with_all_that_is_known(logged_in):
    keras_vae.publish("mlp-mnist", "keras-vae/mlp-mnist")
    entry = keras_vae.info("mlp-mnist")
    published = newest(logged_in, "keras-vae/mlp-mnist")
    path = registry.PRETRAINED / entry["file"]
    assert published["model.weights.h5"] == path.read_bytes()
    assert json.loads(published["config.json"]) == {
        "factory": entry["factory"],
        "arguments": entry["arguments"],
    }
    metadata = json.loads(published["metadata.json"])
    assert metadata["metrics"] == entry["metrics"] and metadata["sha256"] == entry["sha256"]
    assert "revision" not in metadata
    card = published["README.md"].decode()
    assert 'keras_vae.load("mlp-mnist")' in card and "hf://keras-vae/mlp-mnist" in card


def test_a_folder_is_published_as_it_is_and_its_readme_is_its_card(model, logged_in, tmp_path):
    keras_vae.save_to_folder(model, tmp_path)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# In my own words\n")
    (tmp_path / "diary.txt").write_text("not to be uploaded")
    keras_vae.publish(tmp_path, "tester/mine")
    published = newest(logged_in, "tester/mine")
    assert sorted(published) == FILES
    for name in ("README.md", *OF_A_FOLDER):
        assert published[name] == (tmp_path / name).read_bytes()


def test_what_does_not_load_is_not_uploaded(model, logged_in, tmp_path):
    keras_vae.save_to_folder(model, tmp_path / "mine")
    weights = tmp_path / "mine" / "model.weights.h5"
    content = bytearray(weights.read_bytes())
    content[-100] ^= 1
    weights.write_bytes(content)
    with pytest.raises(hub.WeightsError, match=f"{weights} has .*, sha256"):
        keras_vae.publish(tmp_path / "mine", "tester/mine")
    with pytest.raises(hub.UnknownModelError, match="mlp-mnits"):
        keras_vae.publish("mlp-mnits", "tester/mine")
    with pytest.raises(ValueError, match="is on the Hub"):
        keras_vae.publish("hf://tester/other", "tester/mine")
    assert logged_in.repositories == {} and logged_in.asked("POST") == []


@pytest.mark.parametrize(
    "name", ["mine", "a/b/c", "me/", "/mine", "me/my model", "me/a--b", "me/.a", "me/a.git", None]
)
def test_a_bad_repository_id_is_refused_before_anything_else(model, name):
    with pytest.raises(ValueError, match="NAMESPACE/NAME, as 'me/mine'. Received"):
        keras_vae.publish(model, name)


def test_without_a_token_it_says_how_to_log_in_and_asks_nothing(model, loopback):
    with pytest.raises(AccessError, match="hf auth login"):
        keras_vae.publish(model, "tester/mine")
    with pytest.raises(keras_vae.hub.UnknownModelError, match="Unknown model 'nosuch'"):
        keras_vae.publish("nosuch", "tester/mine")  # which logging in would not help
    assert loopback.requests == []


def test_a_token_that_is_given_is_the_one_that_is_sent(model, loopback):
    keras_vae.publish(model, "tester/mine", token=TOKEN)
    sent = {
        request.headers.get("authorization")
        for request in loopback.requests
        if request.place == "hub"
    }
    assert sent <= {f"Bearer {TOKEN}", None} and f"Bearer {TOKEN}" in sent


def test_a_wrong_token_and_a_strangers_namespace_are_told_apart(model, logged_in):
    with pytest.raises(AccessError, match="does not know your token"):
        keras_vae.publish(model, "tester/mine", token="hf_wrong")
    with pytest.raises(AccessError, match="may not write to stranger/mine.*hf auth who"):
        keras_vae.publish(model, "stranger/mine")
    assert logged_in.repositories == {}


@pytest.mark.parametrize(
    "request_, fault, kind, message",
    [
        ("repos/create", status(429), RateLimitError, "Too many requests"),
        ("repos/create", status(500), HubError, "status 500.*later"),
        ("repos/create", cut(0), OfflineError, "connection to http.* failed"),
        ("repos/create", page(), HubError, "is not the Hub"),
        ("validate-yaml", page(), HubError, "is not the Hub"),
        ("preupload", status(500), HubError, "status 500.*later"),
        ("objects/batch", status(403), AccessError, "may not write"),
        ("cdn PUT", status(403), AccessError, "may not write"),
        ("cdn PUT", status(500), HubError, "status 500.*later"),
        ("commit/main", status(403), AccessError, "may not write"),
        ("commit/main", status(404), AccessError, "hidden from your token"),
        ("commit/main", status(409), HubError, "at the same time"),
        ("commit/main", status(412), HubError, "at the same time"),
        ("commit/main", status(503), HubError, "status 503.*later"),
        ("commit/main", cut(0), OfflineError, "connection to http.* failed.*Publish again"),
    ],
)
def test_each_failure_says_what_to_do_and_publishing_again_works(
    logged_in, tmp_path, request_, fault, kind, message
):
    for name in FILES:
        (tmp_path / name).write_text(name)
    earlier = {"README.md": b"earlier"}
    logged_in.add("tester/mine", earlier)
    logged_in.fail(request_, fault)
    options = {"token": TOKEN, "private": False, "commit_message": "a test"}
    with pytest.raises(kind, match=f"(?s){message}"):
        upload(tmp_path, "tester/mine", **options)
    if request_ != "commit/main":  # there it may be the answer that was lost
        assert newest(logged_in, "tester/mine") == earlier
    logged_in.faults.clear()
    upload(tmp_path, "tester/mine", **options)
    assert newest(logged_in, "tester/mine") == {name: name.encode() for name in FILES}


def test_offline_is_said_to_be_offline(model, logged_in, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OfflineError, match="HF_HUB_OFFLINE is set"):
        keras_vae.publish(model, "tester/mine")
    assert logged_in.requests == []


def test_a_private_model_is_never_put_into_a_public_repository(model, logged_in):
    keras_vae.publish(model, "tester/mine", private=True)
    keras_vae.publish(model, "tester/mine", private=True, commit_message="again")
    assert logged_in.repositories["tester/mine"].private
    logged_in.add("tester/open", {"README.md": b""})
    with pytest.raises(HubError, match="exists already, and is public"):
        keras_vae.publish(model, "tester/open", private=True)
    assert newest(logged_in, "tester/open") == {"README.md": b""}


def test_a_model_that_generates_nothing_and_is_given_no_images_has_nothing_to_show(
    logged_in,
):
    arguments = {"input_shape": [6, 5, 1], "num_codes": 4, "code_dim": 2, "filters": [2]}
    model = keras_vae.vq_vae(**arguments, blocks=0)
    keras_vae.publish(model, "tester/mine")
    published = newest(logged_in, "tester/mine")
    for name in ("samples.png", "explorer.html"):
        assert name not in published and name.encode() not in published["README.md"]
    keras_vae.publish(model, "tester/mine", x=X)
    card = newest(logged_in, "tester/mine")["README.md"]
    assert b"](samples.png)" in card and b"](explorer.html)" in card
