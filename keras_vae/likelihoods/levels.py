"""What likelihoods of levels share: how many there are, and which one a value is."""

from keras import ops

from keras_vae.checks import check_whole
from keras_vae.likelihoods.base import Likelihood

_MOST = 2**16


class Levels(Likelihood):
    """A likelihood of data in levels, `k / (num_levels - 1)` for k from 0.

    Args:
        num_levels: how many levels there are, from 2 to 65,536. Defaults to 256, those of 8-bit
            images. uint8 data holds the number of each level.

    Raises:
        ValueError: if `num_levels` is out of its range.
    """

    observes = "levels"

    def __init__(self, num_levels=256):
        self.num_levels = check_whole("num_levels", num_levels, 2)
        if self.num_levels > _MOST:
            raise ValueError(f"num_levels must be at most {_MOST:,}. Received: {num_levels}")

    def nearest(self, x):
        """The number of the level that is nearest to each value, float32."""
        highest = self.num_levels - 1.0
        return ops.clip(ops.round(highest * x), 0.0, highest)

    def get_config(self):
        return {"num_levels": self.num_levels}
