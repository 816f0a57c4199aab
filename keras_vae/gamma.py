"""The logarithm of the gamma function, which keras.ops lacks, for float32."""

import math

from keras import ops

LARGE = 8.0  # from here on three terms of Stirling's series are exact to float32
_STEPS = 8


def log_gamma(z):
    """log Gamma(z) of z > 0: Stirling's series, after z is raised above 8 by its recurrence.

    Abramowitz & Stegun 1964, 6.1.15 and 6.1.41.
    """
    small = z < LARGE
    from_zero = ops.where(small, z, 1.0)  # of others the product may overflow
    product = from_zero
    for step in range(1, _STEPS):
        product = product * (from_zero + step)
    raised = ops.where(small, z + _STEPS, z)
    value = (raised - 0.5) * ops.log(raised) - raised + 0.5 * math.log(2 * math.pi)
    return value + stirling_error(raised) - ops.where(small, ops.log(product), 0.0)


def log_multisets(r, n):
    """log Gamma(n + r) / (Gamma(r) n!) of r > 0 and n >= 0: how many multisets of n among r.

    With a >= b, which are r and n + 1 in some order, it is log Gamma(a + b - 1) / Gamma(a), by the
    difference of two of Stirling's series, minus log Gamma(b): terms of the size of b log a only.
    """
    a, b, total = ops.maximum(r, n + 1), ops.minimum(r, n + 1), n + r
    large = a > LARGE
    a1, total1 = (ops.where(large, value, LARGE) for value in (a, total))
    difference = (a1 - 0.5) * ops.log1p((b - 1) / a1) + (b - 1) * (ops.log(total1) - 1)
    difference = difference + stirling_error(total1) - stirling_error(a1)
    a0, total0 = (ops.where(large, 1.0, value) for value in (a, total))
    ratio = ops.where(large, difference, log_gamma(total0) - log_gamma(a0))
    return ratio - log_gamma(b)


def stirling_error(z):
    """What Stirling's formula of log Gamma(z) leaves out, of z >= `LARGE`."""
    inverse = 1.0 / z
    square = inverse * inverse
    return inverse * (1 / 12 - square * (1 / 360 - square / 1260))


def deviance(d):
    """exp(d) - 1 - d: x times it is Loader's deviance between x and the mean x exp(d)."""
    return ops.expm1(d) - d
