"""The categorical likelihood of levels."""

import keras
from keras import ops

from keras_vae.likelihoods.base import sum_over_data
from keras_vae.likelihoods.levels import Levels


@keras.saving.register_keras_serializable(package="keras_vae")
class Categorical(Levels):
    """Independent levels with a probability each (van den Oord et al. 2016, arXiv 1601.06759).

    For each value the decoder returns `num_levels` logits, those of the first channel first.

    Args:
        num_levels: how many levels there are, from 2 to 65,536. Defaults to 256, those of 8-bit
            images. uint8 data holds the number of each level.

    Raises:
        ValueError: if `num_levels` is out of its range.
    """

    @property
    def outputs_per_value(self):
        return self.num_levels

    def logits(self, outputs):
        """The logits of each value, `(..., *data_shape, num_levels)`."""
        outputs = ops.cast(outputs, "float32")
        channels = outputs.shape[-1] // self.num_levels
        return ops.reshape(outputs, (*ops.shape(outputs)[:-1], channels, self.num_levels))

    def log_prob(self, x, outputs):
        log_p, is_nan = ops.log_softmax(self.logits(outputs)), ops.isnan(x)
        level = ops.cast(self.nearest(ops.where(is_nan, 0.0, x)), "int32")[..., None]
        level = ops.broadcast_to(level, (*ops.shape(log_p)[:-1], 1))
        log_p = ops.take_along_axis(log_p, level, axis=-1)[..., 0]
        return sum_over_data(ops.where(is_nan, x, log_p), x)  # NaN must be seen, not be black

    def mean(self, outputs):
        levels = ops.arange(self.num_levels, dtype="float32") / (self.num_levels - 1)
        return ops.minimum(ops.sum(ops.softmax(self.logits(outputs)) * levels, axis=-1), 1.0)

    def sample(self, outputs, seed=None):
        logits = self.logits(outputs)
        flat = ops.reshape(logits, (-1, self.num_levels))
        level = keras.random.categorical(flat, 1, dtype="int32", seed=seed)
        level = ops.reshape(level, ops.shape(logits)[:-1])
        return ops.cast(level, "float32") / (self.num_levels - 1)
