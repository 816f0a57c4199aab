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


def unit_ranges(latent, codes, span=None):
    """The range of each number of a float code, in which 99.8 % of the codes lie.

    It includes -3 and 3 if codes may also come from a prior.

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
    low, high = np.quantile(codes.reshape(len(codes), -1), (0.001, 0.999), axis=0)
    if latent.generates:
        return np.minimum(np.rint(low), -3), np.maximum(np.rint(high), 3)
    is_constant = low == high
    return low - is_constant, high + is_constant
