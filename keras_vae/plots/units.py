"""Units of a code: how much data uses each of them, and between which values each one lies."""

import math

import numpy as np

from keras_vae.checks import check_number


def unit_values(model, x, codes):
    """How much data uses each number of a float code.

    Args:
        model: a `keras_vae.VAE`.
        x: data.
        codes: its codes, `(n, *code_shape)`.

    Returns:
        A value for each number of a code, flat; what the values are; and their unit, or "".
    """
    latent, size = model.latent, math.prod(codes.shape[1:])
    if latent.has_unit_rates:
        rates = model.latent_rates(x).mean(axis=0)
        if rates.size == size:
            return rates.ravel(), "mean rate", "nats"
    use = latent.use(codes)
    if np.size(use.values) == size:
        return np.ravel(use.values), use.label, ""
    return np.var(codes, axis=0).ravel(), "variance of the code over the data", ""


_DRAWS = 1000  # of a prior, to see where they lie


def unit_ranges(latent, codes, span=None):
    """The range of each number of a float code, in which 99.8 % of the codes lie.

    It also holds what the prior draws: -3 to 3 for the standard normal one, for any other 99.8 % of
    its draws.

    Args:
        latent: the codes' latent.
        codes: `(n, *code_shape)`.
        span: a range from -span to span instead. Defaults to None.

    Returns:
        The lowest and the highest value of each, flat.
    """
    if span is not None:
        high = np.full(math.prod(codes.shape[1:]), check_number("span", span, 0))
        return -high, high
    low, high = _bulk(codes)
    if latent.has_unit_rates:  # the prior is N(0, I)
        return np.minimum(np.rint(low), -3), np.maximum(np.rint(high), 3)
    if latent.generates:
        shape = codes.shape[1:] if None in latent.code_spec.shape else None
        draws = _bulk(latent.sample_prior(_DRAWS, np.random.default_rng(0), shape))
        low, high = np.minimum(low, draws[0]), np.maximum(high, draws[1])
    is_constant = low == high
    return low - is_constant, high + is_constant


def _bulk(codes):
    return np.quantile(codes.reshape(len(codes), -1), (0.001, 0.999), axis=0)
