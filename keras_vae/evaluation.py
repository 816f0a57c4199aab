"""Numbers about a trained model: likelihoods, reconstruction, use of the latent."""

import math

import numpy as np

from keras_vae import progress
from keras_vae.checks import as_array, check_whole, scaled
from keras_vae.latents.gaussian import ACTIVE


def evaluate(model, x, *, num_samples=100, seed=0, batch_size=256) -> dict:
    """Measures a model on data, with a progress bar in a terminal.

    All likelihoods are in nats per example, with every constant, at beta = 1; the K samples of
    the posterior serve all of them. `_stderr` is the standard error over the examples of x, that
    of the model's figure on data like these; `_mc_stderr` is the Monte-Carlo one, how far another
    seed would move the figure for these examples. One example, or sample, cannot tell: None.

    Args:
        model: a `keras_vae.VAE`.
        x: data `(n, *data_shape)`. Under a Bernoulli likelihood the likelihoods are those of a
            binary image drawn from each grey one; the errors are those of the image as given.
        num_samples: samples K of the posterior per example. Defaults to 100; published tables of
            NLL use 5000. A VQ model's posterior is one point and needs none.
        seed: whole number that fixes the noise, on every backend. Defaults to 0.
        batch_size: examples per pass. Defaults to 256. The memory used does not grow with K.

    Returns:
        A dict of means over the examples:
        `elbo`: = -distortion - rate (Kingma & Welling 2014, eq. 3);
        `distortion`: -E_q[log p(x|z)]; `rate`: KL(q(z|x) || p(z)), or the code length of a VQ
        model under its prior;
        `nll`: the importance-weighted bound on -log p(x) with K samples (Burda et al. 2015, eq. 8);
        `bits_per_dim`: nll / (d log 2), for d values per example;
        `mse`: squared error of `reconstruct(x)` per value, of data scaled to [0, 1];
        `mse_sampled`: the same of decoded posterior samples;
        `psnr`: -10 log10(mse), in dB, for a range of 1;
        `num_samples`: K;
        and `elbo_stderr`, `rate_stderr`, `distortion_stderr`, `nll_stderr`, `mse_stderr`,
        `elbo_mc_stderr`, `nll_mc_stderr`. For a Gaussian latent also
        `active_units`: latents with Var_x(E_q[z]) > 0.01 (Burda et al. 2015, section 5), and under
        the prior N(0, I) `latent_rates`: each latent's share of the rate, a list in the latents'
        order; for a VQ model `perplexity` (exp of the entropy) and `codebook_usage` of the codes
        of all of x.

    Raises:
        ValueError: if `x` is not data that the model takes or an argument is out of range.
    """
    check_whole("num_samples", num_samples, 1)
    options = {"seed": seed, "batch_size": batch_size}
    code = model.encode(x, batch_size)
    with progress.bar("examples", len(code)) as done:
        terms = model.importance_terms(x, num_samples, progress=done, **options)
    num_samples = num_samples if model.latent.stochastic else 1
    per_example = {
        "elbo": -terms["distortion"] - terms["rate"],
        "distortion": terms["distortion"],
        "rate": terms["rate"],
        "nll": -terms["log_likelihood"],
        "mse": _squared_error(x, model.decode(code, batch_size)),
    }
    z = model.sample_posterior(x, seed, batch_size=batch_size)
    result = {name: float(np.mean(values, dtype="float64")) for name, values in per_example.items()}
    result |= {
        "bits_per_dim": result["nll"] / (math.prod(model.data_shape) * math.log(2)),
        "mse_sampled": float(np.mean(_squared_error(x, model.decode(z, batch_size)))),
        "psnr": -10 * math.log10(result["mse"]) if result["mse"] else math.inf,
        "num_samples": num_samples,
        **_use_of_latent(model, x, code, batch_size),
    }
    for name, values in per_example.items():
        error = float(np.std(values) / math.sqrt(len(values)))
        result[f"{name}_stderr"] = None if len(values) == 1 else error
    for name, key in (("elbo", "elbo_variance"), ("nll", "log_likelihood_variance")):
        error = math.sqrt(max(0.0, terms[key].sum())) / len(code)
        one_of_many = model.latent.stochastic and num_samples == 1
        result[f"{name}_mc_stderr"] = None if one_of_many else error
    return result


def _squared_error(x, images):
    """Mean over the values of each example, `(n,)`."""
    residual = scaled(as_array(x)) - images
    return np.mean(np.square(residual), axis=tuple(range(1, residual.ndim)), dtype="float64")


def _use_of_latent(model, x, code, batch_size):
    if not model.latent.stochastic:
        share = np.bincount(code.ravel(), minlength=model.latent.num_codes) / code.size
        used = share[share > 0]
        return {
            "perplexity": float(np.exp(-np.sum(used * np.log(used)))),
            "codebook_usage": float(len(used) / model.latent.num_codes),
        }
    active = {"active_units": int(np.sum(np.var(code, axis=0) > ACTIVE))}
    if not model.latent.closed_form:
        return active
    rates = np.mean(model.latent_rates(x, batch_size), axis=0, dtype="float64")
    return {**active, "latent_rates": rates.tolist()}
