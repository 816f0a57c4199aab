"""Folders of diffusers: config.json, whose `_class_name` chooses the converter, and safetensors."""

import re
import reprlib
from pathlib import Path

from keras_vae.hub.errors import WeightsError
from keras_vae.hub.formats import autoencoder_kl, autoencoder_tiny, conversion, vq_model
from keras_vae.hub.formats.settings import Settings
from keras_vae.hub.formats.tensor_files import TensorFiles, shards
from keras_vae.hub.small_json import read_small_json
from keras_vae.layouts import CONFIG

STEM = "diffusion_pytorch_model"
# What a folder may hold, the first that is there.
WEIGHTS = (
    f"{STEM}.safetensors",
    f"{STEM}.safetensors.index.json",
    f"{STEM}.fp16.safetensors",
    f"{STEM}.bf16.safetensors",
)
PICKLES = (f"{STEM}.bin", "pytorch_model.bin", f"{STEM}.fp16.bin")
CONVERTERS = {
    "AutoencoderTiny": autoencoder_tiny,
    "AutoencoderKL": autoencoder_kl,
    "VQModel": vq_model,
}
# Of a config, what says nothing of the network.
_NOTES = {"sample_size", "force_upcast"}


def read_entry(folder) -> dict:
    """Returns the factory and the arguments that make the model of a folder.

    Raises:
        WeightsError: if the model is of a class or kind that is not supported; it is named.
    """
    path = Path(folder) / CONFIG
    config = read_small_json(path)
    kind, converter = config["_class_name"], _converter(folder)
    given = {key: value for key, value in config.items() if not key.startswith("_")}
    given = {key: value for key, value in given.items() if key not in _NOTES and value is not None}
    settings = Settings(kind, given)
    try:
        arguments = converter.arguments(settings)
    except (TypeError, KeyError, IndexError) as error:
        raise WeightsError(f"{path} describes no {kind}: {error!r}") from error
    settings.finish()
    entry = {"factory": converter.FACTORY, "arguments": arguments, "class": kind}
    return {**entry, "float16_warning": converter.float16_warning(config)}


def weights_in(folder) -> list[Path]:
    """Returns the files of weights in a folder.

    Raises:
        WeightsError: if there is none, or only a pickle.
    """
    folder = Path(folder)
    for name in WEIGHTS:
        if (folder / name).is_file():
            return shards(folder / name) if name.endswith(".json") else [folder / name]
    for name in PICKLES:
        if (folder / name).is_file():
            raise WeightsError(REFUSED_PICKLE.format(folder / name))
    raise WeightsError(f"The weights are missing: there is no {WEIGHTS[0]} in {folder}.")


REFUSED_PICKLE = (
    "{} is a pickle, which can run any code when it is opened, so it is not. Convert it with "
    "diffusers, if you trust it: model.save_pretrained(folder, safe_serialization=True)."
)


def check(model, path):
    """Refuses a folder whose tensors are not exactly those of the model."""
    tensors = TensorFiles(weights_in(path))
    current, wanted = _renamed(tensors.shapes), _converter(path).tensors(model)
    shapes = {}
    for name, shape in tensors.shapes.items():
        if current(name) in shapes:
            raise WeightsError(f"The file holds {current(name)} twice, once as {name}.")
        shapes[current(name)] = shape
    conversion.check(wanted, shapes)


def read(model, path):
    """Puts the weights of a folder into a model that `check` accepted.

    Raises:
        WeightsError: if a number is not finite.
    """
    tensors = TensorFiles(weights_in(path))
    current, wanted = _renamed(tensors.shapes), _converter(path).tensors(model)
    conversion.fill(wanted, ((current(name), tensor) for name, tensor in tensors))


def _converter(folder):
    path = Path(folder) / CONFIG
    kind = read_small_json(path)["_class_name"]
    if not isinstance(kind, str) or kind not in CONVERTERS:
        raise WeightsError(
            f"{path}: models of class {reprlib.repr(kind)} are not supported. Supported: "
            f"{', '.join(CONVERTERS)}."
        )
    return CONVERTERS[kind]


def _renamed(names):
    """A function from names of attention in older files to today's; all other names stay."""
    is_old = any(re.search(r"\.proj_out\.|\.proj_attn\.", name) for name in names)

    def current(name):
        for pattern, replacement in _OLD if is_old else ():
            name = re.sub(pattern, replacement, name)
        return name

    return current


# Names of attention: first those of the original code, q, k, v and proj_out, then of diffusers
# before 0.15, query, key, value and proj_attn.
_OLD = (
    (r"(attentions\.\d+)\.norm\.", r"\1.group_norm."),
    (r"(attentions\.\d+)\.(?:q|query)\.", r"\1.to_q."),
    (r"(attentions\.\d+)\.(?:k|key)\.", r"\1.to_k."),
    (r"(attentions\.\d+)\.(?:v|value)\.", r"\1.to_v."),
    (r"(attentions\.\d+)\.(?:proj_out|proj_attn)\.", r"\1.to_out.0."),
)
