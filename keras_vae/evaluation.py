"""Numbers about a trained model: likelihoods, reconstruction, use of the latent."""

import math

import numpy as np
from keras import ops

from keras_vae import progress
from keras_vae.batches import joined
from keras_vae.bounds import TERMS
from keras_vae.checks import check_whole
from keras_vae.fid import InceptionDistance

_WINDOW = 11  # pixels a side of SSIM's window
_RATES = {"latent_rates": "_unit_rates", "layer_rates": "_layer_rates"}  # by methods of the model


def evaluate(model, x, *, num_samples=100, seed=0, batch_size=None, fid=False) -> dict:
    """Measures a model on data, with a progress bar in a terminal.

    All likelihoods are in nats per example, with every constant, at beta = 1; the same K posterior
    samples serve all of them. `_stderr` is the standard error over the examples. `_mc_stderr` is
    the Monte Carlo error: how much another seed would change the figure. Both are None if there is
    only one example or sample.

    Args:
        model: a `keras_vae.VAE`.
        x: data `(n, *data_shape)`, or whatever else `model.encode` takes, such as a pipeline. It is
            read once, a batch at a time, and only its codes stay in memory. Measure data that the
            model was not trained on: figures of its training data are better. Under a Bernoulli
            likelihood the likelihoods are those of a binary image drawn from each grey one; the
            errors are those of the image as given.
        num_samples: samples K of the posterior per example. Defaults to 100; published tables of
            NLL use 5000. Ignored where the posterior is a single point, as in a VQ model.
        seed: whole number that fixes the noise, on every backend. Defaults to 0.
        batch_size: examples per pass, as in `model.encode`. The memory used does not grow with K.
        fid: whether to measure samples too, of grey or colour images: see `fid` below. It takes
            long without a GPU, and downloads the weights of a network (88 MB) once. Defaults to
            False.

    Returns:
        A dict of means over the examples:
        `elbo`: = -distortion - rate (Kingma & Welling 2014, eq. 3);
        `distortion`: -E_q[log p(x|z)]; `rate`: KL(q(z|x) || p(z)), or the code length of a VQ
        model under its prior;
        `nll`: the importance-weighted bound on -log p(x) with K samples (Burda et al. 2015, eq. 8);
        `bits_per_dim`: nll / (d log 2), for d values per example, with the same K; missing if the
        likelihood is a density, which depends on the units of the data and has none;
        `mse`: squared error of `reconstruct(x)` per value, of the data as the networks read it;
        `mse_sampled`: the same of decoded posterior samples;
        `psnr`: -10 log10(mse), in dB, for a range of 1;
        `ssim`: the mean structural similarity of images of at least 11 x 11 and their
        reconstructions (Wang et al. 2004: Gaussian window of 11 x 11, sigma 1.5, a range of 1);
        `num_samples`: K;
        and `elbo_stderr`, `rate_stderr`, `distortion_stderr`, `nll_stderr`, `mse_stderr`,
        `elbo_mc_stderr`, `nll_mc_stderr`. Also the use of the latent: `active_units` (those with
        Var_x(E_q[z]) > 0.01, Burda et al. 2015, section 5), or `perplexity` (exp of the entropy)
        and `codebook_usage` of the codes of all of x; and `latent_rates`, the share of each latent
        in the rate, a list in the latents' order (of lists, if they lie on a map), if the rate is
        their sum; and `layer_rates`, that of each layer of a hierarchy, top first;
        and, if asked for, `fid`: the Frechet Inception distance (Heusel et al. 2017, eq. 6) of x
        and as many images that the model generates from `seed`. Images are resized to 299 x 299,
        bilinearly with antialiasing; the features are the 2,048 pooled ones of Keras's InceptionV3.
        Papers use the weights of another Inception, and other resizing: compare only with figures
        that were computed here, of as many images, since with fewer images the distance is larger.
        A plain autoencoder has no likelihoods: only the errors and the use of its latent.

    Raises:
        ValueError: if `x` is not data that the model takes or an argument is out of range, or with
            `fid` if the model does not generate images.
        ConnectionError: if the network of `fid` cannot be downloaded.
    """
    check_whole("num_samples", num_samples, 1)
    check_whole("seed", seed, 0)
    count = len(x) if len(getattr(x, "shape", ())) else None
    parts, distance = [], InceptionDistance(model, seed, count) if fid else None
    with progress.bar("examples", count) as done:
        for start, batch in model._batches(x, batch_size):
            parts.append(_measure(model, batch, start, num_samples, seed))
            if distance:
                distance.add(model.likelihood.read(batch))
            done(start + len(batch))
    rates = {key: sum(part.pop(key, 0.0) for part in parts) for key in _RATES}
    all_of = {name: joined([part[name] for part in parts]) for name in parts[0]}
    code, size = all_of.pop("code"), math.prod(batch.shape[1:])
    per_example, result = {key: all_of[key] for key in ("mse", "ssim") if key in all_of}, {}
    if not model.latent.no_bound:
        per_example |= {
            "elbo": -all_of["distortion"] - all_of["rate"],
            "distortion": all_of["distortion"],
            "rate": all_of["rate"],
            "nll": -all_of["log_likelihood"],
        }
        result["mse_sampled"] = float(np.mean(all_of["mse_sampled"]))
    for name, values in per_example.items():
        result[name] = float(np.mean(values, dtype="float64"))
        error = float(np.std(values) / math.sqrt(len(values)))
        result[f"{name}_stderr"] = None if len(values) == 1 else error
    result["psnr"] = -10 * math.log10(result["mse"]) if result["mse"] else math.inf
    if distance:
        result["fid"] = distance.compute()
    result |= model.latent.use(code).figures
    for key in _measured_rates(model.latent):
        result[key] = (rates[key] / len(code)).tolist()
    if model.latent.no_bound:
        return result
    if model.likelihood.is_code_length:
        result["bits_per_dim"] = model.likelihood.bits_per_dim(result["nll"], size)
    is_point = model.latent.code_spec.noise_shape is None
    result["num_samples"] = 1 if is_point else num_samples
    for name, key in (("elbo", "elbo_variance"), ("nll", "log_likelihood_variance")):
        error = math.sqrt(max(0.0, all_of[key].sum())) / len(code)
        one_of_many = not is_point and num_samples == 1
        result[f"{name}_mc_stderr"] = None if one_of_many else error
    return result


def _measure(model, batch, start, num_samples, seed):
    """Figures of each example of a batch, `(n,)`, its codes, and the sum of their unit rates."""

    x = model.likelihood.read(batch)

    def squared_error(images):
        residual = x - images
        return np.mean(np.square(residual), axis=tuple(range(1, residual.ndim)), dtype="float64")

    code = ops.convert_to_numpy(model._encode_batch(batch))
    images = model._decode_batch(code)
    figures = {"code": code, "mse": squared_error(images)}
    if x.ndim == 4 and min(x.shape[1:3]) >= _WINDOW:
        ssim = ops.image.ssim(x, images, filter_size=_WINDOW, data_format="channels_last")
        figures["ssim"] = ops.convert_to_numpy(ssim)
    if model.latent.no_bound:
        return figures
    terms = model._importance_batch(num_samples, seed, batch, start)
    z = ops.convert_to_numpy(model._sample_batch(seed, batch, start))
    figures |= dict(zip(TERMS, terms.T)) | {"mse_sampled": squared_error(model._decode_batch(z))}
    for key in _measured_rates(model.latent):
        rates = model._rate_batch(getattr(model, _RATES[key]), batch, start)
        figures[key] = ops.convert_to_numpy(rates).sum(axis=0, dtype="float64")
    return figures


def _measured_rates(latent):
    """The figures of `_RATES` that a latent has."""
    has = {"latent_rates": latent.has_unit_rates, "layer_rates": len(latent.layout) > 1}
    return [key for key in has if has[key]]
