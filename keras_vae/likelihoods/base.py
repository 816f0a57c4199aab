"""What every likelihood offers: log p(x|z) in nats per example, and how data is read."""

import math

import keras
import numpy as np
from keras import ops

OBSERVED = ("binary", "levels", "counts", "reals")
_ROUNDING = 1e-6  # how far beyond [0, 1] values may be by rounding


class Likelihood:
    """The interface of a likelihood p(x|z).

    Subclass it and register the class with `keras.saving.register_keras_serializable` to use your
    own. Only `log_prob` is required, plus `mean` where no `mean_activation` fits. A likelihood with
    weights is a `keras.layers.Layer` too, as `LearnedGaussian` is.

    Class attributes declare what the rest of the library needs to know:

    - `observes`: `"binary"` values, `"levels"` (such as the 256 of 8-bit images, scaled to [0, 1]),
      `"counts"` (whole numbers from 0) or `"reals"` (default). Data is checked against it. All but
      reals have probabilities, which `bits_per_dim` expresses in bits.
    - `num_levels`: how many levels there are, if it observes levels. Defaults to 256.
    - `outputs_per_value`: decoder outputs for each value of the data, along the last axis.
      Defaults to 1. Define `output_shape` where it is not the same for all shapes.
    - `mean_activation`: name of the Keras activation that takes decoder outputs to the mean, or
      None (default) if there is none.
    - `uint8_scale`: what uint8 data is divided by. Defaults to 255; to 1 for counts, and to the
      highest level for levels.
    """

    observes = "reals"
    num_levels = 256
    outputs_per_value = 1
    mean_activation = None

    @property
    def linear_start(self):
        """Whether `begin_at` is defined, so that training can begin at principal components."""
        return type(self).begin_at is not Likelihood.begin_at

    @property
    def uint8_scale(self):
        """What uint8 data is divided by."""
        scales = {"counts": 1.0, "levels": self.num_levels - 1.0}
        return scales.get(self.observes, 255.0)

    @property
    def in_unit_range(self):
        """Whether data must be in [0, 1]."""
        return self.observes in ("binary", "levels")

    @property
    def is_code_length(self):
        """Whether -log p(x|z) is the length of a code, which bits per dimension can express.

        If not, it is a density, which depends on the units of the data.
        """
        return self.observes != "reals"

    @property
    def no_bits_per_dim(self):
        """Why there are no bits per dimension, a sentence; None if there are."""
        if self.is_code_length:
            return None
        return (
            f"{type(self).__name__} is a density, which depends on the units of the data and has "
            'no bits per dimension. Use a likelihood of levels, such as "discretised_logistic".'
        )

    def bits_per_dim(self, nll, values):
        """Converts nats per example to bits per value: nll / (values log 2).

        Args:
            nll: -log p(x), or an upper bound on it, in nats per example.
            values: how many values an example has.

        Raises:
            ValueError: if the likelihood is a density.
        """
        if self.no_bits_per_dim:
            raise ValueError(self.no_bits_per_dim)
        return nll / (values * math.log(2))

    def output_shape(self, data_shape):
        """The shape of the decoder's outputs for one example of a shape."""
        return (*data_shape[:-1], data_shape[-1] * self.outputs_per_value)

    def log_prob(self, x, outputs):
        """Log-probability or log-density of `x` given a decoder's outputs.

        Args:
            x: data, `(n, *data_shape)`, as `observe` returns it.
            outputs: decoder outputs, `(n, *output_shape)`, or `(M, n, *output_shape)` for several
                outputs per example.

        Returns:
            `(n,)`, or `(M, n)`: nats per example, float32.
        """
        raise NotImplementedError

    def mean(self, outputs):
        """Expected data given the decoder's outputs, `(..., *data_shape)`."""
        if self.mean_activation is None or self.outputs_per_value != 1:
            raise NotImplementedError(f"{type(self).__name__} must define mean(outputs).")
        return keras.activations.get(self.mean_activation)(ops.cast(outputs, "float32"))

    def sample(self, outputs, seed=None):
        """Draws data given the decoder's outputs, `(..., *data_shape)`."""
        raise NotImplementedError

    def begin_at(self, covariance):
        """Returns the decoder outputs that training begins with; sets the likelihood's own weights.

        Args:
            covariance: that of the errors of a place's channels, NumPy `(channels, channels)`, in
                units of the data squared.

        Returns:
            A tuple `(matrix, offsets, variance)`: NumPy `(channels, outputs)` and `(outputs,)`, by
            which the outputs of a place are `mean @ matrix + offsets` (the mean itself if there is
            one output for each value), and the variance of the noise, a number.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define begin_at.")

    def read(self, x):
        """Converts data to float32; uint8 is divided by `uint8_scale`.

        Args:
            x: a NumPy array or a tensor.
        """
        is_uint8 = keras.backend.standardize_dtype(x.dtype) == "uint8"
        x = x.astype("float32") if isinstance(x, np.ndarray) else ops.cast(x, "float32")
        return x / np.float32(self.uint8_scale) if is_uint8 else x

    def observe(self, x, uniform):
        """Turns what the user has into what the likelihood describes. Returns `x` by default.

        Args:
            x: float32 data, `(n, *data_shape)`, as `read` returns it.
            uniform: a function of a shape that draws uniform numbers in [0, 1).
        """
        return x

    def check(self, x):
        """Raises ValueError if the NumPy array `x` (finite, not uint8) is not what is observed."""
        low, high = float(x.min()), float(x.max())
        kind, scale = type(self).__name__, f"{self.uint8_scale:g}"
        excess = max(-low, high - 1) if self.in_unit_range else 0.0
        if excess > _ROUNDING:
            remedy = (
                f"Divide by {scale}, pass uint8" if excess > 0.02 else "Clip them: np.clip(x, 0, 1)"
            )
            if -1 - _ROUNDING <= low < -0.02 and high <= 1 + _ROUNDING:
                remedy = "If they are in [-1, 1], pass (x + 1) / 2"
            raise ValueError(
                f"The likelihood ({kind}) takes values in [0, 1], or uint8, which is divided by "
                f"{scale}. Received values from {low:.7g} to {high:.7g}. {remedy}, or use "
                'likelihood="gaussian".'
            )
        steps = self.uint8_scale * x if self.observes == "levels" else 0.0
        if np.any(np.abs(steps - np.rint(steps)) > 0.01):
            if x.dtype.name == "bfloat16":
                raise ValueError(
                    f"bfloat16 does not hold the {self.num_levels} levels that a {kind} likelihood "
                    "takes. Pass uint8 or float32."
                )
            raise ValueError(
                f"A {kind} likelihood takes {self.num_levels} levels: uint8, or multiples of "
                f"1/{scale}. Received values between them: round with "
                f"np.rint({scale} * x) / {scale}."
            )
        if self.observes == "counts" and (low < 0 or np.any(x != np.rint(x))):
            raise ValueError(
                f"A {kind} likelihood takes counts: whole numbers of at least 0. "
                f"Received values from {low:g} to {high:g}."
            )

    def check_uint8(self, x):
        """Raises ValueError if the uint8 array `x` holds more levels than are observed."""
        if self.observes == "levels" and self.num_levels < 256 and x.max() >= self.num_levels:
            raise ValueError(
                f"This {type(self).__name__} likelihood takes {self.num_levels} levels: uint8 from "
                f"0 to {self.num_levels - 1}. Received values up to {x.max()}."
            )

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def sum_over_data(values, x):
    """Sums the values of each example: `(n, *data_shape)` or `(M, n, *data_shape)` to nats."""
    return ops.sum(values, axis=tuple(range(1 - len(x.shape), 0)))


def seeds_of(seed, draws):
    """Returns a seed for each of several draws: with one whole number all would be the same draw.

    Args:
        seed: a whole number, a `keras.random.SeedGenerator`, which moves on by itself, or None.
        draws: how many seeds.
    """
    if seed is None or isinstance(seed, keras.random.SeedGenerator):
        return [seed] * draws
    return [int(one) for one in np.random.SeedSequence(seed).generate_state(draws) >> 1]


def bounded(values, low, high):
    """Keeps values between two bounds, smoothly; values far within them stay as they are."""
    values = ops.clip(values, low - 50.0, high + 50.0)  # else rounding would lose the bound
    return values + ops.softplus(low - values) - ops.softplus(values - high)
