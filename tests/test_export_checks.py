"""Export refuses what it cannot do, and files that do not compute what the model does."""

import dataclasses
import shutil

import keras
import numpy as np
import pytest
from runtimes import content, needs_tensorflow

import keras_vae
from keras_vae.exporting import FORMATS, formats


@pytest.fixture(scope="module")
def earlier(small, tmp_path_factory):
    """An earlier export of the model."""
    folder = tmp_path_factory.mktemp("exports") / "out"
    keras_vae.export(small, folder, "saved_model")  # the quickest
    return folder


@needs_tensorflow
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_weight_that_is_written_wrong_is_found_and_the_earlier_export_survives(
    small, earlier, format, part, tmp_path, monkeypatch
):
    shutil.copytree(earlier, tmp_path / "out")
    before = content(tmp_path / "out")
    form, weight = FORMATS[format], getattr(small, part).weights[0]

    def write_wrong(function, path):
        value = weight.numpy()
        weight.assign(value + 1e-3)
        form.write(function, path)
        weight.assign(value)

    wrong = dataclasses.replace(form, write=write_wrong)
    monkeypatch.setitem(FORMATS, format, wrong)
    with pytest.raises(ValueError, match=f"The exported {part} does not compute .* is allowed"):
        keras_vae.export(small, tmp_path / "out", format)
    assert content(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@needs_tensorflow
def test_a_file_that_its_runtime_cannot_read_is_refused_and_leaves_nothing(
    small, format, tmp_path, monkeypatch
):
    def write_damaged(function, path):
        path.write_bytes(b"damaged")

    wrong = dataclasses.replace(FORMATS[format], write=write_damaged)
    monkeypatch.setitem(FORMATS, format, wrong)
    with pytest.raises(ValueError, match=f"The encoder does not work as {format}: "):
        keras_vae.export(small, tmp_path / "out", format)
    assert list(tmp_path.iterdir()) == []


@needs_tensorflow
def test_outputs_of_another_kind_or_that_are_no_numbers_are_refused(small, tmp_path, monkeypatch):
    form = FORMATS["saved_model"]

    def refused(change, message):
        def read(path):
            run = form.read(path)
            return lambda **inputs: change(run(**inputs))

        monkeypatch.setitem(FORMATS, "saved_model", dataclasses.replace(form, read=read))
        with pytest.raises(ValueError, match=message):
            keras_vae.export(small, tmp_path / "out", "saved_model")

    refused(lambda outputs: {}, "does not return mean, ")
    refused(lambda outputs: {k: v[:1] for k, v in outputs.items()}, "does not return mean, ")
    refused(lambda outputs: {k: v.astype("float64") for k, v in outputs.items()}, "does not return")
    refused(lambda outputs: {k: v * np.nan for k, v in outputs.items()}, "differs by nan")


def test_an_unknown_format_gives_the_known_ones(small, tmp_path):
    with pytest.raises(ValueError, match="onnx, saved_model, tflite. Received: 'tflight'"):
        keras_vae.export(small, tmp_path / "out", "tflight")


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow exports")
def test_other_backends_say_which_one_exports(small, tmp_path):
    with pytest.raises(ValueError, match="needs KERAS_BACKEND=tensorflow"):
        keras_vae.export(small, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@needs_tensorflow
def test_missing_packages_are_named_with_the_command_that_installs_them(
    small, tmp_path, monkeypatch
):
    monkeypatch.setattr(formats, "_is_installed", lambda module: module == "onnx")
    rule = r"needs onnxruntime and tf2onnx, .* pip install 'keras-vae\[export\]'"
    with pytest.raises(ValueError, match=rule):
        keras_vae.export(small, tmp_path / "out", "onnx")


@needs_tensorflow
def test_a_model_that_is_not_built_or_not_in_float32_is_refused(make, tmp_path):
    networks = [keras.Sequential([keras.layers.Dense(4)]) for _ in range(2)]
    with pytest.raises(ValueError, match="not built"):
        keras_vae.export(keras_vae.VAE(*networks), tmp_path / "out", "saved_model")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make("mlp_vae")
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match="float32: .* Received: bfloat16"):
        keras_vae.export(model, tmp_path / "out", "saved_model")
