"""The logarithm of the gamma function, which keras.ops lacks, for float32."""

import math

from keras import ops

_LARGE = 8.0  # from here on three terms of Stirling's series are exact to float32
_STEPS = 8


def log_gamma(z):
    """log Gamma(z) of z > 0: Stirling's series, after z is raised above 8 by its recurrence.

    Abramowitz & Stegun 1964, 6.1.15 and 6.1.41.
    """
    small = z < _LARGE
    from_zero = ops.where(small, z, 1.0)  # of others the product may overflow
    product = from_zero
    for step in range(1, _STEPS):
        product = product * (from_zero + step)
    raised = ops.where(small, z + _STEPS, z)
    value = (raised - 0.5) * ops.log(raised) - raised + 0.5 * math.log(2 * math.pi)
    return value + _series(raised) - ops.where(small, ops.log(product), 0.0)


def log_rising(z, n):
    """log Gamma(z + n) - log Gamma(z) of z > 0 and n >= 0, exact where z is much larger than n."""
    large = z > _LARGE
    z1 = ops.where(large, z, _LARGE)
    difference = (z1 - 0.5) * ops.log1p(n / z1) + n * ops.log(z1 + n) - n
    difference = difference + _series(z1 + n) - _series(z1)
    z0 = ops.where(large, _LARGE, z)
    return ops.where(large, difference, log_gamma(z0 + n) - log_gamma(z0))


def _series(z):
    inverse = 1.0 / z
    square = inverse * inverse
    return inverse * (1 / 12 - square * (1 / 360 - square / 1260))
