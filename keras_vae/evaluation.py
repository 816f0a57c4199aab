"""Numbers about a trained model: likelihoods, reconstruction, use of the latent."""

import math

import numpy as np

from keras_vae import progress
from keras_vae.checks import as_array, check_whole


def evaluate(model, x, *, num_samples=100, seed=0, batch_size=256) -> dict:
    """Measures a model on data, with a progress bar in a terminal.

    All likelihoods are in nats per example, with every constant, at beta = 1; the same K posterior
    samples serve all of them. `_stderr` is the standard error over the examples. `_mc_stderr` is
    the Monte Carlo error: how much another seed would change the figure. Both are None if there is
    only one example or sample.

    Args:
        model: a `keras_vae.VAE`.
        x: data `(n, *data_shape)` that the model was not trained on, as figures of its training
            data are better. Under a Bernoulli likelihood the likelihoods are those of a
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


def _squared_error(model, x, images):
    """Mean over the values of each example, `(n,)`."""
    residual = model.likelihood.read(as_array(x)) - images
    return np.mean(np.square(residual), axis=tuple(range(1, residual.ndim)), dtype="float64")
