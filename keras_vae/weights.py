"""Files of weights: written without optimizer state, checked before and after they are read."""

from pathlib import Path

import keras
import numpy as np

from keras_vae.files import sha256, write_bytes
from keras_vae.likelihoods import LIKELIHOODS


class WeightsError(ValueError):
    """The weights are not those that were published: nothing was loaded."""


def check_file(path, entry):
    """Refuses a file of weights that has not the size and sha256 of its entry."""
    if not path.is_file():
        raise WeightsError(f"The weights are missing: {path}. Install the package anew.")
    size = path.stat().st_size
    if size != entry.get("bytes"):
        raise WeightsError(
            f"{path} has {size} bytes where {entry.get('bytes')} were published: it is damaged or "
            "another file. Get it anew."
        )
    digest = sha256(path)
    if digest != entry.get("sha256"):
        raise WeightsError(
            f"{path} has sha256 {digest} where {entry.get('sha256')} was published: it is damaged "
            "or another file. Get it anew."
        )


def read_weights(model, path):
    """Loads a model's weights from a file that `check_file` has passed."""
    try:
        model.load_weights(path)
    except Exception as error:
        raise WeightsError(f"{path} does not fit its model: {error}") from error


def check_fingerprint(model, published, source):
    """Refuses a model whose outputs are not the published ones."""
    for got, expected in zip(fingerprint(model), published, strict=True):
        if not abs(got - expected) <= tolerance(expected):
            raise WeightsError(
                f"The outputs of {source!r} are not the published ones: {got:.6g} where "
                f"{expected:.6g} was expected. The weights or this backend compute otherwise."
            )


def write_weights(model, clone, path):
    """Writes a model's weights without optimizer state, through an uncompiled clone of it."""
    clone.set_weights(model.get_weights())
    path = Path(path)
    partial = path.with_name(f"partial-{path.name}")
    clone.save_weights(partial)
    write_bytes(path, partial.read_bytes())
    partial.unlink()


def describe(model, weights) -> dict:
    """What a registry entry or a folder's metadata says of a model and its file of weights."""
    return {
        "bytes": Path(weights).stat().st_size,
        "sha256": sha256(weights),
        "parameters": model.count_params(),
        "likelihood": likelihood_name(model),
        "input_range": [0, 1] if likelihood_name(model) == "bernoulli" else "any finite number",
        "fingerprint": fingerprint(model),
    }


def likelihood_name(model) -> str:
    """The name of a model's likelihood, or its class's if it is not one of ours."""
    kinds = {kind: name for name, kind in LIKELIHOODS.items()}
    return kinds.get(type(model.likelihood), type(model.likelihood).__name__)


def fingerprint(model) -> list[float]:
    """Eight numbers that change when any weight does: projections of outputs for a fixed input.

    The input is NumPy's legacy generator's, the same for ever and on every backend: uniform data
    for the encoder, normal latents or uniform codes for the decoder.
    """
    rng = np.random.RandomState(0)
    x = rng.uniform(size=(2, *model.data_shape)).astype("float32")
    shape = (2, *model.latent.latent_shape)
    if model.latent.stochastic:
        z = rng.standard_normal(size=shape).astype("float32")
    else:
        z = rng.randint(model.latent.num_codes, size=shape)
    h = model.encoder(keras.ops.convert_to_tensor(x))
    h = keras.tree.flatten(h)
    encoded = np.concatenate([keras.ops.convert_to_numpy(t).ravel() for t in h])
    decoded = model.decode(z).ravel()
    numbers = []
    for output in (encoded, decoded):
        patterns = rng.choice([-1.0, 1.0], size=(4, output.size)) / np.sqrt(output.size)
        numbers += [float(number) for number in patterns @ output.astype("float64")]
    return numbers


def tolerance(published: float) -> float:
    """How far a number of a fingerprint may be from the published one: rounding differs."""
    return 1e-3 * max(1.0, abs(published))
