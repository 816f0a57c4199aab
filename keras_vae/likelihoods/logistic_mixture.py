"""Mixtures of discretised logistics whose channels depend on each other (PixelCNN++)."""

import math

import keras
import numpy as np
from keras import ops

from keras_vae.checks import check_whole
from keras_vae.likelihoods.base import seeds_of, sum_over_data
from keras_vae.likelihoods.levels import Levels
from keras_vae.likelihoods.logistic import (
    DEVIATION,
    bounded_log_scale,
    clipped_mean,
    draw,
    log_mass,
)

_MOST_CHANNELS = 16
_MOST_DEPENDENT = 0.99  # factor of a channel in the mean of another, where training begins


@keras.saving.register_keras_serializable(package="keras_vae")
class LogisticMixture(Levels):
    """Independent pixels: each is a mixture of discretised logistics, of all channels at once.

    In a component the mean of a channel is a linear function of the channels before it (Salimans et
    al. 2017, arXiv 1701.05517, eq. 2 and 3). For each pixel the decoder returns, with C channels
    and K components: K logits; the means, C times K; the logarithms of the scales, as many; and,
    before their tanh, the factors of channel 0 in the mean of channel 1, of 0 and 1 in that of 2,
    and so on, each K times: 10 K outputs for C = 3 and 3 K for C = 1. Levels reach from -1 to 1.

    Args:
        components: number K of components. Defaults to 10.
        num_levels: how many levels there are, from 2 to 65,536. Defaults to 256, those of 8-bit
            images. uint8 data holds the number of each level.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(self, components=10, num_levels=256):
        super().__init__(num_levels)
        self.components = check_whole("components", components, 1)

    def output_shape(self, data_shape):
        channels = data_shape[-1]
        if channels > _MOST_CHANNELS:
            raise ValueError(
                f"{type(self).__name__} relates all channels of a pixel to each other: it takes up "
                f"to {_MOST_CHANNELS}. Received data of shape {tuple(data_shape)}; for vectors use "
                '"discretised_logistic".'
            )
        return (*data_shape[:-1], self.components * _numbers(channels))

    def begin_at(self, covariance):
        """As in the base class: each channel's mean is its regression on the channels before it.

        The scales of the components differ by a factor of up to e^2, or they would stay the same.
        """
        channels, k = len(covariance), self.components
        means, factors, log_scales = [], [], []
        for c in range(channels):
            of_others = np.linalg.lstsq(covariance[:c, :c], covariance[:c, c], rcond=None)[0]
            of_others = np.clip(of_others, -_MOST_DEPENDENT, _MOST_DEPENDENT)
            error = np.concatenate([-of_others, [1], np.zeros(channels - c - 1)])
            means.append(error)
            factors += [*of_others]
            log_scales.append(0.5 * math.log(error @ covariance @ error))
        matrix = np.zeros((channels, _numbers(channels)))
        matrix[:, 1 : channels + 1] = 2 * np.transpose(means)
        offsets = [0.0, *(-np.sum(means, axis=1))]
        offsets += [*(np.array(log_scales) + math.log(2 / DEVIATION)), *np.arctanh(factors)]
        matrix, offsets = np.repeat(matrix, k, axis=1), np.repeat(offsets, k)
        apart = np.linspace(-1, 1, k) if k > 1 else np.zeros(1)
        apart -= 0.5 * np.log(np.mean(np.exp(2 * apart)))  # the variance is what one would have
        offsets.reshape(-1, k)[channels + 1 : 2 * channels + 1] += apart
        return matrix, offsets, np.trace(covariance) / channels

    def parts(self, outputs):
        """Logits, and lists of means, log_scales and factors, by channel: each `(..., K)`.

        The C (C - 1) / 2 factors are in the order of the channel whose mean they are in, then of
        the other. No slices: TensorFlow's gradient of each is as large as what was sliced.
        """
        outputs, k = ops.cast(outputs, "float32"), self.components
        widths = {_numbers(channels): channels for channels in range(1, _MOST_CHANNELS + 1)}
        numbers = outputs.shape[-1] // k
        channels = widths[numbers]
        grouped = ops.reshape(outputs, (*ops.shape(outputs)[:-1], numbers, k))
        logits, *rest = ops.unstack(grouped, axis=-2)
        mean, log_scale, factors = (
            rest[:channels],
            rest[channels : 2 * channels],
            rest[2 * channels :],
        )
        log_scale = [bounded_log_scale(one, self.num_levels) for one in log_scale]
        return logits, mean, log_scale, [ops.tanh(one) for one in factors]

    def log_prob(self, x, outputs):
        logits, mean, log_scale, factors = self.parts(outputs)
        x2 = [2 * one[..., None] - 1 for one in ops.unstack(x, axis=-1)]
        log_p = ops.log_softmax(logits)
        for c in range(len(x2)):
            shifted = _shifted(mean, factors, x2[:c])
            log_p = log_p + log_mass(x2[c], shifted, log_scale[c], self.num_levels)
        return sum_over_data(ops.logsumexp(log_p, axis=-1)[..., None], x)

    def mean(self, outputs):
        """Expected data: that of `DiscretisedLogistic`, weighted by the components.

        The means of later channels are those of the expected earlier ones, which is exact where
        clipping does not matter.
        """
        logits, mean, log_scale, factors = self.parts(outputs)
        expected, weights = [], ops.exp(ops.log_softmax(logits))
        for c in range(len(mean)):
            expected.append(clipped_mean(_shifted(mean, factors, expected), log_scale[c]))
        expected = [ops.sum(weights * one, axis=-1) for one in expected]
        return ops.clip((ops.stack(expected, axis=-1) + 1) / 2, 0.0, 1.0)  # but for rounding

    def sample(self, outputs, seed=None):
        logits, *parts = self.parts(outputs)
        of_component, *of_channels = seeds_of(seed, 1 + len(parts[0]))
        flat = ops.reshape(logits, (-1, self.components))
        chosen = keras.random.categorical(flat, 1, dtype="int32", seed=of_component)
        chosen = ops.reshape(chosen, (*ops.shape(logits)[:-1], 1))
        mean, log_scale, factors = (
            [ops.take_along_axis(one, chosen, axis=-1) for one in part] for part in parts
        )
        x, x2 = [], []
        for c in range(len(mean)):
            one = draw(_shifted(mean, factors, x2), log_scale[c], of_channels[c])
            x.append(self.nearest((one + 1) / 2) / (self.num_levels - 1))
            x2.append(2 * x[-1] - 1)
        return ops.concatenate(x, axis=-1)

    def get_config(self):
        return {"components": self.components, **super().get_config()}


def _numbers(channels):
    """Outputs of one component of a pixel: a logit, means, scales and factors."""
    return 1 + 2 * channels + channels * (channels - 1) // 2


def _shifted(mean, factors, given):
    """The mean of a channel, `(..., K)`, given a list of those before it, each `(..., 1 or K)`."""
    channel = len(given)
    start, shifted = channel * (channel - 1) // 2, mean[channel]
    for before, x in enumerate(given):
        shifted = shifted + factors[start + before] * x
    return shifted
