"""What every likelihood offers: log p(x|z) in nats per example, and how data is read."""

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

    - `observes`: `"binary"` values, `"levels"` (the 256 levels of 8-bit images, scaled to [0, 1]),
      `"counts"` (whole numbers from 0) or `"reals"` (default). Data is checked against it.
    - `outputs_per_value`: decoder outputs for each value of the data, along the last axis.
      Defaults to 1.
    - `mean_activation`: name of the Keras activation that takes decoder outputs to the mean, or
      None (default) if there is none.
    - `uint8_scale`: what uint8 data is divided by. Defaults to 255, or 1 for counts.
    """

    observes = "reals"
    outputs_per_value = 1
    mean_activation = None

    @property
    def uint8_scale(self):
        """What uint8 data is divided by."""
        return 1.0 if self.observes == "counts" else 255.0

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
        kind = type(self).__name__
        excess = max(-low, high - 1) if self.in_unit_range else 0.0
        if excess > _ROUNDING:
            remedy = "Divide by 255, pass uint8" if excess > 0.02 else "Clip them: np.clip(x, 0, 1)"
            if -1 - _ROUNDING <= low < -0.02 and high <= 1 + _ROUNDING:
                remedy = "If they are in [-1, 1], pass (x + 1) / 2"
            raise ValueError(
                f"The likelihood ({kind}) takes values in [0, 1], or uint8, which is divided by "
                f"255. Received values from {low:.7g} to {high:.7g}. {remedy}, or use "
                'likelihood="gaussian".'
            )
        if self.observes == "levels" and np.any(np.abs(255 * x - np.rint(255 * x)) > 0.01):
            raise ValueError(
                f"A {kind} likelihood takes the 256 levels of 8-bit images: uint8, or multiples of "
                "1/255. Received values between them: round with np.rint(255 * x) / 255."
            )
        if self.observes == "counts" and (low < 0 or np.any(x != np.rint(x))):
            raise ValueError(
                f"A {kind} likelihood takes counts: whole numbers of at least 0. "
                f"Received values from {low:g} to {high:g}."
            )

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def sum_over_data(values, x):
    """Sums the values of each example: `(n, *data_shape)` or `(M, n, *data_shape)` to nats."""
    return ops.sum(values, axis=tuple(range(1 - len(x.shape), 0)))
