"""What the page needs to draw from a model's prior."""

import numpy as np
from keras import ops

from keras_vae.explorer.networks import activation_name
from keras_vae.priors import MixtureOfGaussians, RealNVP, StandardNormal, VampPrior

_POOL = {"latents": 256, "codes": 64}  # draws that the file holds of a prior without a formula


def described(latent, store) -> dict:
    """Returns how the page draws latents or codes: its `kind`, and what that needs.

    `"normal"`, `"mixture"` and `"realnvp"` draw in the page. Of any other prior, and of one over
    codes, the file holds a `"pool"` of draws; a VQ model without a prior has `"none"`.
    """
    if not latent.stochastic:
        return _pool(latent, "codes") if latent.generates else {"kind": "none"}
    prior = latent.prior
    if type(prior) is StandardNormal:
        return {"kind": "normal"}
    if type(prior) in (MixtureOfGaussians, VampPrior):
        log_weight, mean, log_var = map(ops.convert_to_numpy, prior.parts())
        return {
            "kind": "mixture",
            "weights": store.add(np.exp(log_weight)),
            "mean": store.add(mean),
            "stddev": store.add(np.exp(0.5 * log_var)),
        }
    return _flow(prior, store) if type(prior) is RealNVP else _pool(latent, "latents", store)


def _flow(prior, store):
    """The couplings in the order in which they are undone, last first."""
    layers = [
        [(ops.convert_to_numpy(k)[i], ops.convert_to_numpy(b)[i]) for i in range(prior.couplings)]
        for k, b in zip(prior.kernels, prior.biases)
    ]
    couplings = [
        {
            "kept": [int(kept) for kept in prior.masks[i][0]],
            "layers": [dict(zip(("kernel", "bias"), map(store.add, of[i]))) for of in layers],
        }
        for i in reversed(range(prior.couplings))
    ]
    activation = activation_name(prior._activate, "the prior")
    return {"kind": "realnvp", "couplings": couplings, "activation": activation}


def _pool(latent, what, store=None):
    draws = latent.sample_prior(_POOL[what], np.random.default_rng(0))
    draws = draws.reshape(len(draws), -1)
    if what == "codes":
        return {"kind": "pool", "draws": draws.tolist()}
    return {"kind": "pool", "count": len(draws), "latents": store.add(draws)}
