"""The commands that work on TFRecord files: pack, and train, evaluate and encode from them."""

import json

import numpy as np
import pytest
from PIL import Image
from test_cli import refused, run

import keras_vae
from keras_vae import data
from keras_vae.training import trained_on
from keras_vae.training.checkpoints import Checkpoints

SMALL = ["--factory", "mlp_vae", "--set", "hidden_units=[4]", "--latent-dim", 2]


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Thirty pictures of several sizes, and a file that is none, in the current folder."""
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    for key in range(30):
        pixels = rng.integers(0, 256, (*rng.integers(9, 20, 2), 3), dtype="uint8")
        place = "pictures/more" if key % 3 else "pictures"
        Image.fromarray(pixels).save(f"{place}/{key}.png")
    (tmp_path / "pictures" / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.fixture
def shards(pictures):
    result = run("pack", "--images", "pictures", "--size", 8, "--out", "shards")
    assert result.exit_code == 0, result.output
    return pictures / "shards"


def test_pictures_are_packed_as_train_reads_them(pictures, shards):
    x, left = data.pictures.read_folder(pictures / "pictures", (8, 8))
    packed = data.read_shards(shards)[:]
    assert len(left) == 1 and packed.shape == (30, 8, 8, 3)
    assert sorted(map(bytes, packed)) == sorted(map(bytes, x))
    assert not np.array_equal(packed, x)  # they are shuffled


def test_pack_says_what_it_wrote_and_what_it_left_out(pictures):
    result = run("pack", "--images", "pictures", "--out", "shards", "--size", "8x9")
    assert "notes.txt is not a picture" in result.stderr
    assert f"Wrote 1 file, 0.0 MB, to {pictures / 'shards'}; 1 left out." in result.stdout
    assert data.read_shards("shards").shape == (30, 8, 9, 3)
    again = refused(run("pack", "--images", "pictures", "--out", "shards"))
    assert "shards holds images already" in again
    (pictures / "empty").mkdir()
    told = refused(run("pack", "--images", "empty", "--out", "other"))
    assert "empty holds no pictures" in told and not (pictures / "other").exists()


def test_a_model_is_trained_and_measured_from_shards(shards):
    result = run("train", "--data", "shards", "--out", "mine", "--epochs", 2, *SMALL)
    assert result.exit_code == 0, result.output
    assert "5 held-out images: reconstructed at" in result.stdout
    parts = data.load("shards")
    known = trained_on("mine/run")
    assert known(parts.x_train[:]).all() and not known(parts.x_validation[:]).any()
    measured = json.loads(run("evaluate", "mine", "--images", "shards", "--json").stdout)
    assert measured["measured"] == "5 images that it was not trained on"
    expected = keras_vae.evaluate(keras_vae.load("mine"), parts.x_validation)
    assert measured["mse"] == pytest.approx(expected["mse"], rel=1e-5)
    assert run("encode", "mine", "--images", "shards", "--out", "codes.npy").exit_code == 0
    codes = keras_vae.load("mine").encode(data.read_shards("shards"))
    np.testing.assert_allclose(np.load("codes.npy"), codes, rtol=1e-5, atol=1e-6)


def test_what_shards_cannot_do_is_refused(shards):
    command = ["train", "--data", "shards", "--out", "mine", *SMALL]
    assert "shifts and flips make variants of images in memory" in refused(run(*command, "--flips"))
    assert run(*command, "--size", 8).exit_code == 2
    path = next(shards.glob("*.tfrecord-*"))
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)
    assert f"{path.relative_to(shards.parent)} is damaged: record 29" in refused(run(*command))


def test_a_run_on_shards_that_is_interrupted_in_its_first_epoch_leaves_a_model(shards, monkeypatch):
    command = ["train", "--data", "shards", "--out", "mine", "--epochs", 1, *SMALL]
    begin = Checkpoints.on_train_batch_begin

    def save_and_stop(self, batch, logs=None):
        self.save_minutes = 0
        begin(self, batch, logs)
        if batch == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "on_train_batch_begin", save_and_stop)
    stopped = run(*command, "--batch-size", 4)
    assert stopped.exit_code == 130, stopped.output
    assert "Saved the model as it is in its first epoch." in stopped.stdout
    assert f"Step 3 of epoch 1 is kept in {shards.parent / 'mine' / 'run'}" in stopped.stderr
    assert keras_vae.load("mine").data_shape == (8, 8, 3)
    monkeypatch.undo()
    monkeypatch.chdir(shards.parent)
    resumed = run(*command, "--batch-size", 4)
    assert resumed.exit_code == 0 and "Saved the model of epoch 1 of 1" in resumed.stdout
