"""Likelihoods p(x|z) in nats per example, with every constant."""

import math

import keras
import numpy as np
from keras import ops

from keras_vae.checks import named


class Likelihood:
    """The interface: `log_prob`, `mean`, `sample`, and what data the likelihood speaks of.

    Subclass it and register the class with `keras.saving.register_keras_serializable` to use one
    of your own; one with weights is a `keras.layers.Layer` too, as `LearnedGaussian`.
    """

    def log_prob(self, x, outputs):
        """Log-density of `x` given a decoder's outputs, summed over all axes but the batch.

        Args:
            x: data, `(n, *data_shape)`, as `observe` returns it.
            outputs: decoder outputs, `(n, *data_shape)`, or `(..., n, *data_shape)` to hold
                several outputs against the same data.

        Returns:
            `(n,)`, or `(..., n)`: nats per example, float32.
        """
        raise NotImplementedError

    def mean(self, outputs):
        """Expected data given the decoder's outputs, of the same shape."""
        raise NotImplementedError

    def sample(self, outputs, seed=None):
        """Draws data given the decoder's outputs, of the same shape."""
        raise NotImplementedError

    def observe(self, x, uniform):
        """Turns what the user has into what the likelihood speaks of: by default, nothing changes.

        Args:
            x: data scaled to float32, `(n, *data_shape)`.
            uniform: a function of a shape that draws uniform numbers in [0, 1).
        """
        return x

    def check(self, x):
        """Raises ValueError if the NumPy array `x` (scaled, finite) is not data of this kind."""

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="keras_vae")
class Bernoulli(Likelihood):
    """Independent binary pixels; the decoder returns logits.

    Grey values in [0, 1] are read as the probability that a pixel is on: `observe` draws a
    binary image from them, a new one at every call (dynamic binarisation, Burda et al. 2015,
    arXiv 1509.00519). Binary data passes through unchanged.
    """

    def log_prob(self, x, outputs):
        logits = ops.cast(outputs, "float32")
        # log p(x) = x log sigmoid(l) + (1 - x) log sigmoid(-l) = x l - log(1 + e^l)
        return _sum_over_data(x * logits - ops.softplus(logits), x)

    def mean(self, outputs):
        return ops.sigmoid(ops.cast(outputs, "float32"))

    def sample(self, outputs, seed=None):
        mean = self.mean(outputs)
        uniform = keras.random.uniform(ops.shape(mean), dtype="float32", seed=seed)
        return ops.cast(uniform < mean, "float32")

    def observe(self, x, uniform):
        return ops.cast(uniform(ops.shape(x)) < x, "float32")

    def check(self, x):
        low, high = x.min(), x.max()
        if low < 0 or high > 1:
            raise ValueError(
                "A Bernoulli likelihood takes values in [0, 1] (or uint8 images, which are divided "
                f"by 255). Received values from {low:g} to {high:g}. Divide by 255, pass uint8, or "
                'use likelihood="gaussian".'
            )


@keras.saving.register_keras_serializable(package="keras_vae")
class Gaussian(Likelihood):
    """Independent Gaussian pixels of one given standard deviation; the decoder returns the mean.

    With `scale=math.sqrt(0.5)` the negative log-likelihood is the squared error
    `||x - m||^2` plus a constant, the textbook objective.

    Args:
        scale: standard deviation of every pixel, in units of the data. Defaults to 1.

    Raises:
        ValueError: if `scale` is not a finite number above 0.
    """

    def __init__(self, scale=1.0):
        if isinstance(scale, (bool, str)) or not np.isscalar(scale):
            raise ValueError(f"scale must be a number above 0. Received: {scale!r}")
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"scale must be finite and above 0. Received: {scale!r}")
        self.scale = float(scale)

    def log_prob(self, x, outputs):
        mean = ops.cast(outputs, "float32")
        d = _values(x)
        squared_error = _sum_over_data(ops.square((x - mean) / self.scale), x)
        return -0.5 * d * math.log(2 * math.pi * self.scale**2) - 0.5 * squared_error

    def mean(self, outputs):
        return ops.cast(outputs, "float32")

    def sample(self, outputs, seed=None):
        mean = self.mean(outputs)
        return mean + self.scale * keras.random.normal(ops.shape(mean), dtype="float32", seed=seed)

    def get_config(self):
        return {"scale": self.scale}


@keras.saving.register_keras_serializable(package="keras_vae")
class LearnedGaussian(Likelihood, keras.layers.Layer):
    """Independent Gaussian pixels of one standard deviation, which is learned with the networks.

    At the optimum it is the root of the mean squared error: a model that reconstructs well makes
    its errors dear, one that does not is not forced to (sigma-VAE, Rybkin et al. 2021, arXiv
    2006.13202). One weight, a tenth of log_var: steps that are small for a network's weights
    would need thousands for this one. The choice for colour or grey images of one's own.

    Args:
        scale: standard deviation before training, in units of the data. Defaults to 1.

    Raises:
        ValueError: if `scale` is not a finite number above 0.
    """

    def __init__(self, scale=1.0, **kwargs):
        kwargs.setdefault("dtype", "float32")
        keras.layers.Layer.__init__(self, **kwargs)
        self.initial = Gaussian(scale)
        initializer = keras.initializers.Constant(2 * math.log(self.initial.scale) / 10)
        options = {"dtype": "float32", "autocast": False, "name": "tenth_of_log_var"}
        self.tenth_of_log_var = self.add_weight(shape=(), initializer=initializer, **options)
        self.built = True

    @property
    def log_var(self):
        """The logarithm of the variance of every pixel, a tensor."""
        return 10 * ops.convert_to_tensor(self.tenth_of_log_var)

    @property
    def scale(self):
        """The standard deviation of today."""
        return math.exp(0.5 * float(ops.convert_to_numpy(self.log_var)))

    def log_prob(self, x, outputs):
        mean = ops.cast(outputs, "float32")
        d = _values(x)
        squared_error = _sum_over_data(ops.square(x - mean), x) * ops.exp(-self.log_var)
        return -0.5 * d * (math.log(2 * math.pi) + self.log_var) - 0.5 * squared_error

    def mean(self, outputs):
        return ops.cast(outputs, "float32")

    def sample(self, outputs, seed=None):
        mean = self.mean(outputs)
        noise = keras.random.normal(ops.shape(mean), dtype="float32", seed=seed)
        return mean + ops.exp(0.5 * self.log_var) * noise

    def get_config(self):
        return {**keras.layers.Layer.get_config(self), "scale": self.initial.scale}


LIKELIHOODS = {"bernoulli": Bernoulli, "gaussian": Gaussian, "learned_gaussian": LearnedGaussian}


def get(identifier) -> Likelihood:
    """Returns a likelihood from its name, a plain description or itself.

    Args:
        identifier: `"bernoulli"`, `"gaussian"` (scale 1), `"learned_gaussian"`, a dict of the name
            and arguments such as `{"name": "gaussian", "scale": 0.1}`, or a `Likelihood`.

    Raises:
        ValueError: if it is none of these.
    """
    rule = (
        f"likelihood must be one of {sorted(LIKELIHOODS)} or an object of keras_vae.likelihoods, "
        "such as Gaussian(scale=0.1)."
    )
    return named("Likelihood", identifier, Likelihood, LIKELIHOODS, rule)


def _values(x):
    """Values per example; a tensor where the sizes are known only when the graph runs."""
    d = math.prod(ops.shape(x)[1:])
    return ops.cast(d, "float32") if ops.is_tensor(d) else d


def _sum_over_data(values, x):
    return ops.sum(values, axis=tuple(range(1 - len(x.shape), 0)))
