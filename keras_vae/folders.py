"""A model's folder, laid out as KerasHub's presets: config.json, weights, metadata.json."""

import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_vae.files import write_json
from keras_vae.weights import describe, fingerprint, write_weights

CONFIG, WEIGHTS, METADATA = "config.json", "model.weights.h5", "metadata.json"


def write(model, clone, folder, config):
    """Writes a model into a folder, through an untrained clone of it that computes in float32.

    All is written under a temporary name first: if that fails, an earlier model is still there.

    Raises:
        ValueError: if the clone is another model.
    """
    _take_over(clone, model, config["factory"])
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder) as staged:
        staged = Path(staged)
        write_weights(model, clone, staged / WEIGHTS)
        write_json(staged / CONFIG, config)
        saved_with = {"keras": keras.version(), "backend": keras.backend.backend()}
        metadata = {**describe(clone, staged / WEIGHTS), "saved_with": saved_with}
        write_json(staged / METADATA, metadata)
        # The metadata vouch for the weights: until they follow, `load` refuses the new weights.
        for name in (WEIGHTS, CONFIG, METADATA):
            (staged / name).replace(folder / name)


def _take_over(clone, model, factory):
    """Gives a clone the weights of a model, if that makes it the same model."""
    theirs = [tuple(w.shape) for w in model.weights]
    ours = [tuple(w.shape) for w in clone.weights]
    if theirs != ours:
        raise ValueError(
            f"{factory} with these arguments makes another model: {len(ours)} weights of "
            f"{clone.count_params()} numbers. Received a model of {len(theirs)}, "
            f"{model.count_params()}."
        )
    clone.set_weights(model.get_weights())
    tolerance = 1e-3 if model.encoder.compute_dtype == "float32" else 0.05
    likelihoods = [(type(m.likelihood), m.likelihood.get_config()) for m in (clone, model)]
    if likelihoods[0] != likelihoods[1] or not np.allclose(
        fingerprint(clone), fingerprint(model), rtol=tolerance, atol=tolerance
    ):
        raise ValueError(
            f"{factory} with these arguments makes a model of the same shapes that computes "
            "otherwise. Give all arguments that the model was made with, such as its activation "
            "or likelihood."
        )
