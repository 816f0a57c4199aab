"""What the metadata.json of an export says of its model, its format and its graphs."""

import importlib.metadata
import os
from pathlib import Path

from keras_vae import hub
from keras_vae.exporting.formats import FORMATS, OPSET
from keras_vae.exporting.graphs import graphs_of
from keras_vae.likelihoods import name_of
from keras_vae.priors import CODE_PRIORS, PRIORS


def describe(model, format: str) -> dict:
    """What is to be known of the model and the format before a graph is run."""
    is_bernoulli = name_of(model.likelihood) == "bernoulli"
    description = {
        "keras_vae": _own_version(),
        "format": format,
        **({"opset": OPSET} if format == "onnx" else {}),
        "versions": FORMATS[format].versions(),
        "data_shape": list(model.data_shape),
        "preprocessing": "uint8 is divided by 255; float32 "
        + ("in [0, 1]" if is_bernoulli else "is taken as it is")
        + "; nothing is binarised for encoding",
        "likelihood": name_of(model.likelihood),
        "prior": prior_name(model),
    }
    if not model.latent.stochastic:
        description["num_codes"] = model.latent.num_codes
    if not model.latent.generates:
        description["no_generator"] = "There is no trained prior over the codes to draw from."
    elif "generator" not in graphs_of(model):
        description["no_generator"] = (
            f"The prior ({prior_name(model)}) is no function of standard normal noise: draw from "
            "it with keras_vae, then use the decoder."
        )
    return description


def describe_graph(path, input, x, outputs) -> dict:
    """A graph's file, and its inputs and outputs by name; n stands for any number of examples."""
    return {
        "file": path.name,
        "inputs": {input: tensor_spec(x)},
        "outputs": {name: tensor_spec(value) for name, value in outputs.items()},
    }


def describe_example(input, x, outputs) -> dict:
    """An input of one example and its outputs, flat, as short as float32 can be told."""
    return {
        "inputs": {input: _plain(x)},
        "outputs": {name: _plain(value) for name, value in outputs.items()},
    }


def tensor_spec(value) -> dict:
    """Shape and dtype of a batch."""
    return {"shape": ["n", *value.shape[1:]], "dtype": value.dtype.name}


def model_name(source) -> str:
    """A published name or address as it is; a folder's last part: its place is of this machine."""
    source = os.fspath(source)
    is_address = source in hub.list_models() or source.lower().startswith(("hf:", "http"))
    return source if is_address else Path(source).resolve().name


def prior_name(model) -> str:
    """The name of a model's prior, or its class's if it is not one of ours."""
    prior = getattr(model.latent, "prior", None)
    kinds = {kind: name for name, kind in {**PRIORS, **CODE_PRIORS}.items()}
    return "uniform" if prior is None else kinds.get(type(prior), type(prior).__name__)


def _own_version():
    try:
        return importlib.metadata.version("keras-vae")
    except importlib.metadata.PackageNotFoundError:
        return None  # a checkout that was not installed


def _plain(value):
    kind = int if value.dtype.kind == "i" else float
    return [kind(str(number)) for number in value.ravel()]
