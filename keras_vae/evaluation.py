"""Numbers about a trained model: likelihoods, reconstruction, use of the latent; and `verify`."""

import math

import numpy as np

from keras_vae import data, hub, progress
from keras_vae.checks import as_array, check_whole
from keras_vae.hub import fingerprint as weights

PROTOCOLS = {"mnist-dynamic": "mnist", "fashion-dynamic": "fashion-mnist"}
_OF_GREY = (
    *("mse", "mse_stderr", "mse_sampled", "psnr"),
    *("active_units", "perplexity", "codebook_usage"),
)


def evaluate(model, x, *, num_samples=100, seed=0, batch_size=256) -> dict:
    """Measures a model on data, with a progress bar in a terminal.

    All likelihoods are in nats per example, with every constant, at beta = 1; the same K posterior
    samples serve all of them. `_stderr` is the standard error over the examples of x, which is that
    of the model's figure on data like these. `_mc_stderr` is the Monte-Carlo standard error: how
    much another seed would change the figure for these examples. None for a single example or
    sample.

    Args:
        model: a `keras_vae.VAE`.
        x: data `(n, *data_shape)`. Under a Bernoulli likelihood the likelihoods are those of a
            binary image drawn from each grey one; the errors are those of the image as given.
        num_samples: samples K of the posterior per example. Defaults to 100; published tables of
            NLL use 5000. Ignored where the posterior is a single point, as in a VQ model.
        seed: whole number that fixes the noise, on every backend. Defaults to 0.
        batch_size: examples per pass. Defaults to 256. The memory used does not grow with K.

    Returns:
        A dict of means over the examples:
        `elbo`: = -distortion - rate (Kingma & Welling 2014, eq. 3);
        `distortion`: -E_q[log p(x|z)]; `rate`: KL(q(z|x) || p(z)), or the code length of a VQ
        model under its prior;
        `nll`: the importance-weighted bound on -log p(x) with K samples (Burda et al. 2015, eq. 8);
        `bits_per_dim`: nll / (d log 2), for d values per example, unless the likelihood is a
        density, which depends on the units of the data;
        `mse`: squared error of `reconstruct(x)` per value, of the data as the networks read it;
        `mse_sampled`: the same of decoded posterior samples;
        `psnr`: -10 log10(mse), in dB, for a range of 1;
        `num_samples`: K;
        and `elbo_stderr`, `rate_stderr`, `distortion_stderr`, `nll_stderr`, `mse_stderr`,
        `elbo_mc_stderr`, `nll_mc_stderr`. Also the use of the latent: `active_units` (those with
        Var_x(E_q[z]) > 0.01, Burda et al. 2015, section 5), or `perplexity` (exp of the entropy)
        and `codebook_usage` of the codes of all of x; and `latent_rates`, the share of each latent
        in the rate, a list in the latents' order, if the rate is their sum.
        A plain autoencoder has no likelihoods: only the errors and the use of its latent.

    Raises:
        ValueError: if `x` is not data that the model takes or an argument is out of range.
    """
    check_whole("num_samples", num_samples, 1)
    code = model.encode(x, batch_size)
    per_example = {"mse": _squared_error(model, x, model.decode(code, batch_size))}
    result, terms = {}, {}
    if not model.latent.no_bound:
        with progress.bar("examples", len(code)) as done:
            terms = model.importance_terms(
                x, num_samples, seed=seed, batch_size=batch_size, progress=done
            )
        per_example |= {
            "elbo": -terms["distortion"] - terms["rate"],
            "distortion": terms["distortion"],
            "rate": terms["rate"],
            "nll": -terms["log_likelihood"],
        }
        z = model.sample_posterior(x, seed, batch_size=batch_size)
        sampled = _squared_error(model, x, model.decode(z, batch_size))
        result["mse_sampled"] = float(np.mean(sampled))
    for name, values in per_example.items():
        result[name] = float(np.mean(values, dtype="float64"))
        error = float(np.std(values) / math.sqrt(len(values)))
        result[f"{name}_stderr"] = None if len(values) == 1 else error
    result["psnr"] = -10 * math.log10(result["mse"]) if result["mse"] else math.inf
    result |= model.latent.use(code).figures
    if model.latent.has_unit_rates:
        rates = np.mean(model.latent_rates(x, batch_size), axis=0, dtype="float64")
        result["latent_rates"] = rates.tolist()
    if not terms:
        return result
    if model.likelihood.is_code_length:
        result["bits_per_dim"] = result["nll"] / (math.prod(np.shape(x)[1:]) * math.log(2))
    is_point = model.latent.code_spec.noise_shape is None
    result["num_samples"] = 1 if is_point else num_samples
    for name, key in (("elbo", "elbo_variance"), ("nll", "log_likelihood_variance")):
        error = math.sqrt(max(0.0, terms[key].sum())) / len(code)
        one_of_many = not is_point and num_samples == 1
        result[f"{name}_mc_stderr"] = None if one_of_many else error
    return result


def published_metrics(model, protocol: str, *, source=None, num_samples=100) -> dict:
    """`evaluate` under a named protocol, the one that registry entries speak of.

    `mnist-dynamic` and `fashion-dynamic`: the 10,000 test images; those of a Bernoulli model are
    binarised once (see `data.binarized_once`) for the likelihoods and grey for the errors.

    Args:
        model: a `keras_vae.VAE`.
        protocol: name of the protocol.
        source: an .npz of its data set. Defaults to None, tensorflow-datasets.
        num_samples: samples K of the posterior per example. Defaults to 100.

    Returns:
        The dict of `evaluate`, and `protocol`.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"Unknown protocol {protocol!r}. Available: {', '.join(PROTOCOLS)}.")
    parts = data.load(PROTOCOLS[protocol] if source is None else source)
    if parts.x_test is None:
        raise ValueError(f"{source} must hold x_test, the images that are measured.")
    if model.likelihood.observes != "binary":
        result = evaluate(model, parts.x_test, num_samples=num_samples)
    else:
        result = evaluate(model, data.binarized_once(parts)[1], num_samples=num_samples)
        grey = evaluate(model, parts.x_test, num_samples=1)
        result |= {name: grey[name] for name in _OF_GREY if name in grey}
    return {"protocol": protocol, **result}


def compare(first: dict, second: dict) -> dict:
    """Differences of two results of `published_metrics`, first minus second.

    Args:
        first: a result.
        second: another of the same protocol.

    Returns:
        A dict of `elbo`, `nll`, `mse`: each a pair, the difference and the standard error over
        examples of the difference were the two independent (they share their data, so that it
        is rather too large).

    Raises:
        ValueError: if the protocols differ, or the numbers of samples of the NLL: such numbers
            cannot be compared.
    """
    for key, meaning in (("protocol", "protocols"), ("num_samples", "numbers of samples K")):
        if first.get(key) is None or first.get(key) != second.get(key):
            raise ValueError(
                f"Results of different {meaning} cannot be compared. "
                f"Received: {first.get(key)!r} and {second.get(key)!r}"
            )
    return {
        name: (
            first[name] - second[name],
            math.hypot(first[f"{name}_stderr"], second[f"{name}_stderr"]),
        )
        for name in ("elbo", "nll", "mse")
    }


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
    return rows + checks(got, metrics, entry["tolerances"])


def checks(got: dict, published: dict, tolerances: dict) -> list[dict]:
    """Holds figures against published ones, each that has a tolerance.

    Returns:
        A list of dicts of `quantity`, `got`, `published`, `tolerance`, `pass`.
    """
    return [_row(key, got[key], published[key], tolerances[key]) for key in tolerances]


def _row(quantity, got, published, tolerance):
    return {
        "quantity": quantity,
        "got": got,
        "published": published,
        "tolerance": tolerance,
        "pass": bool(abs(got - published) <= tolerance),
    }


def _squared_error(model, x, images):
    """Mean over the values of each example, `(n,)`."""
    residual = model.likelihood.read(as_array(x)) - images
    return np.mean(np.square(residual), axis=tuple(range(1, residual.ndim)), dtype="float64")
