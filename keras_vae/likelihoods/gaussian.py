"""Gaussian likelihoods of real data, with one standard deviation for all values."""

import math

import keras
import numpy as np
from keras import ops

from keras_vae import normal
from keras_vae.checks import check_number
from keras_vae.likelihoods.base import Likelihood, sum_over_data

_SCALES = (1e-15, 1e15)  # of which float32 holds the squares


class _OneScale(Likelihood):
    """Independent values N(mean, exp(log_var)): the decoder returns the mean."""

    mean_activation = "linear"

    @property
    def linear_start(self):
        return self.mean_activation == "linear" and self.outputs_per_value == 1

    def begin_at(self, covariance):
        variance = math.exp(float(ops.convert_to_numpy(self.log_var)))
        return np.eye(len(covariance)), np.zeros(len(covariance)), variance

    def log_prob(self, x, outputs):
        u = (x - ops.cast(outputs, "float32")) * ops.exp(-0.5 * self.log_var)
        return sum_over_data(normal.log_density(u, self.log_var), x)

    def sample(self, outputs, seed=None):
        mean = self.mean(outputs)
        noise = keras.random.normal(ops.shape(mean), dtype="float32", seed=seed)
        return mean + ops.exp(0.5 * self.log_var) * noise


@keras.saving.register_keras_serializable(package="keras_vae")
class Gaussian(_OneScale):
    """Independent Gaussian values with a fixed standard deviation; the decoder returns the mean.

    With `scale=math.sqrt(0.5)` the negative log-likelihood is the squared error
    `||x - m||^2` plus a constant, the textbook objective.

    Args:
        scale: standard deviation of every value, in units of the data. Defaults to 1.

    Raises:
        ValueError: if `scale` is not a number from 1e-15 to 1e15.
    """

    def __init__(self, scale=1.0):
        self.scale = check_number("scale", scale, *_SCALES)

    @property
    def log_var(self):
        """The logarithm of the variance of every value."""
        return 2 * math.log(self.scale)

    def get_config(self):
        return {"scale": self.scale}


@keras.saving.register_keras_serializable(package="keras_vae")
class LearnedGaussian(_OneScale, keras.layers.Layer):
    """Independent Gaussian values with one standard deviation, learned with the networks.

    At the optimum it is the root of the mean squared error, so a better model is penalised more
    for its errors (sigma-VAE, Rybkin et al. 2021, arXiv 2006.13202). Use it for colour or grey
    images of your own. Its one weight is a tenth of log_var: steps of the size that suits the
    networks' weights would otherwise need thousands to move it.

    Args:
        scale: standard deviation before training, in units of the data. Defaults to 1.

    Raises:
        ValueError: if `scale` is not a number from 1e-15 to 1e15.
    """

    def __init__(self, scale=1.0, **kwargs):
        kwargs.setdefault("dtype", "float32")
        keras.layers.Layer.__init__(self, **kwargs)
        self.initial = Gaussian(scale)
        initializer = keras.initializers.Constant(self.initial.log_var / 10)
        options = {"dtype": "float32", "autocast": False, "name": "tenth_of_log_var"}
        self.tenth_of_log_var = self.add_weight(shape=(), initializer=initializer, **options)
        self.built = True

    def begin_at(self, covariance):
        self.tenth_of_log_var.assign(math.log(np.trace(covariance) / len(covariance)) / 10)
        return super().begin_at(covariance)

    @property
    def log_var(self):
        """The logarithm of the variance of every value, a tensor."""
        return 10 * ops.convert_to_tensor(self.tenth_of_log_var)

    @property
    def scale(self):
        """The current standard deviation."""
        return math.exp(0.5 * float(ops.convert_to_numpy(self.log_var)))

    def get_config(self):
        return {**keras.layers.Layer.get_config(self), "scale": self.initial.scale}


@keras.saving.register_keras_serializable(package="keras_vae")
class ImageGaussian(LearnedGaussian):
    """A `LearnedGaussian` of images in [0, 1]: other values are refused, such as those of [-1, 1].

    Args:
        scale: standard deviation before training. Defaults to 0.1.
    """

    in_unit_range = True

    def __init__(self, scale=0.1, **kwargs):
        super().__init__(scale, **kwargs)
