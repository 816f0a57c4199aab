"""What the page knows of a model: networks, latents, prior, and images to begin with."""

import numpy as np
from keras import ops

from keras_vae.checks import as_array, check_data, scale
from keras_vae.explorer import networks, sampling
from keras_vae.explorer.networks import NotExplorableError
from keras_vae.explorer.packing import Store, compressed
from keras_vae.latents.base import ACTIVE
from keras_vae.likelihoods import Bernoulli, Gaussian, LearnedGaussian

_SHOWN = 16  # images that the file holds
_MEASURED = 2000  # images that the rates, and the use of codes, are means over
_LARGEST = 20_000_000  # parameters, of which each takes about 2.5 bytes of the file
_MEANS = {Bernoulli: "sigmoid", Gaussian: "linear", LearnedGaussian: "linear"}


def collect(model, x=None, name=None) -> dict:
    """Returns all that the page needs, as JSON will hold it.

    Args:
        model: a `keras_vae.VAE` of images with 1 or 3 channels.
        x: images. Defaults to None, images that the model generates.
        name: what the page calls the model. Defaults to None, `model.name`.

    Raises:
        NotExplorableError: if the page cannot show the model.
        ValueError: if `x` is not data that the model takes.
    """
    _check(model, x)
    given = x is not None
    x = as_array(x)[:_MEASURED] if given else model.generate(4 * _SHOWN, seed=0)
    x = check_data(x, model.data_shape, model.likelihood)
    store = Store()
    latent = model.latent
    shape = latent.latent_shape if latent.stochastic else (*latent.latent_shape, latent.code_dim)
    content = {
        "name": model.name if name is None else name,
        "parameters": model.count_params(),
        "shape": model.data_shape,
        "mean": _MEANS[type(model.likelihood)],
        "images": {"given": given, "measured": len(x), **_images(x[:_SHOWN])},
        "encoder": networks.described(model.encoder, model.data_shape, store),
        "decoder": networks.described(model.decoder, shape, store),
        "prior": sampling.described(latent, store),
        **(_gaussian(model, x) if latent.stochastic else _codes(model, x, store)),
    }
    return {**content, "weights": store.packed()}


def _check(model, x):
    """Refuses, before anything is computed, what the page has no way to show."""
    shape = model.data_shape
    if shape is None or len(shape) != 3 or shape[-1] not in (1, 3):
        raise NotExplorableError(
            "The explorer shows images of shape (height, width, 1 or 3 channels). "
            f"The model's data have shape: {shape}"
        )
    if type(model.likelihood) not in _MEANS:
        raise NotExplorableError(
            "The explorer knows the mean of a Bernoulli and of a Gaussian likelihood. "
            f"Received: {type(model.likelihood).__name__}"
        )
    if model.count_params() > _LARGEST:
        raise NotExplorableError(
            f"The explorer takes models of up to {_LARGEST:,} parameters, for the file's size. "
            f"Received: {model.count_params():,}"
        )
    if x is None and not model.latent.generates:
        raise NotExplorableError(
            "A VQ model without a prior generates no images to begin with: give some, as x."
        )
    if not all(np.isfinite(ops.convert_to_numpy(w)).all() for w in model.weights):
        raise NotExplorableError("The model's weights are not finite: its training diverged.")


def _images(x):
    """Images in 8 bits over the range of their values, at least [0, 1]."""
    x = scale(x)
    low, high = min(0.0, float(x.min())), max(1.0, float(x.max()))
    pixels = np.rint((x - low) / (high - low) * 255).astype("uint8")
    return {"count": len(x), "range": [low, high], "gzip": compressed(pixels.tobytes())}


def _gaussian(model, x):
    mean = model.encode(x).reshape(len(x), -1)
    rates = model.latent_rates(x).reshape(len(x), -1).mean(axis=0)
    # Of one image there is no telling which latents never move.
    active = np.var(mean, axis=0) > ACTIVE if len(x) > 1 else np.ones(len(rates), bool)
    return {
        "kind": "gaussian",
        "channels": model.latent.latent_shape[-1],
        "rates": [round(float(rate), 4) for rate in rates],
        "active": active.tolist(),
        "spans": np.maximum(3, np.ceil(np.quantile(np.abs(mean), 0.999, axis=0))).tolist(),
    }


def _codes(model, x, store):
    latent, codes = model.latent, model.encode(x)
    codebook = ops.convert_to_numpy(latent.codebook)
    counts = np.bincount(codes.ravel(), minlength=latent.num_codes)
    return {
        "kind": "codes",
        "positions": latent.latent_shape,
        "codebook": store.add(codebook),
        "counts": counts.tolist(),
        "colours": _colours(codebook, counts),
    }


def _colours(codebook, counts):
    """A colour for each code, `#rrggbb`: codes near each other in use have colours alike.

    The three principal axes of the codes in use become red, green and blue, by rank.
    """
    used = codebook[counts > 0]
    centre = used.mean(axis=0)
    axes = np.linalg.svd(used - centre, full_matrices=False)[2][:3]
    places = (codebook - centre) @ axes.T
    ranks = places.argsort(axis=0).argsort(axis=0) / max(len(codebook) - 1, 1)
    levels = np.full((len(codebook), 3), 128)
    levels[:, : ranks.shape[1]] = 50 + np.rint(190 * ranks)
    return ["#" + bytes(level).hex() for level in levels.astype("uint8")]
