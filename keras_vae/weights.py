"""Files of weights: written without optimizer state, checked before and after they are read."""

import re
import reprlib
from pathlib import Path

import keras
import numpy as np

from keras_vae import hdf5, likelihoods
from keras_vae.files import sha256, write_bytes


class WeightsError(ValueError):
    """The weights are not those that were published: nothing was loaded."""


def check_entry(entry: dict, source: str, keys):
    """Refuses an entry that does not say what a model and its weights are.

    Args:
        entry: what a folder's or download's `config.json` or `metadata.json` says.
        source: what the message calls it.
        keys: what it must have, of factory, arguments, bytes, sha256 and fingerprint.
    """
    for key in keys:
        rule, holds = _ENTRY[key]
        if not holds(entry.get(key)):
            raise WeightsError(
                f"{source}: {key!r} must be {rule}. Received: {reprlib.repr(entry.get(key))}"
            )


def check_file(path, entry):
    """Refuses a file of weights that has not the size and sha256 of its entry."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"The weights are missing: there is no file {path}.")
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
    """Loads a model's weights from a file, all of them or, if one is refused, none.

    The file may come from anyone: see `keras_vae.hdf5` for what is checked.
    """
    layers = {}  # {place in the file: (layer, {key: variable})}
    for place, layer in hdf5.layers_by_place(model).items():
        variables = {}
        layer.save_own_variables(variables)
        layers[f"{place}/vars" if place else "vars"] = layer, variables
    try:
        tensors = hdf5.read_tensors(
            path,
            {
                f"{place}/{key}": variable
                for place, (_, variables) in layers.items()
                for key, variable in variables.items()
            },
        )
        for place, (layer, variables) in layers.items():
            layer.load_own_variables({key: tensors[f"{place}/{key}"] for key in variables})
    except Exception as error:  # what h5py raises of a damaged file is of many classes
        raise WeightsError(f"{path} does not fit its model: {error}") from error


def check_fingerprint(model, published, source):
    """Refuses a model whose outputs are not the published ones."""
    check_entry({"fingerprint": published}, repr(source), ["fingerprint"])
    numbers = fingerprint(model)
    if len(numbers) != len(published):
        raise WeightsError(
            f"{source!r}: 'fingerprint' must be {len(numbers)} numbers for such a model. "
            f"Received: {len(published)}"
        )
    for got, expected in zip(numbers, published):
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
    return likelihoods.name_of(model.likelihood)


def fingerprint(model) -> list[float]:
    """Numbers that change when any weight does: projections of outputs for a fixed input.

    The input is NumPy's legacy generator's, the same for ever and on every backend: uniform data
    for the encoder, normal latents or uniform codes for the decoder. Four numbers for each; if the
    prior has weights two more, log p of these latents or codes in nats; if the likelihood has
    a scale two more, log p of that data given what these decode to.
    """
    rng = np.random.RandomState(0)
    x, z = fixed_inputs(model, rng)
    h = model.encoder(keras.ops.convert_to_tensor(x))
    h = keras.tree.flatten(h)
    encoded = np.concatenate([keras.ops.convert_to_numpy(t).ravel() for t in h])
    # Not model.decode, which is compiled: that takes longer than these two examples.
    vectors = model.latent.decoder_input(keras.ops.convert_to_tensor(z))
    outputs = model.decoder(vectors)
    decoded = keras.ops.convert_to_numpy(model.likelihood.mean(outputs)).ravel()
    numbers = []
    for output in (encoded, decoded):
        patterns = rng.choice([-1.0, 1.0], size=(4, output.size)) / np.sqrt(output.size)
        with np.errstate(invalid="ignore"):  # outputs that are not finite are no fingerprint
            numbers += [float(number) for number in patterns @ output.astype("float64")]
    prior = model.latent.prior
    if prior is not None and prior.weights:
        numbers += [float(number) for number in keras.ops.convert_to_numpy(prior.log_prob(z))]
    if model.likelihood.observes != "binary":
        log_prob = model.likelihood.log_prob(keras.ops.convert_to_tensor(x), outputs)
        numbers += [float(number) for number in keras.ops.convert_to_numpy(log_prob)]
    return numbers


def fixed_inputs(model, rng: np.random.RandomState, n=2):
    """Draws data for the encoder and latents or codes for the decoder, `n` examples of each."""
    x = rng.uniform(size=(n, *model.data_shape)).astype("float32")
    spec = model.latent.code_spec
    shape = (n, *spec.shape)
    if spec.num_codes is None:
        return x, rng.standard_normal(size=shape).astype("float32")
    return x, rng.randint(spec.num_codes, size=shape)


def tolerance(published: float) -> float:
    """How far a number of a fingerprint may be from the published one: rounding differs."""
    return 1e-3 * max(1.0, abs(published))


def _is_whole(value):
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_finite(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e30


# What `load` needs of an entry: {key: (the rule in words, whether a value keeps it)}
_ENTRY = {
    "factory": ("the name of a factory", lambda v: isinstance(v, str)),
    "arguments": ("a dict", lambda v: isinstance(v, dict)),
    "bytes": ("a whole number above 0", _is_whole),
    "sha256": (
        "64 hexadecimal digits",
        lambda v: isinstance(v, str) and bool(re.fullmatch("[0-9a-f]{64}", v)),
    ),
    "fingerprint": (
        "a list of 8, 10 or 12 finite numbers",
        lambda v: isinstance(v, list) and len(v) in (8, 10, 12) and all(map(_is_finite, v)),
    ),
}
