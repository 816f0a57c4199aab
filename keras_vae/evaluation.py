"""Numbers about a trained model: likelihoods, reconstruction, use of the latent; and `verify`."""

import math

import numpy as np

from keras_vae import data, hub, weights
from keras_vae.checks import as_array, check_whole, scaled

ACTIVE = 0.01  # a unit is active when Var_x(E_q[z]) exceeds this (Burda et al. 2015, section 5)
PROTOCOLS = {"mnist-dynamic": "mnist", "fashion-dynamic": "fashion-mnist"}


def evaluate(model, x, *, num_samples=100, seed=0, batch_size=256) -> dict:
    """Measures a model on data.

    Args:
        model: a `keras_vae.VAE`.
        x: data `(n, *data_shape)`. Under a Bernoulli likelihood the likelihoods are those of a
            binary image drawn from each grey one; the errors are those of the image as given.
        num_samples: importance samples K of `nll`. Defaults to 100; published tables use 5000.
        seed: whole number that fixes the noise, on every backend. Defaults to 0.
        batch_size: examples per pass. Defaults to 256.

    Returns:
        A dict of means over the examples:
        `elbo`, `rate`, `distortion`: nats, elbo = -rate - distortion;
        `nll`: nats, the importance-weighted bound on -log p(x) with K samples;
        `bits_per_dim`: nll / (d log 2), for d values per example;
        `mse`: squared error of `reconstruct(x)` per value, of data scaled to [0, 1];
        `active_units`: latents with Var_x(E_q[z]) > 0.01; or, for a VQ model,
        `perplexity` and `codebook_usage` of the codes of all of x;
        and for elbo, nll and mse the standard error over examples, `elbo_stderr` etc.

    Raises:
        ValueError: if `x` is not data that the model takes or an argument is out of range.
    """
    check_whole("num_samples", num_samples, 1)
    distortion, rate = model.distortion_and_rate(x, seed=seed, batch_size=batch_size)
    nll = -model.log_likelihood(x, num_samples, seed=seed)
    code = model.encode(x, batch_size)
    residual = scaled(as_array(x)) - model.decode(code, batch_size)
    per_example = {
        "elbo": -distortion - rate,
        "nll": nll,
        "mse": np.mean(np.square(residual), axis=tuple(range(1, residual.ndim))),
    }
    means = {name: float(np.mean(values, dtype="float64")) for name, values in per_example.items()}
    errors = {
        f"{name}_stderr": float(np.std(values) / math.sqrt(len(values)))
        for name, values in per_example.items()
    }
    return {
        "elbo": means["elbo"],
        "rate": float(np.mean(rate, dtype="float64")),
        "distortion": float(np.mean(distortion, dtype="float64")),
        "nll": means["nll"],
        "bits_per_dim": means["nll"] / (math.prod(model.data_shape) * math.log(2)),
        "mse": means["mse"],
        **_use_of_latent(model, code),
        **errors,
    }


def published_metrics(model, protocol: str, *, source=None, num_samples=100) -> dict:
    """`evaluate` under a named protocol, the one that registry entries speak of.

    `mnist-dynamic` and `fashion-dynamic`: the 10,000 test images; those of a Bernoulli model are
    binarised once (see `data.binarized_once`) for the likelihoods and grey for the errors.

    Args:
        model: a `keras_vae.VAE`.
        protocol: name of the protocol.
        source: an .npz of its data set. Defaults to None, tensorflow-datasets.
        num_samples: importance samples K of `nll`. Defaults to 100.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"Unknown protocol {protocol!r}. Available: {', '.join(PROTOCOLS)}.")
    parts = data.load(PROTOCOLS[protocol] if source is None else source)
    if weights.likelihood_name(model) != "bernoulli":
        return evaluate(model, parts.x_test, num_samples=num_samples)
    grey = evaluate(model, parts.x_test, num_samples=1)
    binary = evaluate(model, data.binarized_once(parts)[1], num_samples=num_samples)
    of_grey = ("mse", "mse_stderr", "active_units", "perplexity", "codebook_usage")
    return {**binary, **{name: grey[name] for name in of_grey if name in grey}}


def verify(name: str, *, source=None, quick=False) -> list[dict]:
    """Recomputes the published numbers of a model on this machine and backend.

    Args:
        name: name of a published model.
        source: an .npz of its data set. Defaults to None, tensorflow-datasets.
        quick: check only the weights' size, sha256 and fingerprint, which needs no data.

    Returns:
        A list of dicts of `quantity`, `got`, `published`, `tolerance`, `pass`.

    Raises:
        ValueError: if there is no such model, or its weights are not the published ones.
    """
    entry = hub.info(name)
    model = hub.load(name)
    rows = [
        _row(f"fingerprint {i + 1}", got, published, weights.tolerance(published))
        for i, (got, published) in enumerate(zip(weights.fingerprint(model), entry["fingerprint"]))
    ]
    if quick:
        return rows
    metrics = entry["metrics"]
    got = published_metrics(
        model, metrics["protocol"], source=source, num_samples=metrics["num_samples"]
    )
    tolerances = entry["tolerances"]
    return rows + [_row(key, got[key], metrics[key], tolerances[key]) for key in tolerances]


def _row(quantity, got, published, tolerance):
    return {
        "quantity": quantity,
        "got": got,
        "published": published,
        "tolerance": tolerance,
        "pass": bool(abs(got - published) <= tolerance),
    }


def _use_of_latent(model, code):
    if model.latent.stochastic:
        return {"active_units": int(np.sum(np.var(code, axis=0) > ACTIVE))}
    share = np.bincount(code.ravel(), minlength=model.latent.num_codes) / code.size
    used = share[share > 0]
    return {
        "perplexity": float(np.exp(-np.sum(used * np.log(used)))),
        "codebook_usage": float(len(used) / model.latent.num_codes),
    }
