"""Small autoencoders as other libraries write them: files for tests, without them."""

import json
import struct

import numpy as np
from safetensors.numpy import save

from keras_vae.hub.building import build
from keras_vae.hub.formats import diffusers
from keras_vae.hub.formats.settings import Settings

WEIGHTS = "diffusion_pytorch_model.safetensors"
_LEVELS = {
    "block_out_channels": [4, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2,
    "norm_num_groups": 2,
}
CONFIGS = {
    "AutoencoderKL": {**_LEVELS, "latent_channels": 3, "scaling_factor": 0.5, "shift_factor": 0.25},
    "VQModel": {**_LEVELS, "num_vq_embeddings": 16, "vq_embed_dim": 2},
    "AutoencoderTiny": {
        "num_encoder_blocks": [1, 1],
        "num_decoder_blocks": [1, 1],
        "encoder_block_out_channels": [4, 4],
        "decoder_block_out_channels": [4, 4],
        "block_out_channels": [4, 4],
    },
}


def config(kind, **changes):
    """The content of config.json as diffusers writes it; a change to `...` leaves a key out."""
    told = {"_class_name": kind, "_diffusers_version": "0.30.0", **CONFIGS[kind], **changes}
    return {key: value for key, value in told.items() if value is not ...}


def tensors(kind, **changes):
    """Random tensors of a model's names and shapes: `{name: float32 array}`."""
    told = config(kind, **changes)
    given = {key: value for key, value in told.items() if not key.startswith("_")}
    converter, rng = diffusers.CONVERTERS[kind], np.random.default_rng(0)
    arguments = converter.arguments(Settings(kind, given))
    model = build({"factory": converter.FACTORY, "arguments": arguments})
    made = {}
    for name, (variable, convert) in converter.tensors(model).items():
        shape = tuple(variable.shape)
        if hasattr(convert, "known"):
            shape = convert.known[0]
        elif len(shape) == 4:
            shape = tuple(shape[axis] for axis in (3, 2, 0, 1))
        scale = 1 / np.sqrt(max(1, np.prod(shape[1:]))) if len(shape) > 1 else 0.3
        made[name] = (rng.normal(size=shape) * scale).astype("float32")
    return made


def files(kind, of=None, **changes):
    """The two files of a model of diffusers, by name; `of`: its tensors, if not random ones."""
    content = save(tensors(kind, **changes) if of is None else of, {"format": "pt"})
    return {"config.json": json.dumps(config(kind, **changes)).encode(), WEIGHTS: content}


def sharded(of, *parts):
    """The files of weights in several parts, each a list of names, and their index."""
    names = [f"diffusion_pytorch_model-{i:05}-of-{len(parts):05}.safetensors" for i in range(9)]
    index = {name: file for file, part in zip(names, parts) for name in part}
    told = {"metadata": {"total_size": 0}, "weight_map": index}
    shards = {file: save({n: of[n] for n in part}) for file, part in zip(names, parts)}
    return {**shards, f"{WEIGHTS}.index.json": json.dumps(told).encode()}


def renamed(of, names):
    """Tensors whose attention has older names, its matrices 1 x 1 convolutions."""
    made = {}
    for name, tensor in of.items():
        for new, old in names.items():
            part = f".{new}."
            if "attentions" in name and part in name:
                name = name.replace(part, f".{old}.")
                tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor
        made[name] = tensor
    return made


def header(told, content=b""):
    """A safetensors file of a header, as JSON or bytes, whatever it says."""
    told = told if isinstance(told, bytes) else json.dumps(told).encode()
    return struct.pack("<Q", len(told)) + told + content
