"""What the page needs to draw from a model's prior."""

import keras
import numpy as np

from keras_vae.explorer.activations import get_activation_name

_FORMULAS = ("normal", "mixture", "realnvp")  # that the page computes


def describe(latent, store) -> dict:
    """Returns how the page draws codes: its `kind`, and what that needs.

    The page computes the formulas of `keras_vae.priors.Prior.formula`. Of any other prior the file
    holds a `"pool"` of draws; a model that does not generate has `"none"`.
    """
    if not latent.generates:
        return {"kind": "none"}
    prior = latent.prior
    formula = prior and prior.formula()
    if formula and formula["kind"] in _FORMULAS:
        rngs = [np.random.default_rng(0) for _ in range(2)]
        # Only if the latent's codes are the prior's draws as they are.
        if np.array_equal(latent.sample_prior(2, rngs[0]), prior.sample(2, rngs[1])):
            if "activation" in formula:
                activation = keras.activations.get(formula["activation"])
                formula["activation"] = get_activation_name(activation, "the prior")
            return _pack(formula, store)
    is_integer = bool(latent.code_spec.num_codes)
    draws = latent.sample_prior(64 if is_integer else 256, np.random.default_rng(0))
    draws = draws.reshape(len(draws), -1)
    if is_integer:
        return {"kind": "pool", "draws": draws.tolist()}
    return {"kind": "pool", "count": len(draws), "latents": store.add(draws)}


def _pack(value, store):
    """Puts arrays of numbers in the store; whole ones, which are few, become lists."""
    if isinstance(value, dict):
        return {key: _pack(item, store) for key, item in value.items()}
    if isinstance(value, list):
        return [_pack(item, store) for item in value]
    if isinstance(value, np.ndarray):
        return store.add(value) if value.dtype.kind == "f" else value.tolist()
    return value
