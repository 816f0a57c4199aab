"""The command `keras-vae export`."""

import json

import numpy as np
import pytest
from runtimes import needs_tensorflow, runner
from typer.testing import CliRunner

import keras_vae
from keras_vae import cli


@pytest.fixture
def folder(tmp_path):
    keras_vae.save_to_folder(keras_vae.mlp_vae((4, 4, 1), 2, ()), tmp_path / "small")
    return tmp_path / "small"


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@needs_tensorflow
def test_the_command_exports_a_folders_model_and_says_where(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("export", folder, "--format", "saved_model")
    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()
    assert first.startswith("Read back by tensorflow: largest difference ")
    out = tmp_path / "small-saved_model"
    assert second == f"Wrote {out}: encoder, decoder, generator, metadata.json"
    assert json.loads((out / "metadata.json").read_text())["model"] == "small"
    noise = np.random.default_rng(1).standard_normal((2, 2), dtype="float32")
    expected = keras_vae.load(folder).generate(2, seed=1)
    image = runner(out)("generator", noise=noise)["image"]
    np.testing.assert_allclose(image, expected, atol=1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--format", "pickle"], "Must be one of onnx, saved_model, tflite."),
        (["--out", "a.onnx"], "--out is a folder, in which the files go. Got: a.onnx"),
        (["--format", "saved_model", "--out", "none/out"], "none. Make it first."),
    ],
)
@needs_tensorflow
def test_a_wrong_option_is_refused_before_anything_is_written(
    folder, tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    result = run("export", folder, *options)
    assert result.exit_code > 0 and message in " ".join(result.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


@needs_tensorflow
def test_an_unknown_model_is_refused_by_its_name(tmp_path):
    result = run("export", "conv-mnits", "--format", "saved_model", "--out", tmp_path / "out")
    assert result.exit_code == 1 and "Unknown model 'conv-mnits'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_without_a_model_is_wrong_usage():
    result = run("export")
    assert result.exit_code == 2 and "Usage: " in result.stderr
