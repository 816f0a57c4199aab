"""A normalising flow over latents on a map: groups of channels, each given those before it."""

import itertools
import math

import keras
import numpy as np
from keras import ops

from keras_vae.checks import check_seed, check_sizes, check_whole
from keras_vae.priors.base import Prior
from keras_vae.priors.low_rank import LowRankGaussian

_LAYERS = [keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D]
_MOST = 3.0  # largest absolute log-scale
_BATCH = 500  # latents that are drawn at once


@keras.saving.register_keras_serializable(package="keras_vae")
class ChannelFlow(Prior):
    """Affine couplings of groups of channels, from latents to a Gaussian of low rank.

    The channels are split into groups. A network computes from all groups before a group a shift t
    and a log-scale s for it, at every place of the map: u = (z - t) exp(-s). So the density needs
    all networks once, side by side, and a sample one after another. They are the affine couplings
    of Dinh et al. 2017 (arXiv 1605.08803, equations 7 and 8), in the order of an autoregressive
    model. What is left, u, is described by `LowRankGaussian`. A new prior equals this Gaussian: all
    s and t start at 0. Where the channels are in the order of principal components, the first
    groups hold what is coarse, and the scales of later ones adapt to the local contrast.

    Args:
        groups: how many channels each group has, in their order, such as `(8, 24, 32)`; channels
            that they leave are one more group. Defaults to None: 1/16 of the channels (at least
            one), as many again, 1/8, 1/4 and what is left.
        filters: width of the networks' hidden layers. Defaults to 128.
        kernel_size: of each network's first and last convolution. Defaults to 3.
        activation: name of the Keras activation of the hidden layers. Defaults to `"silu"`.
        rank: rank of the Gaussian of u. Defaults to 32.
        seed: seed of the initial weights. Defaults to None.

    Raises:
        ValueError: if an argument is out of its range; in `build`, if the latents have fewer
            channels than the groups, or too few for a second group.
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
        self.seed = check_seed(seed)
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
                "The groups of a ChannelFlow must be at least two, and hold no more channels than "
                f"the latents have, {channels}. Received: groups={self.groups}"
            )
        self.spans = list(zip(ends, [*ends[1:], channels]))  # of all groups but the first
        self.base.build(input_shape)
        self.networks = []
        for i, (start, end) in enumerate(self.spans):
            network = self._network(i, len(places), 2 * (end - start))
            network.build((None, *places, start))
            self.networks.append(network)
        self.numbers_per_example = math.prod(places) * max(self.filters, 2 * channels)

    def begin_at(self, mean, factors, var):
        self.base.begin_at(mean, factors, var)

    def log_prob(self, z, training=False):
        z = ops.cast(z, "float32")
        groups, log_det = [z[..., : self.spans[0][0]]], 0.0
        for network, (start, end) in zip(self.networks, self.spans):
            s, t = _scale_and_shift(network, z[..., :start])
            groups.append((z[..., start:end] - t) * ops.exp(-s))
            log_det = log_det - ops.sum(s, axis=tuple(range(1, len(s.shape))))
        return self.base.log_prob(ops.concatenate(groups, axis=-1)) + log_det

    def sample(self, n, rng):
        u = self.base.sample(n, rng)
        parts = [self._to_latents(u[i : i + _BATCH]) for i in range(0, n, _BATCH)]
        return np.concatenate(parts) if parts else u

    def _to_latents(self, u):
        z = u[..., : self.spans[0][0]]
        for network, (start, end) in zip(self.networks, self.spans):
            s, t = map(ops.convert_to_numpy, _scale_and_shift(network, z))
            z = np.concatenate([z, u[..., start:end] * np.exp(s) + t], axis=-1)
        return z

    def _network(self, i, axes, outputs):
        """Two hidden layers; the last one begins at 0. Over vectors its layers are dense."""
        first_kernel, second_kernel = (
            keras.initializers.GlorotUniform(None if self.seed is None else self.seed + 2 * i + k)
            for k in range(2)
        )
        first, same = ({} if axes == 0 else {"kernel_size": size} for size in (self.kernel_size, 1))
        common = {"dtype": "float32"}
        if axes:
            common |= {"padding": "same", "data_format": "channels_last"}
        layer, hidden = _LAYERS[axes], {**common, "activation": self.activation}
        return keras.Sequential(
            [
                layer(self.filters, **first, **hidden, kernel_initializer=first_kernel),
                layer(self.filters, **same, **hidden, kernel_initializer=second_kernel),
                layer(outputs, **first, **common, kernel_initializer="zeros"),
            ]
        )

    def get_config(self):
        own = {
            "groups": self.groups,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "activation": self.activation,
            "rank": self.rank,
            "seed": self.seed,
        }
        return {**super().get_config(), **own}


def _scale_and_shift(network, before):
    s, t = ops.split(network(before), 2, axis=-1)
    return _MOST * ops.tanh(s / _MOST), t
