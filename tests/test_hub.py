"""The registry, and loading: published weights prove themselves, damaged ones are refused."""

import json
import os
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import on_default_backend

import keras_vae
from keras_vae import hub, registry
from keras_vae.files import sha256
from keras_vae.hub.fingerprint import fingerprint

NAMES = sorted(keras_vae.registry.entries())
ENTRY = {
    "factory": str,
    "arguments": dict,
    "repository": str,
    "file": str,
    "bytes": int,
    "sha256": str,
    "parameters": int,
    "likelihood": str,
    "fingerprint": list,
    "data": dict,
    "licence": str,
    "metrics": dict,
    "tolerances": dict,
}


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the published models that a test may damage."""
    folder = tmp_path / "pretrained"
    shutil.copytree(registry.PRETRAINED, folder)
    monkeypatch.setattr(registry, "PRETRAINED", folder)
    yield folder


@pytest.fixture
def saved(tmp_path):
    arguments = {"input_shape": [6, 5, 1], "latent_dim": 3, "hidden_units": [8]}
    model = keras_vae.mlp_vae(**arguments)
    x = np.random.default_rng(0).integers(0, 256, (32, 6, 5, 1), dtype="uint8")
    model.fit(x, verbose=0)
    keras_vae.save_to_folder(model, tmp_path / "mine")
    return model, tmp_path / "mine", x


def test_the_three_models_of_the_first_release_are_there():
    assert {"mlp-mnist", "conv-mnist", "vq-mnist"} <= set(NAMES)
    assert keras_vae.list_models("conv-*") == [n for n in NAMES if n.startswith("conv-")]
    assert keras_vae.list_models("no-such-*") == []


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_says_what_its_file_is(name):
    entry = keras_vae.info(name)
    assert {key: type(entry[key]) for key in ENTRY} == ENTRY
    path = registry.PRETRAINED / entry["file"]
    assert path.stat().st_size == entry["bytes"] <= 8 * 2**20
    assert sha256(path) == entry["sha256"]
    assert set(entry["tolerances"]) <= set(entry["metrics"])


@pytest.mark.parametrize("name", NAMES)
def test_a_published_model_loads_compiled_with_its_fingerprint(name):
    model = keras_vae.load(name)
    entry = keras_vae.info(name)
    assert model.compiled and model.count_params() == entry["parameters"]
    np.testing.assert_allclose(fingerprint(model), entry["fingerprint"], rtol=1e-3, atol=1e-3)
    assert all(row["pass"] for row in keras_vae.verify(name, quick=True))


def test_changing_what_info_returns_changes_no_registry():
    keras_vae.info("conv-mnist")["arguments"]["latent_dim"] = 1
    assert keras_vae.info("conv-mnist")["arguments"]["latent_dim"] != 1


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(hub.UnknownModelError, match=r"Unknown model 'conv-mnits'.*'conv-mnist'\?"):
        keras_vae.load("conv-mnits")
    with pytest.raises(ValueError, match="Available"):
        keras_vae.info("../conv-mnist")


def test_one_changed_byte_is_refused_before_the_file_is_opened(copied, monkeypatch):
    path = copied / keras_vae.info("conv-mnist")["file"]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: pytest.fail("was opened"))
    with pytest.raises(hub.WeightsError, match="sha256"):
        keras_vae.load("conv-mnist")


def test_a_cut_or_missing_file_is_refused(copied):
    path = copied / keras_vae.info("conv-mnist")["file"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(hub.WeightsError, match="bytes, not"):
        keras_vae.load("conv-mnist")
    path.unlink()
    with pytest.raises(hub.WeightsError, match="missing"):
        keras_vae.load("conv-mnist")


def test_another_file_of_the_right_shapes_is_caught_by_the_fingerprint(copied):
    entry = keras_vae.info("conv-mnist")
    path = copied / entry["file"]
    hub.build(entry).save_weights(path)
    entries = json.loads((copied / "registry.json").read_text())
    entries["conv-mnist"].update(bytes=path.stat().st_size, sha256=sha256(path))
    (copied / "registry.json").write_text(json.dumps(entries))
    with pytest.raises(hub.WeightsError, match="outputs of 'conv-mnist' are not the published"):
        keras_vae.load("conv-mnist")


def test_the_fingerprint_changes_with_every_weight(factory, make):
    model = make(factory)
    before = np.array(fingerprint(model))
    # No output depends on the shares of the codes, which are training state, nor on what attention
    # adds to all keys.
    without = ("beta", "frequency", "key/bias")
    for weight in (w for w in model.weights if not w.path.endswith(without)):
        value = keras.ops.convert_to_numpy(weight)
        # Not one number for all, which group normalisation would take out of a bias.
        weight.assign(value + np.random.RandomState(0).uniform(0.2, 0.8, value.shape))
        assert np.abs(fingerprint(model) - before).max() > 1e-3, weight.path
        weight.assign(value)


def test_a_folder_gives_back_the_same_model(saved):
    model, folder, x = saved
    loaded = keras_vae.load(folder)
    np.testing.assert_allclose(loaded.reconstruct(x), model.reconstruct(x), atol=1e-6)
    np.testing.assert_allclose(loaded.elbo(x, seed=1), model.elbo(x, seed=1), rtol=1e-5)
    loaded.fit(x, verbose=0)


def test_the_weights_of_a_folder_hold_no_optimizer_state(saved):
    model, folder, _ = saved
    assert (folder / "model.weights.h5").stat().st_size < 8 * 4 * model.count_params() + 30_000
    import h5py

    with h5py.File(folder / "model.weights.h5") as file:
        assert "optimizer" not in file


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(hub.UnknownModelError, match="holds no model"):
        keras_vae.load(tmp_path)


def test_a_damaged_folder_is_refused(saved):
    _, folder, _ = saved
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text("not json")
    with pytest.raises(hub.WeightsError, match="cannot be read as JSON"):
        keras_vae.load(folder)
    (folder / "config.json").write_text(json.dumps({**config, "factory": "os.system"}))
    with pytest.raises(ValueError, match="Unknown factory 'os.system'"):
        keras_vae.load(folder)
    config["arguments"]["shell"] = "rm"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="does not take .shell."):
        keras_vae.load(folder)


SAME_ELSEWHERE = """
import sys, numpy as np, keras_vae
x = np.load(sys.argv[1])
numbers = {}
for name in keras_vae.registry.entries():
    model = keras_vae.load(name)
    numbers[f"{name} elbo"] = model.elbo(x, seed=0)
    numbers[f"{name} reconstruction"] = model.reconstruct(x)
np.savez(sys.argv[2], **numbers)
"""


@pytest.mark.parametrize("wrong", [None, 3, b"conv-mnist"])
def test_what_is_no_name_or_place_is_refused(wrong):
    for function in (hub.load, hub.download):
        with pytest.raises(ValueError, match="source must be a name, an address or a path"):
            function(wrong)


@on_default_backend  # it starts a process for each
@pytest.mark.long
def test_the_published_models_give_the_same_numbers_on_every_backend(tmp_path):
    """Of the suite on TensorFlow, all that are there; of another's, that one beside TensorFlow."""
    own = keras.backend.backend()
    others = [b for b in ("jax", "torch") if _installed(b) and own in ("tensorflow", b)]
    if not others:
        pytest.skip("needs a second backend, such as jax or torch")
    installed = ["tensorflow", *others]
    x = keras_vae.load("conv-mnist").generate(8, seed=0)
    np.save(tmp_path / "x.npy", x)
    results = {}
    for backend in installed:
        out = tmp_path / f"{backend}.npz"
        command = [sys.executable, "-c", SAME_ELSEWHERE, tmp_path / "x.npy", out]
        subprocess.run(command, env={**os.environ, "KERAS_BACKEND": backend}, check=True)
        with np.load(out) as file:
            results[backend] = dict(file)
    first = results[installed[0]]
    assert len(first) == 2 * len(NAMES)
    for backend in installed[1:]:
        for key in first:
            scale = np.abs(first[key]).max()
            np.testing.assert_allclose(
                results[backend][key], first[key], rtol=1e-3, atol=1e-3 * scale, err_msg=key
            )


def _installed(name):
    import importlib.util

    return importlib.util.find_spec(name) is not None


@pytest.mark.parametrize(
    ("factory", "arguments"),
    [
        ("mlp_vae", {"prior": {"name": "realnvp", "couplings": 2, "hidden_units": [4]}}),
        ("mlp_vae", {"prior": {"name": "mixture", "components": 3}}),
        ("mlp_vae", {"prior": {"name": "vamp", "components": 3}}),
        ("vq_vae", {"prior": {"name": "transformer", "width": 8, "blocks": 1}, "num_codes": 8}),
    ],
)
def test_the_fingerprint_changes_with_every_weight_of_a_prior(factory, arguments):
    model = keras_vae.FACTORIES[factory]((8, 8, 1), **arguments)
    rng = np.random.default_rng(0)
    for weight in model.latent.prior.trainable_weights:  # as trained: none is zero
        weight.assign(keras.ops.convert_to_numpy(weight) + 0.2 * rng.normal(size=weight.shape))
    before = np.array(fingerprint(model))
    assert len(before) == (10 if factory == "mlp_vae" else 12)  # a VQ model has a scale
    for weight in model.latent.prior.trainable_weights:
        value = keras.ops.convert_to_numpy(weight)
        if weight.path.endswith("key/bias"):
            continue  # adds the same to all of a query's scores: softmax takes it away
        weight.assign(value + 0.5 * rng.normal(size=value.shape))
        assert np.abs(fingerprint(model) - before).max() > 1e-4, weight.path
        weight.assign(value)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_model_loads_under_the_callers_policy_and_is_proven_in_float32(saved, policy):
    model, folder, x = saved
    keras.config.set_dtype_policy(policy)
    try:
        loaded = keras_vae.load(folder)
        assert loaded.encoder.compute_dtype == policy.removeprefix("mixed_")
        np.testing.assert_allclose(loaded.encode(x), model.encode(x), atol=0.05)
    finally:
        keras.config.set_dtype_policy("float32")
