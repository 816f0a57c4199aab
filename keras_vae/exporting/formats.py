"""The formats: how a graph is written in each, and read back by the format's own runtime."""

import dataclasses
import importlib.util
import tempfile
from collections.abc import Callable
from importlib.metadata import version

from keras_vae.files import write_bytes

OPSET = 17  # of ONNX: onnxruntime has it since 1.12


@dataclasses.dataclass(frozen=True)
class Format:
    """A format.

    Args:
        suffix: what its files' names end in; a folder's end in nothing.
        packages: `{module: package}` that it needs besides ours.
        runtime: name of the package that reads it.
        write: a function of a `tf.function` and a path.
        read: a function of a path that returns a function: named arrays to a dict of arrays.
    """

    suffix: str
    packages: dict[str, str]
    runtime: str
    write: Callable
    read: Callable

    def check(self):
        """Refuses to go on without the packages."""
        missing = [p for module, p in self.packages.items() if not _is_installed(module)]
        if missing:
            raise ValueError(
                f"This format needs {' and '.join(missing)}, not installed here: "
                "pip install 'keras-vae[export]'"
            )

    def versions(self) -> dict[str, str]:
        """The versions of what writes and reads it."""
        packages = {"keras", "tensorflow", *self.packages.values()}
        return {package: version(package) for package in sorted(packages)}


def traced(graph):
    """A graph as a `tf.function` of its input, the number of examples left open."""
    import tensorflow as tf

    spec = tf.TensorSpec((None, *graph.shape), graph.dtype, name=graph.input)
    return tf.function(graph.function, input_signature=[spec], autograph=False)


def _write_onnx(function, path):
    import tf2onnx

    signature = function.input_signature
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"  # for a name that means nothing
    write_bytes(path, proto.SerializeToString())


def _read_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda **inputs: dict(zip(names, session.run(names, inputs)))


def _write_saved_model(function, path):
    import tensorflow as tf

    module, signature = tf.Module(), function.get_concrete_function()
    module.held = list(signature.variables)  # those the graph uses, and no others
    tf.saved_model.save(module, str(path), signatures=signature)


def _read_saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def run(**inputs):
        tensors = {name: tf.constant(x) for name, x in inputs.items()}
        outputs = loaded.signatures["serving_default"](**tensors)
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def _write_tflite(function, path):
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        _write_saved_model(function, folder)
        write_bytes(path, tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def _read_tflite(path):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_path=str(path)).get_signature_runner()


def _is_installed(module):
    return importlib.util.find_spec(module) is not None


FORMATS = {
    "onnx": Format(
        ".onnx",
        {"onnx": "onnx", "onnxruntime": "onnxruntime", "tf2onnx": "tf2onnx"},
        "onnxruntime",
        _write_onnx,
        _read_onnx,
    ),
    "saved_model": Format("", {}, "tensorflow", _write_saved_model, _read_saved_model),
    "tflite": Format(
        ".tflite",
        {"ai_edge_litert": "ai-edge-litert"},
        "ai-edge-litert",
        _write_tflite,
        _read_tflite,
    ),
}
