"""Random numbers at a temperature: normal noise with a larger or smaller standard deviation."""

import numpy as np


class Tempered(np.random.Generator):
    """A NumPy generator whose normal numbers have their standard deviation multiplied.

    Priors that draw normal noise are so sampled at a temperature; at 0 a Gaussian gives its mean.

    Args:
        seed: a whole number.
        temperature: the factor, at least 0.
    """

    def __init__(self, seed, temperature):
        super().__init__(np.random.PCG64(seed))  # that of default_rng
        self.temperature, self.used = temperature, False

    def standard_normal(self, size=None, dtype="float64", out=None):
        self.used = True
        noise = super().standard_normal(size, dtype, out)
        noise *= np.asarray(self.temperature, dtype)
        return noise

    def normal(self, loc=0.0, scale=1.0, size=None):
        self.used = True
        return super().normal(loc, np.multiply(scale, self.temperature), size)
