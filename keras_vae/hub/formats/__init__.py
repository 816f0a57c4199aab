"""Formats of models in a folder, one module each; `find` tells which one a folder has.

A format offers `read_entry(folder)`, how the model is built; `check(model, folder)`, which refuses
tensors that are not exactly the model's before there is memory for them; and `read(model, folder)`.
"""

from pathlib import Path

from keras_vae.hub.formats import diffusers, taesd
from keras_vae.hub.formats import keras_h5 as keras_h5
from keras_vae.hub.small_json import read_small_json


def find(folder):
    """Returns the format of a model of another library in a folder; None if there is none."""
    config = Path(folder) / diffusers.CONFIG
    if config.is_file() and diffusers.is_config(read_small_json(config)):
        return diffusers
    return taesd if taesd.files_in(folder) else None
