"""A normalising flow over latents on a map: groups of channels, each given those before it."""

import itertools
import math

import keras
from keras import ops

from keras_vae.checks import check_sizes, check_whole
from keras_vae.priors.base import Prior
from keras_vae.priors.low_rank import LowRankGaussian

_LAYERS = [keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D]
_MOST = 3.0  # largest absolute log-scale


@keras.saving.register_keras_serializable(package="keras_vae")
class ChannelFlow(Prior):
    """Affine couplings of groups of channels, from latents to a Gaussian of low rank.

    The channels are split into groups. A network computes from all groups before a group a shift t
    and a log-scale s for it, at every place of the map: u = (z - t) exp(-s). So the density needs
    all networks once, side by side, and a sample one after another. They are the affine couplings
    of Dinh et al. 2017 (arXiv 1605.08803, equations 7 and 8), in the order of an autoregressive
    model. What is left, u, is described by `LowRankGaussian`. A new prior is just that, as all s
    and t start at 0. Where the channels are in the order of principal components, the first groups
    hold what is coarse, and the scales of the rest follow how much contrast there is.

    Args:
        groups: how many channels each group has, in their order, such as `(8, 24, 32)`; channels
            that they leave are one more group. Defaults to None: 1/16 of the channels, as many
            again, 1/8, 1/4 and 1/2.
        filters: width of the networks' hidden layers. Defaults to 128.
        kernel_size: of the networks' convolutions at their start and end. Defaults to 3.
        activation: name of the Keras activation of the hidden layers. Defaults to `"silu"`.
        rank: rank of the Gaussian of u. Defaults to 32.
        seed: seed of the Gaussian's initial factors. Defaults to None.

    Raises:
        ValueError: if an argument is out of its range; in `build`, if the latents have one channel,
            or fewer than the groups.
    """

    def __init__(
        self,
        groups=None,
        filters=128,
        kernel_size=3,
        activation="silu",
        rank=32,
        *,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.groups = None if groups is None else check_sizes("groups", groups)
        self.filters = check_whole("filters", filters, 1)
        self.kernel_size = check_whole("kernel_size", kernel_size, 1)
        self.activation = activation
        if keras.activations.get(activation) is keras.activations.glu:
            raise ValueError('ChannelFlow takes no activation that halves its input: "glu".')
        self.base = LowRankGaussian(rank, seed=seed)

    @property
    def rank(self):
        return self.base.rank

    def build(self, input_shape):
        super().build(input_shape)
        *places, channels = self.latent_shape
        groups = self.groups or [max(1, channels // part) for part in (16, 16, 8, 4)]
        ends = [end for end in itertools.accumulate(groups) if end < channels]
        if not ends or (self.groups and sum(self.groups) > channels):
            raise ValueError(
                "A ChannelFlow needs latents of at least two channels, as many as its groups have "
                f"together. Received groups={self.groups} and latents of shape {self.latent_shape}"
            )
        self.starts = ends
        self.base.build(input_shape)
        self.networks = []
        for start, end in zip(ends, [*ends[1:], channels]):
            network = self._network(len(places), 2 * (end - start))
            network.build((None, *places, start))
            self.networks.append(network)
        self.numbers_per_example = math.prod(places) * max(self.filters, channels)

    def begin_at(self, mean, factors, var):
        self.base.begin_at(mean, factors, var)

    def log_prob(self, z, training=False):
        z = ops.cast(z, "float32")
        groups = ops.split(z, self.starts, axis=-1)
        log_det = 0.0
        for i, start in enumerate(self.starts):
            s, t = self._scale_and_shift(i, z[..., :start])
            groups[i + 1] = (groups[i + 1] - t) * ops.exp(-s)
            log_det = log_det - ops.sum(s, axis=tuple(range(1, s.ndim)))
        return self.base.log_prob(ops.concatenate(groups, axis=-1)) + log_det

    def sample(self, n, rng):
        z, *groups = ops.split(self.base.sample(n, rng), self.starts, axis=-1)
        for i, u in enumerate(groups):
            s, t = self._scale_and_shift(i, z)
            z = ops.concatenate([z, u * ops.exp(s) + t], axis=-1)
        return ops.convert_to_numpy(z)

    def _network(self, axes, outputs):
        """Two hidden layers; the last one begins at 0. Over vectors its layers are dense."""
        first, same = ({} if axes == 0 else {"kernel_size": size} for size in (self.kernel_size, 1))
        common = {"dtype": "float32"}
        if axes:
            common |= {"padding": "same", "data_format": "channels_last"}
        layer, hidden = _LAYERS[axes], {**common, "activation": self.activation}
        return keras.Sequential(
            [
                layer(self.filters, **first, **hidden),
                layer(self.filters, **same, **hidden),
                layer(outputs, **first, **common, kernel_initializer="zeros"),
            ]
        )

    def _scale_and_shift(self, i, before):
        s, t = ops.split(self.networks[i](before), 2, axis=-1)
        return _MOST * ops.tanh(s / _MOST), t

    def get_config(self):
        own = {
            "groups": self.groups,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "activation": self.activation,
            "rank": self.rank,
            "seed": self.base.seed,
        }
        return {**super().get_config(), **own}
