"""Formats of models in a folder, one module each; `find` tells which one a folder has.

A format offers `read_entry(folder)`, how the model is built; `check(model, folder)`, which refuses
tensors that are not exactly the model's before there is memory for them; and `read(model, folder)`.
"""

from keras_vae import layouts
from keras_vae.hub.formats import diffusers, taesd
from keras_vae.hub.formats import keras_h5 as keras_h5


def find(folder):
    """Returns the format of a model of another library in a folder."""
    return {"diffusers": diffusers, "taesd": taesd}[layouts.library(folder)]
