"""How the page gets from the encoder's output to a code, and from a code to the decoder's input.

A latent declares it in `encodes_as`. Both ways are tried out in Python before a page is written.
"""

import math

import keras
import numpy as np
from keras import ops

from keras_vae.explorer.refusals import NotExplorableError

# Whether the codes are integers.
_WAYS = {"mean": False, "identity": False, "traced": False, "nearest": True}


def check_declared(latent):
    """Refuses a latent that does not declare how it encodes."""
    if _WAYS.get(latent.encodes_as) != bool(latent.code_spec.num_codes):
        raise NotExplorableError(
            f"The explorer cannot encode as {type(latent).__name__} does, with encodes_as = "
            f"{latent.encodes_as!r}: real codes are the encoder's output ('identity'), its first "
            "half ('mean') or what Keras traces ('traced'), integer ones the 'nearest' of a table "
            "of vectors."
        )


def get_graphs(model):
    """What the page computes: from data to its code, or what shows it, and from that to outputs."""
    latent = model.latent
    if latent.encodes_as != "traced":
        return model.encoder, model.decoder

    def encode(x):
        h = model.encoder(x)
        return latent.code(keras.tree.map_structure(lambda t: ops.cast(t, "float32"), h))

    return encode, lambda code: model.decoder(latent.decoder_input(code))


def get_table(latent):
    """The vector that the decoder takes for each integer code, `(num_codes, width)`; or None.

    None is for codes of real numbers, which the decoder must take as they are, unless what makes
    its input of them is traced.
    """
    spec, rng = latent.code_spec, np.random.default_rng(0)
    if latent.encodes_as == "traced":
        return None
    if spec.num_codes is None:
        codes = rng.standard_normal((3, *spec.shape), dtype="float32")
        if not _agree(_embed(latent, codes), codes):
            raise NotExplorableError(
                f"The explorer shows codes that the decoder takes as they are, and "
                f"{type(latent).__name__} converts them first."
            )
        return None
    size = math.prod(spec.shape)
    n = -(-spec.num_codes // size)
    # All codes, at positions drawn at random; then others, which must have the same vectors.
    first, second = (
        rng.permutation(n * size).reshape(n, *spec.shape) % spec.num_codes for _ in range(2)
    )
    vectors = _embed(latent, first)
    if vectors.shape[:-1] == first.shape:
        table = np.zeros((spec.num_codes, vectors.shape[-1]), "float32")
        table[first] = vectors
        if _agree(_embed(latent, second), table[second]):
            return table
    raise NotExplorableError(
        "The explorer shows integer codes that stand for the same vector at every position, and "
        f"those of {type(latent).__name__} do not."
    )


def check(model, x, table):
    """Refuses a latent whose `encodes_as` is not what its `code` computes."""
    if model.latent.encodes_as == "traced":
        return
    latent, h = model.latent, _encode(model, x)
    codes = ops.convert_to_numpy(latent.code(h))
    if latent.encodes_as == "nearest":
        h = ops.convert_to_numpy(h)
        distances = [np.sum(np.square(h - vector), axis=-1) for vector in (table[codes], *table)]
        same = _agree(distances[0], np.min(distances, axis=0))
    else:
        first, *others = [ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(h)]
        is_half = latent.encodes_as == "mean" and not others
        same = _agree(np.split(first, 2, axis=-1)[0] if is_half else first, codes)
    if not same:
        raise NotExplorableError(
            f"The codes of {type(latent).__name__} are not what its encodes_as, "
            f"{latent.encodes_as!r}, says: without it the model works everywhere but here."
        )


def has_posterior(model, x):
    """Whether the encoder's second tensor, or half, holds the posterior's log-variances."""
    latent = model.latent
    return latent.encodes_as == "mean" and "log_var" in latent.summary(_encode(model, x))


def _encode(model, x):
    """The encoder's output for a few images, enlarged so that what bounds it shows."""
    h = model.encoder(ops.convert_to_tensor(model.likelihood.read(x)))
    return keras.tree.map_structure(lambda tensor: 3 * ops.cast(tensor, "float32"), h)


def _embed(latent, codes):
    codes = ops.convert_to_tensor(codes.astype(latent.code_spec.dtype))
    return ops.convert_to_numpy(latent.decoder_input(codes))


def _agree(got, expected):
    if got.shape != expected.shape:
        return False
    tolerance = 1e-4 * max(1e-3, np.max(np.abs(expected)))
    return bool(np.max(np.abs(got - expected)) <= tolerance)
