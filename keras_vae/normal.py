"""The normal distribution: log-density and KL divergence of each value, in nats."""

import math

from keras import ops

LOG_2_PI = math.log(2 * math.pi)


def log_density(u, log_var=0.0):
    """log N(x; mean, var) = -1/2 (log 2 pi + log_var + u^2), with u = (x - mean) / stddev."""
    return -0.5 * (LOG_2_PI + log_var + ops.square(u))


def kl_to_standard(mean, log_var):
    """KL(N(mean, var) || N(0, 1)) = -1/2 (1 + log_var - mean^2 - var).

    Kingma & Welling 2014, arXiv 1312.6114, appendix B.
    """
    return -0.5 * (1.0 + log_var - ops.square(mean) - ops.exp(log_var))


def sum_per_example(values):
    """Sums all axes but the first: `(n, ...)` to `(n,)`."""
    return ops.sum(values, axis=tuple(range(1, len(values.shape))))
