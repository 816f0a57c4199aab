"""What the metadata.json of an export says of its model, its format and its graphs."""

import importlib.metadata
import json
import math
import os
import re
from pathlib import Path

from keras_vae import hub, likelihoods
from keras_vae.exporting.formats import FORMATS, OPSET
from keras_vae.exporting.graphs import graphs_of
from keras_vae.files import write_bytes

_FLOATS = {
    "binary": "in [0, 1]",
    "levels": "in [0, 1], as multiples of 1/{highest}",
    "counts": "of whole numbers from 0",
    "reals": "is taken as it is",
}


def describe(model, format: str) -> dict:
    """What must be known about the model and the format before a graph is run."""
    latent, likelihood = model.latent, model.likelihood
    prior = latent.prior_name
    scale = likelihood.uint8_scale
    description = {
        "keras_vae": _own_version(),
        "format": format,
        **({"opset": OPSET} if format == "onnx" else {}),
        "versions": FORMATS[format].versions(),
        "data_shape": list(model.data_shape),
        "preprocessing": f"uint8 {f'is divided by {scale:g}' if scale != 1 else 'is cast'}; "
        f"float32 {_floats(likelihood)}; nothing is binarised for encoding",
        "likelihood": likelihoods.name_of(likelihood),
        "prior": prior,
    }
    if latent.code_spec.num_codes:
        description["num_codes"] = latent.code_spec.num_codes
    if not latent.generates:
        description["no_generator"] = latent.no_prior
    elif "generator" not in graphs_of(model):
        name = f"The prior ({prior})" if prior else "The prior"
        description["no_generator"] = (
            f"{name} cannot be sampled by transforming standard normal noise: draw from it with "
            "keras_vae, then use the decoder."
        )
    return description


def describe_graph(model, format, path, input, x, outputs) -> dict:
    """A graph's file, inputs and outputs, in their order; n stands for any number of examples."""
    known = _meanings(model)
    return {
        "file": path.name,
        "inputs": {input: tensor_spec(x)},
        "outputs": {name: tensor_spec(value) for name, value in outputs.items()},
        "meaning": {name: known[name] for name in (input, *outputs) if name in known},
        "call": FORMATS[format].call(path.name, input, list(outputs)),
    }


def write(path, said):
    """Writes what is said so that people can read it: short lists and the self-test in a line."""
    test = said["self_test"]
    text = json.dumps({**said, "self_test": None}, indent=2)
    text = re.sub(r"\[\s+([^][{}]{1,70}?)\s+\]", _in_a_line, text)
    lines = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in test.items())
    write_bytes(path, text.replace('"self_test": null', f'"self_test": {{\n{lines}\n  }}').encode())


def describe_example(input, x, outputs) -> dict:
    """An input of one example and its outputs, flat, with no more digits than float32 needs."""
    return {
        "inputs": {input: _plain(x)},
        "outputs": {name: _plain(value) for name, value in outputs.items()},
    }


def tensor_spec(value) -> dict:
    """Shape and dtype of a batch."""
    return {"shape": ["n", *value.shape[1:]], "dtype": value.dtype.name}


def model_name(source) -> str:
    """A published name or address as it is; of a folder its name, not its place on this machine."""
    source = os.fspath(source)
    is_address = source in hub.list_models() or source.lower().startswith(("hf:", "http"))
    return source if is_address else Path(source).resolve().name


def _meanings(model):
    """What the tensors of graphs hold, by name."""
    latent, likelihood = model.latent, model.likelihood
    size, count = math.prod(latent.code_spec.shape), latent.code_spec.num_codes
    return {
        "data": f"what is encoded: float32 {_floats(likelihood)}",
        "z": "codes, such as the first output of the encoder",
        "codes": f"codes, whole numbers from 0 to {(count or 0) - 1}",
        "noise": f"independent standard normal numbers, N(0, 1), {size} an image: in NumPy "
        f'rng.standard_normal((n, {size}), dtype="float32")',
        "mean": "the mean of q(z|x), which is the code",
        "log_var": "the log-variance of q(z|x): mean + exp(log_var / 2) * N(0, 1) is a sample",
        "image": "the mean of p(x|z), in the units of data",
    }


def _floats(likelihood):
    """What floats a likelihood takes."""
    return _FLOATS[likelihood.observes].format(highest=likelihood.num_levels - 1)


def _in_a_line(match):
    return f"[{' '.join(match.group(1).split())}]"


def _own_version():
    try:
        return importlib.metadata.version("keras-vae")
    except importlib.metadata.PackageNotFoundError:
        return None  # a checkout that was not installed


def _plain(value):
    kind = int if value.dtype.kind == "i" else float
    return [kind(str(number)) for number in value.ravel()]
