"""Student's t likelihood of real data with outliers, with a scale for each value."""

import math

import keras
from keras import ops

from keras_vae.checks import check_number
from keras_vae.likelihoods.base import seeds_of
from keras_vae.likelihoods.location_scale import LocationScale

_FEWEST = 3.0  # degrees of freedom by which training begins
_FAR = 1e6  # where 1 + u^2 is u^2 in float32


@keras.saving.register_keras_serializable(package="keras_vae")
class StudentT(LocationScale):
    """Independent values of Student's t-distribution: far ones cost little.

    The decoder returns the means of all channels, then the logarithms of their scales. A scale is
    not the standard deviation, which is sqrt(df / (df - 2)) times it, if df > 2.

    Args:
        df: degrees of freedom, above 1; the larger, the more Gaussian. Defaults to 5.
        min_scale: the smallest scale, in units of the data: without one, the density of values
            that are always the same would grow without limit. Defaults to 0.001.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(self, df=5.0, min_scale=1e-3):
        super().__init__(min_scale)
        self.df = check_number("df", df, 1.0)
        if self.df == 1:
            raise ValueError("df must be above 1: with df=1 there is no mean.")
        # Of few degrees of freedom it is infinite, or far larger than most errors are.
        df = max(self.df, _FEWEST)
        self.deviation = math.sqrt(df / (df - 2))

    def log_density(self, u):
        half = (self.df + 1) / 2
        constant = math.lgamma(half) - math.lgamma(half - 0.5) - math.log(self.df * math.pi) / 2
        # log(1 + u^2 / df), in two parts because the square of a large number overflows
        size = ops.abs(u) / math.sqrt(self.df)
        near, far = ops.minimum(size, _FAR), ops.maximum(size, _FAR)
        return constant - half * (ops.log1p(ops.square(near)) + 2 * ops.log(far / _FAR))

    def noise(self, shape, seed):
        of_normal, of_gamma = seeds_of(seed, 2)
        normal = keras.random.normal(shape, dtype="float32", seed=of_normal)
        gamma = keras.random.gamma(shape, self.df / 2, dtype="float32", seed=of_gamma)
        return normal / ops.sqrt(2 * gamma / self.df)

    def get_config(self):
        return {"df": self.df, **super().get_config()}
