"""What the metadata.json of an export says of its model, its format and its graphs."""

import importlib.metadata
import os
from pathlib import Path

from keras_vae import hub, likelihoods
from keras_vae.exporting.formats import FORMATS, OPSET
from keras_vae.exporting.graphs import graphs_of

_FLOATS = {
    "binary": "in [0, 1]",
    "levels": "in [0, 1], as multiples of 1/255",
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
        f"float32 {_FLOATS[likelihood.observes]}; nothing is binarised for encoding",
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


def describe_graph(path, input, x, outputs) -> dict:
    """A graph's file, inputs and outputs, in their order; n stands for any number of examples."""
    return {
        "file": path.name,
        "inputs": {input: tensor_spec(x)},
        "outputs": {name: tensor_spec(value) for name, value in outputs.items()},
    }


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


def _own_version():
    try:
        return importlib.metadata.version("keras-vae")
    except importlib.metadata.PackageNotFoundError:
        return None  # a checkout that was not installed


def _plain(value):
    kind = int if value.dtype.kind == "i" else float
    return [kind(str(number)) for number in value.ravel()]
