"""A model's folder, here or on the Hub: what a stranger wrote is read with care."""

import json
import pathlib

import keras
import loopback_hub
import numpy as np
import pytest

import keras_vae
from keras_vae.hub import WeightsError
from keras_vae.layouts import LARGEST_JSON

loopback, files, served = loopback_hub.loopback, loopback_hub.files, loopback_hub.served
MINE = "hf://me/mine"
X = np.random.default_rng(0).random((4, 8, 8, 1), dtype="float32")


BAD_METADATA = [
    *(("bytes", value) for value in (None, "9", 9.0, -1, 0, True, [9])),
    *(("sha256", value) for value in (None, 9, "", "0" * 63, "g" * 64, "A" * 64, ["0" * 64])),
    *(("fingerprint", value) for value in (None, 0.5, [], [0.5] * 7, [0.5] * 9, {"0": 0.5})),
    *(("fingerprint", [0.5] * 7 + [last]) for last in (None, "0.5", True, [0.5], 10**400)),
    *(("fingerprint", [0.5] * 7 + [float(last)]) for last in ("nan", "inf", "-inf")),
]


@pytest.mark.parametrize(("key", "value"), BAD_METADATA)
def test_metadata_that_proves_nothing_is_refused(loopback, files, tmp_path, key, value):
    changed = json.loads(files["metadata.json"]) | {key: value}
    if value is None:
        del changed[key]
    files = {**files, "metadata.json": json.dumps(changed).encode()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"metadata.json: '{key}' must be"):
        keras_vae.load(tmp_path)
    loopback.add("me/mine", files)
    with pytest.raises(WeightsError, match=f"metadata.json: '{key}' must be"):
        keras_vae.load(MINE)
    assert not loopback.asked("weights")


@pytest.mark.parametrize("file", ("config.json", "metadata.json"))
@pytest.mark.parametrize(
    "content", (b"", b"[]", b"{", b"\xff", b"<html>", b"[" * 100_000, b"1" * 9_999)
)
def test_json_of_a_stranger_is_read_with_care(loopback, files, file, content):
    loopback.add("me/mine", {**files, file: content})
    with pytest.raises(WeightsError, match=rf"{file} (cannot be read|must hold a JSON)"):
        keras_vae.load(MINE)


@pytest.mark.parametrize("config", ({}, {"factory": 3}, {"factory": "mlp_vae", "arguments": [1]}))
def test_a_config_without_factory_and_arguments_is_refused(loopback, files, config):
    loopback.add("me/mine", {**files, "config.json": json.dumps(config).encode()})
    with pytest.raises(ValueError, match="Unknown factory|arguments must be a dict"):
        keras_vae.load(MINE)


def test_a_folder_with_too_large_a_config_is_refused(tmp_path, files):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "config.json").write_bytes(b" " * (LARGEST_JSON + 1))
    with pytest.raises(WeightsError, match="has more than the"):
        keras_vae.load(tmp_path)


@keras.saving.register_keras_serializable("tests")
class Halved(keras_vae.VAE):
    def compute_loss(self, *args, **kwargs):
        return 0.5 * super().compute_loss(*args, **kwargs)


def test_a_class_of_ones_own_is_refused_and_not_saved_as_a_plain_vae(make, tmp_path):
    plain = make("mlp_vae")
    model = Halved(plain.encoder, plain.decoder)
    with pytest.raises(ValueError, match="Halved is a class of your own.*model.save"):
        keras_vae.save_to_folder(model, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    model.save(tmp_path / "model.keras")
    assert type(keras.saving.load_model(tmp_path / "model.keras")) is Halved


@pytest.mark.parametrize("moves", range(3))
def test_an_interrupt_between_the_files_of_a_model_leaves_the_one_before(
    make, tmp_path, monkeypatch, moves
):
    keras_vae.save_to_folder(make("mlp_vae"), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    left, move = [moves], pathlib.Path.replace

    def replace(path, target):
        left[0] -= 1
        if left[0] == -1:
            raise KeyboardInterrupt
        return move(path, target)

    monkeypatch.setattr(pathlib.Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        keras_vae.save_to_folder(make("mlp_vae", latent_dim=3), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.undo()
    keras_vae.load(tmp_path)


def test_an_interrupt_in_a_new_folder_leaves_no_part_of_a_model(make, tmp_path, monkeypatch):
    move = pathlib.Path.replace

    def replace(path, target):
        if target.name == "metadata.json":
            raise KeyboardInterrupt
        return move(path, target)

    monkeypatch.setattr(pathlib.Path, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        keras_vae.save_to_folder(make("mlp_vae"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_config_of_another_library_is_not_replaced(make, tmp_path):
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    with pytest.raises(ValueError, match="was not written by keras_vae"):
        keras_vae.save_to_folder(make("mlp_vae"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    # What a process left that was killed before it wrote the metadata.
    (tmp_path / "config.json").write_text('{"factory": "mlp_vae", "arguments": {}}')
    keras_vae.save_to_folder(make("mlp_vae"), tmp_path)
    keras_vae.load(tmp_path)


@pytest.mark.usefixtures("eager")
def test_weights_in_float16_are_half_as_large_and_what_keras_reads(tmp_path):
    model = keras_vae.vq_vae((8, 8, 1), 16, 64, (64,), seed=0)
    for name, float16 in (("whole", False), ("half", True)):
        keras_vae.save_to_folder(model, tmp_path / name, float16=float16)
    whole, half = (tmp_path / name / "model.weights.h5" for name in ("whole", "half"))
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    loaded = keras_vae.load(tmp_path / "half")
    rounded = [weight.astype("float16") for weight in model.get_weights()]
    for got, expected, weight in zip(loaded.get_weights(), rounded, loaded.weights):
        assert "16" not in str(weight.dtype)
        np.testing.assert_array_equal(got, expected)
    again = keras_vae.vq_vae((8, 8, 1), 16, 64, (64,), seed=1)
    again.load_weights(half)
    np.testing.assert_array_equal(again.encode(X), loaded.encode(X))
    told = json.loads((tmp_path / "half" / "metadata.json").read_text())
    assert told["rounded_to"] == "float16"


def test_weights_beyond_float16_are_refused_before_anything_is_written(tmp_path):
    model = keras_vae.mlp_vae((8, 8, 1), 2, (4,), seed=0)
    weights = model.get_weights()
    weights[0][0, 0] = 7e4
    model.set_weights(weights)
    keras_vae.save_to_folder(model, tmp_path / "model")
    before = (tmp_path / "model" / "model.weights.h5").read_bytes()
    with pytest.raises(ValueError, match="holds numbers that float16 does not"):
        keras_vae.save_to_folder(model, tmp_path / "model", float16=True)
    assert (tmp_path / "model" / "model.weights.h5").read_bytes() == before
    with pytest.raises(ValueError, match="float16 must be True or False"):
        keras_vae.save_to_folder(model, tmp_path / "model", float16="half")


def test_saving_does_not_change_the_initial_weights_of_the_models_made_next(make, tmp_path):
    model = make("mlp_vae")

    def next_weights(call):
        keras.utils.set_random_seed(5)
        call()
        return make("mlp_vae").get_weights()

    expected = next_weights(lambda: None)
    saved = next_weights(lambda: keras_vae.save_to_folder(model, tmp_path))
    for ours, theirs in zip(saved, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
