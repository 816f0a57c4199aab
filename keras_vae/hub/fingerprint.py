"""The fingerprint of a model: a few numbers that change when any of its weights does."""

import itertools
from functools import partial

import keras
import numpy as np
from keras import ops

from keras_vae.backends import compile_for_one_call
from keras_vae.hub.errors import WeightsError


def fingerprint(model) -> list[float]:
    """Computes projections of a model's outputs for a fixed input.

    The input is drawn by NumPy's legacy generator, which gives the same numbers in every version
    and on every backend: uniform data for the encoder, normal or uniform codes for the decoder.
    There are four numbers for each of the two. If the latent has a `probe`, its two numbers follow,
    such as log p of the two codes if the prior has weights, in nats; if the data are not binary,
    log p of the data given what the codes decode to.
    """
    rng = np.random.RandomState(0)
    x, code = map(ops.convert_to_tensor, fixed_inputs(model, rng))
    # Not model.decode: on TensorFlow compiling takes longer than these two examples.
    outputs = compile_for_one_call(partial(_outputs, model), model)(x, code)
    h, mean, *others = keras.tree.map_structure(ops.convert_to_numpy, outputs)
    encoded = np.concatenate([tensor.ravel() for tensor in keras.tree.flatten(h)])
    numbers = []
    for output in (encoded, mean.ravel()):
        patterns = rng.choice([-1.0, 1.0], size=(4, output.size)) / np.sqrt(output.size)
        with np.errstate(invalid="ignore"):  # outputs that are not finite give no fingerprint
            numbers.extend(patterns @ output.astype("float64"))
    return [float(number) for number in itertools.chain(numbers, *others)]


def _outputs(model, x, code):
    h = model.encoder(x)
    outputs = model.decoder(model.latent.decoder_input(code))
    result = [h, model.likelihood.mean(outputs)]
    of_latent = model.latent.probe(h, code)
    if of_latent is not None:
        result.append(of_latent)
    if model.likelihood.observes != "binary":
        result.append(model.likelihood.log_prob(x, outputs))
    return result


def fixed_inputs(model, rng: np.random.RandomState, n=2):
    """Draws data for the encoder and codes for the decoder, `n` examples of each."""
    data_shape = model.example_shape()
    spec = model.code_spec(data_shape)
    x = rng.uniform(size=(n, *data_shape)).astype("float32")
    if spec.num_codes is None:
        return x, rng.standard_normal(size=(n, *spec.shape)).astype("float32")
    return x, rng.randint(spec.num_codes, size=(n, *spec.shape))


def tolerance(published: float) -> float:
    """How far a number of a fingerprint may be from the published one: rounding differs."""
    return 1e-3 * max(1.0, abs(published))


def check_fingerprint(model, published: list, source):
    """Refuses a model whose outputs are not the published ones.

    Raises:
        WeightsError: if a number differs by more than the tolerance.
    """
    for got, expected in itertools.zip_longest(fingerprint(model), published):
        if None in (got, expected) or not abs(got - expected) <= tolerance(expected):
            raise WeightsError(
                f"The outputs of {source!r} are not the published ones: {got} where {expected} was "
                "expected. The weights, or the results of this backend, differ."
            )
