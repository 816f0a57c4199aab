"""The formats: how each one writes a graph, and how its own runtime reads it back."""

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
        suffix: end of the names of its files; empty for a folder.
        packages: `{module: package}` that it needs besides ours.
        runtime: name of the package that reads it.
        write: a function of a `tf.function` and a path.
        read: a function of a path. It returns a function from named arrays to a dict of arrays.
        call: a function of a file's name, the name of the input and those of the outputs. It
            returns lines of Python that run the graph as a user would.
    """

    suffix: str
    packages: dict[str, str]
    runtime: str
    write: Callable
    read: Callable
    call: Callable

    def check(self):
        """Raises ValueError if packages are missing."""
        missing = [p for module, p in self.packages.items() if not _is_installed(module)]
        if missing:
            raise ValueError(
                f"This format needs {' and '.join(missing)}, not installed here: "
                "pip install 'keras-vae[export]'"
            )

    def versions(self) -> dict[str, str]:
        """The versions of the packages that write and read it."""
        packages = {"keras", "tensorflow", *self.packages.values()}
        return {package: version(package) for package in sorted(packages)}


def trace(graph):
    """Converts a graph to a `tf.function` of its input, for any number of examples."""
    import tensorflow as tf

    spec = tf.TensorSpec((None, *graph.shape), graph.dtype, name=graph.input)
    return tf.function(graph.function, input_signature=[spec], autograph=False)


def _write_onnx(function, path):
    import tf2onnx

    signature = function.input_signature
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    names = _output_names(function)
    proto.graph.output.sort(key=lambda output: names.index(output.name))
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "n"  # in place of a meaningless name
    write_bytes(path, proto.SerializeToString())


def _read_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda **inputs: dict(zip(names, session.run(names, inputs)))


def _call_onnx(file, input, outputs):
    return [
        "import onnxruntime",
        f'session = onnxruntime.InferenceSession("{file}")',
        f'{", ".join(outputs)}, = session.run(None, {{"{input}": {input}}})',
    ]


def _write_saved_model(function, path):
    import tensorflow as tf

    module, signature = tf.Module(), function.get_concrete_function()
    module.variables_of_graph = list(signature.variables)  # and no others
    tf.saved_model.save(module, str(path), signatures=signature)


def _read_saved_model(path):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def run(**inputs):
        tensors = {name: tf.constant(x) for name, x in inputs.items()}
        outputs = loaded.signatures["serving_default"](**tensors)
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def _call_saved_model(file, input, outputs):
    return [
        "import tensorflow as tf",
        f'graph = tf.saved_model.load("{file}")',
        f'outputs = graph.signatures["serving_default"]({input}=tf.constant({input}))',
        *(f'{name} = outputs["{name}"].numpy()' for name in outputs),
    ]


def _write_tflite(function, path):
    import tensorflow as tf
    from tensorflow.lite.tools import flatbuffer_utils

    with tempfile.TemporaryDirectory() as folder:
        _write_saved_model(function, folder)
        content = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    places = {output.name.decode(): output.tensorIndex for output in model.signatureDefs[0].outputs}
    model.subgraphs[0].outputs = [places[name] for name in _output_names(function)]
    write_bytes(path, bytes(flatbuffer_utils.convert_object_to_bytearray(model)))


def _read_tflite(path):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_path=str(path)).get_signature_runner()


def _call_tflite(file, input, outputs):
    return [
        "from ai_edge_litert.interpreter import Interpreter",
        f'graph = Interpreter("{file}")',
        f"outputs = graph.get_signature_runner()({input}={input})",
        *(f'{name} = outputs["{name}"]' for name in outputs),
    ]


def _output_names(function):
    """Names of a traced graph's outputs in their order, which the converters do not keep."""
    return list(function.get_concrete_function().structured_outputs)


def _is_installed(module):
    return importlib.util.find_spec(module) is not None


FORMATS = {
    "onnx": Format(
        ".onnx",
        {"onnx": "onnx", "onnxruntime": "onnxruntime", "tf2onnx": "tf2onnx"},
        "onnxruntime",
        _write_onnx,
        _read_onnx,
        _call_onnx,
    ),
    "saved_model": Format(
        "", {}, "tensorflow", _write_saved_model, _read_saved_model, _call_saved_model
    ),
    "tflite": Format(
        ".tflite",
        {"ai_edge_litert": "ai-edge-litert"},
        "ai-edge-litert",
        _write_tflite,
        _read_tflite,
        _call_tflite,
    ),
}
