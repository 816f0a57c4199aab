"""export: writes a model's graphs, reads them back, and keeps them only if they agree."""

import os
import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_vae import hub
from keras_vae.exporting import metadata
from keras_vae.exporting.formats import FORMATS, trace
from keras_vae.exporting.graphs import NAMES, example_inputs, graphs_of
from keras_vae.files import read_json
from keras_vae.hub.folder import METADATA
from keras_vae.model import VAE
from keras_vae.precision import in_float32

TOLERANCE = 1e-4  # of the largest number of an output, or of 1 if all are smaller
CODES_TOLERANCE = 1e-3  # share of codes that may differ: two may be equally near but for rounding


def export(model, folder, format: str = "onnx", *, input_shape=None) -> dict:
    """Exports a model as deterministic graphs, for runtimes that need neither Keras nor keras_vae.

    `encoder` takes `data`, float32 `(n, *data_shape)`, to what the `summary` of the model's latent
    returns: `mean` and `log_var` of a Gaussian latent, `codes` where codes are integers, `z`
    otherwise. `decoder` takes `z`, or `codes`, to `image`, the mean of p(x|z). `generator` takes
    `noise`, standard normal `(n, latent_dim)`, through the prior to `image`. There is no generator
    if the prior cannot be sampled by transforming such noise, as with mixtures, VampPrior and
    priors over codes.
    Graphs take any number n of examples, in every format. Their outputs come in the order that
    `metadata.json` lists; a SavedModel gives them by name.
    Each file is read back by the format's own runtime and compared with the model on two batches
    before anything is put in place.

    Args:
        model: a model, or what `load` takes.
        folder: the folder to write, whose parent must exist. An earlier export there is replaced
            once the new one has passed.
        format: `"onnx"` (default), `"saved_model"` or `"tflite"`.
        input_shape: as for `load`, if the model is loaded here. Defaults to None.

    Returns:
        What `metadata.json` says: the graphs with their inputs and outputs, how data is prepared,
        and an example of inputs and outputs to test another runtime with.

    Raises:
        ValueError: if the format is unknown, its packages are missing, the backend is not
            TensorFlow, the model is not built, takes data of any size or does not compute in
            float32, the folder holds other things, or the files do not compute what the model does.
        FileNotFoundError: if the folder's parent does not exist.

    Example:

    >>> keras_vae.export("conv-mnist", "conv-mnist-onnx", format="onnx")
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}. Received: {format!r}")
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Export needs KERAS_BACKEND=tensorflow, which loads the same weights: save the model "
            f"with save_to_folder and export it there. Received: {keras.backend.backend()}"
        )
    FORMATS[format].check()
    folder = Path(folder).absolute()
    _check_folder(folder)
    name = model.name if isinstance(model, VAE) else metadata.model_name(model)
    if not isinstance(model, VAE):
        with in_float32():
            model = hub.load(model, input_shape=input_shape, compile=False)
    _check_model(model)
    with tempfile.TemporaryDirectory(prefix=".exporting-", dir=folder.parent) as staged:
        staged = Path(staged) / "export"
        staged.mkdir()
        said = {"model": name, **metadata.describe(model, format)}
        said |= _write_graphs(model, format, staged)
        metadata.write(staged / METADATA, said)
        replace_folder(staged, folder)
    return said


def _write_graphs(model, format, folder):
    """Writes the graphs and tests them; returns what the metadata says about them."""
    form, descriptions, examples, worst = FORMATS[format], {}, {}, 0.0
    batches = [example_inputs(model, seed=0, n=2), example_inputs(model, seed=1, n=5)]
    for name, graph in graphs_of(model).items():
        path = folder / f"{name}{form.suffix}"
        try:
            form.write(trace(graph), path)
            run = form.read(path)
            received = [run(**{graph.input: batch[name]}) for batch in batches]
        except Exception as error:  # the converters and runtimes have errors of many classes
            raise ValueError(f"The {name} does not work as {format}: {error}") from error
        for batch, got in zip(batches, received):
            expected = graph(batch[name])
            worst = max(worst, _difference(expected, got, name))
        descriptions[name] = metadata.describe_graph(
            model, format, path, graph.input, batch[name], expected
        )
        first = batches[0][name][:1]
        examples[name] = metadata.describe_example(graph.input, first, graph(first))
    return {
        "graphs": descriptions,
        "self_test": {
            "layout": "one example; its numbers flattened in row-major (C) order",
            "largest_difference": worst,
            **examples,
        },
    }


def _difference(expected, got, name):
    """The largest difference of two dicts of outputs; ValueError if it is too large."""
    worst = 0.0
    for key, value in expected.items():
        other = got.get(key)
        if other is None or other.shape != value.shape or other.dtype != value.dtype:
            spec = metadata.tensor_spec(value)
            raise ValueError(f"The exported {name} does not return {key}, {spec}.")
        if value.dtype.kind == "i":
            difference, allowed = float(np.mean(other != value)), CODES_TOLERANCE
        else:
            difference = float(np.max(np.abs(other - value)))
            allowed = TOLERANCE * max(1.0, float(np.max(np.abs(value))))
        if not difference <= allowed:  # NaN is refused too
            raise ValueError(
                f"The exported {name} does not compute what the model does: its {key} differs by "
                f"{difference:.3g} where {allowed:.3g} is allowed. Nothing was exported."
            )
        worst = max(worst, difference)
    return worst


def replace_folder(staged, folder):
    """Puts a folder in the place of an earlier one, or of none, on the same file system.

    If that fails the earlier one is put back.
    """
    staged, folder = Path(staged), Path(folder)
    earlier = staged.with_name(f"earlier-{staged.name}")
    if folder.exists():
        folder.replace(earlier)
    try:
        staged.replace(folder)
    finally:
        if earlier.exists() and not folder.exists():
            earlier.replace(folder)
    if earlier.exists():
        shutil.rmtree(earlier)


def _check_folder(folder):
    """Raises ValueError if a folder holds more than an export; its parent must exist."""
    if not folder.parent.is_dir():
        raise FileNotFoundError(f"No such folder: {folder.parent}. Make it first.")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ValueError(f"{folder} must be a folder, or not there.")
    found = set(os.listdir(folder)) if folder.exists() else set()
    if METADATA in found:
        earlier = FORMATS.get(str(read_json(folder / METADATA).get("format")))
        if earlier:
            found -= {METADATA, *(f"{name}{earlier.suffix}" for name in NAMES)}
    if found:
        raise ValueError(
            f"{folder} must be an earlier export, empty or not there, as it is replaced as a "
            f"whole. It holds: {', '.join(sorted(found)[:5])}"
        )


def _check_model(model):
    model.check_built()
    if None in model.data_shape:
        raise ValueError(
            "Export takes a model of one size, and this one takes data of any size: load it with "
            "input_shape=(256, 256, 3), for example, or use the command's --size. "
            f"Received: {model.data_shape}"
        )
    computes_in = {model.encoder.compute_dtype, model.decoder.compute_dtype}
    if computes_in != {"float32"}:
        raise ValueError(
            "Export takes a model that computes in float32: save it with save_to_folder and load "
            f"it under that policy. Received: {', '.join(sorted(computes_in))}"
        )
