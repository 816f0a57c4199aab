"""What the page knows about a model: networks, code, prior, and images to begin with."""

import math

import numpy as np
from keras import ops

from keras_vae.checks import as_array, check_data
from keras_vae.explorer import encoding, means, networks, sampling
from keras_vae.explorer.packing import Store, compress
from keras_vae.explorer.refusals import NotExplorableError
from keras_vae.plots.units import unit_ranges, unit_values

_SHOWN = 16  # images that the file holds
_MEASURED = 2000  # images over which the use of latents is measured
_DOTS = 500  # codes in the plane of two latents
_LARGEST = 20_000_000  # parameters, of which each takes about 2.5 bytes of the file


def collect(model, x=None, labels=None, name=None) -> dict:
    """Returns all that the page needs, as JSON will hold it.

    Args:
        model: a `keras_vae.VAE` of images with 1 or 3 channels.
        x: images. Defaults to None, images that the model generates.
        labels: a class for each of `x`. Defaults to None.
        name: what the page calls the model. Defaults to None, `model.name`.

    Raises:
        NotExplorableError: if the page cannot show the model.
        ValueError: if `x` is not data that the model takes, or `labels` are not one for each.
    """
    given = x is not None
    check(model, given)
    labels = None if labels is None else _as_text(labels, x)
    x = as_array(x)[:_MEASURED] if given else _generate(model)
    x = check_data(x, model.data_shape, model.likelihood)
    store, latent, codes = Store(), model.latent, model.encode(x)
    table = encoding.get_table(latent)
    encoding.check(model, x[:4], table)
    if table is None:
        code = _describe_numbers(model, x, codes, labels)
    else:
        code = _describe_codes(latent, codes, table, store)
    shape = codes.shape[1:] if table is None else (*codes.shape[1:], table.shape[-1])
    encoder, decoder = encoding.get_graphs(model)
    content = {
        "name": model.name if name is None else name,
        "parameters": model.count_params(),
        "shape": model.data_shape,
        "mean": means.describe(model.likelihood, model.data_shape[-1]),
        "images": {
            "given": given,
            "measured": len(x),
            "labels": labels and labels[:_SHOWN],
            **_pack_images(model, x[:_SHOWN]),
        },
        "encoder": networks.describe(encoder, model.data_shape, store),
        "decoder": networks.describe(decoder, shape, store),
        "prior": sampling.describe(latent, store),
        "encodes_as": latent.encodes_as,
        **code,
    }
    return {**content, "weights": store.pack()}


def check(model, given: bool):
    """Refuses, before anything is computed, a model that the page has no way to show.

    Args:
        model: a `keras_vae.VAE`.
        given: whether there are images of the user's to begin with.

    Raises:
        NotExplorableError: if the page cannot show the model.
    """
    shape = model.data_shape
    if shape is None or len(shape) != 3 or shape[-1] not in (1, 3):
        raise NotExplorableError(
            "The explorer shows images of shape (height, width, 1 or 3 channels). "
            f"The model's data have shape: {shape}"
        )
    if None in shape:
        raise NotExplorableError(
            "The explorer shows images of one size, and this model takes any: make it with an "
            f"input shape without None. Received: {shape}"
        )
    encoding.check_declared(model.latent)
    means.describe(model.likelihood, shape[-1])
    if model.count_params() > _LARGEST:
        raise NotExplorableError(
            f"The explorer takes models of up to {_LARGEST:,} parameters, to limit the file's "
            f"size. Received: {model.count_params():,}"
        )
    if not (given or model.latent.generates):
        raise NotExplorableError(
            "A model without a prior generates no images to begin with: give some, as x, or with "
            "--images or --dataset."
        )
    if not all(np.isfinite(ops.convert_to_numpy(w)).all() for w in model.weights):
        raise NotExplorableError("The model's weights are not finite: its training diverged.")


def _generate(model):
    """Images to begin with. What is generated are means: of levels and counts the nearest ones."""
    x, likelihood = model.generate(4 * _SHOWN, seed=0), model.likelihood
    if likelihood.observes in ("levels", "counts"):
        x = np.rint(x * likelihood.uint8_scale) / np.float32(likelihood.uint8_scale)
    return x


def _pack_images(model, x):
    """Images in 8 bits over the range of their values, at least [0, 1]."""
    x = model.likelihood.read(x)
    low, high = min(0.0, float(x.min())), max(1.0, float(x.max()))
    pixels = np.rint((x - low) / (high - low) * 255).astype("uint8")
    return {"count": len(x), "range": [low, high], "gzip": compress(pixels.tobytes())}


def _as_text(labels, x):
    labels = np.asarray(labels)
    if x is None or labels.shape != (len(x),):
        expected = "which are given with x" if x is None else f"of shape ({len(x)},)"
        raise ValueError(
            f"labels must be one for each of x, {expected}. Received shape: {labels.shape}"
        )
    return [str(label) for label in labels[:_MEASURED]]


def _describe_numbers(model, x, codes, labels):
    latent, size = model.latent, math.prod(codes.shape[1:])
    values, measure, unit = unit_values(model, x, codes)
    use = latent.use(codes)
    active = np.ravel(use.values) > use.threshold
    if len(x) == 1 or len(active) != size:  # one image cannot show which latents never move
        active = np.ones(size, bool)
    low, high = unit_ranges(latent, codes)
    plane = None
    if size == 2:
        points = np.round(codes.reshape(-1, 2)[:_DOTS].astype("float64"), 3)
        plane = {"codes": points.tolist(), "labels": labels and labels[:_DOTS]}
    return {
        "kind": "numbers",
        "channels": codes.shape[-1],
        "posterior": encoding.has_posterior(model, x[:1]),
        "values": [round(float(value), 4) for value in values],
        "measure": measure,
        "unit": unit,
        "active": active.tolist(),
        "layers": _describe_layers(model, x),
        "plane": plane,
        "ranges": np.stack([low, high], axis=1).tolist(),
    }


def _describe_layers(model, x):
    """The shape of each layer of a hierarchy, and the nats it tells; None for one layer."""
    layout = model.latent.layout
    if len(layout) == 1:
        return None
    rates = model.layer_rates(x).mean(axis=0)
    return [{"shape": shape, "rate": round(float(rate), 3)} for shape, rate in zip(layout, rates)]


def _describe_codes(latent, codes, table, store):
    counts = np.bincount(codes.ravel(), minlength=len(table))
    return {
        "kind": "codes",
        "positions": latent.code_spec.shape,
        "codebook": store.add(table),
        "counts": counts.tolist(),
        "colours": _choose_colours(table, counts),
    }


def _choose_colours(table, counts):
    """A colour for each code, `#rrggbb`: similar for codes that are near each other.

    The three principal axes of the codes in use become red, green and blue, by rank.
    """
    used = table[counts > 0]
    centre = used.mean(axis=0)
    axes = np.linalg.svd(used - centre, full_matrices=False)[2][:3]
    places = (table - centre) @ axes.T
    ranks = places.argsort(axis=0).argsort(axis=0) / max(len(table) - 1, 1)
    levels = np.full((len(table), 3), 128)
    levels[:, : ranks.shape[1]] = 50 + np.rint(190 * ranks)
    return ["#" + bytes(level).hex() for level in levels.astype("uint8")]
