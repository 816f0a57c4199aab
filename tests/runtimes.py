"""Runtimes that run exported graphs, as a user of each format would; fixtures of exports."""

import json

import keras
import pytest

from keras_vae.exporting import FORMATS

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="export needs the TensorFlow backend"
)


def run_onnx(path, **inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs)))


def run_saved_model(path, **inputs):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    outputs = loaded.signatures["serving_default"](**inputs)
    return {name: value.numpy() for name, value in outputs.items()}


def run_tflite(path, **inputs):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(path).get_signature_runner()(**inputs)


RUN = {"onnx": run_onnx, "saved_model": run_saved_model, "tflite": run_tflite}


def run_onnx_by_position(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: x})


def run_tflite_by_position(path, x):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path)
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, x)
    interpreter.invoke()
    return [interpreter.get_tensor(of["index"]) for of in interpreter.get_output_details()]


def runner(folder):
    """A function of a graph's name and its inputs that runs an export as its metadata says."""
    metadata = json.loads((folder / "metadata.json").read_text())

    def run(name, **inputs):
        path = str(folder / metadata["graphs"][name]["file"])
        return RUN[metadata["format"]](path, **inputs)

    return run


@pytest.fixture(params=sorted(FORMATS))
def format(request):
    """The name of each format whose packages are here."""
    for module in FORMATS[request.param].packages:
        pytest.importorskip(module)
    return request.param


@pytest.fixture(scope="module")
def small(make):
    """A model of two layers, as quick to export as there is."""
    return make("mlp_vae", (2, 2, 1), latent_dim=2, hidden_units=())


def content(folder):
    """The files of a folder: `{name: bytes}`."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
