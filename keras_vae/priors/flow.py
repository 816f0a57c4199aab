"""A normalising flow as a prior: affine couplings (RealNVP)."""

import math

import keras
import numpy as np
from keras import ops

from keras_vae import normal
from keras_vae.checks import check_sizes, check_whole
from keras_vae.priors.base import Prior


@keras.saving.register_keras_serializable(package="keras_vae")
class RealNVP(Prior):
    """A chain of affine couplings from latents to N(0, I) (Dinh et al. 2017, arXiv 1605.08803).

    Each coupling keeps half of the latents and computes from them a shift t and a log-scale s for
    the other half (equations 7 and 8 there): u = (z - t) exp(-s), whose log-determinant is
    -sum(s). The index of a coupling determines which half it keeps; the next one swaps the halves.
    A new prior is N(0, I): all s and t start at zero. Xu et al. 2019 (arXiv 1905.13452) use such a
    flow as the prior of a VAE.

    Args:
        couplings: number of couplings. Defaults to 8.
        hidden_units: widths of the dense layers that compute s and t. Defaults to `(128, 128)`.
        activation: name of the Keras activation of these layers. Defaults to `"silu"`.
    """

    def __init__(self, couplings=8, hidden_units=(128, 128), activation="silu", **kwargs):
        super().__init__(**kwargs)
        self.couplings = check_whole("couplings", couplings, 1)
        self.hidden_units = check_sizes("hidden_units", hidden_units, allow_empty=True)
        self.activation = activation
        self._activate = keras.activations.get(activation)
        if self._activate is keras.activations.glu:
            raise ValueError('RealNVP takes no activation that halves its input, such as "glu".')

    def build(self, input_shape):
        super().build(input_shape)
        self.width = math.prod(self.latent_shape)
        if self.width < 2:
            raise ValueError("RealNVP needs at least 2 latents. Received: 1")
        kept = [_half(self.width, i) for i in range(self.couplings)]
        self.masks = [(mask, np.tile(1.0 - mask, 2)) for mask in kept]  # (d,), and of s and t (2d,)
        # One weight holds the same layer of all couplings. Separate layer objects took a third of
        # the loading time of a model with 8 couplings.
        glorot = keras.initializers.VarianceScaling(self.couplings, "fan_avg", "uniform")
        widths = (self.width, *self.hidden_units, 2 * self.width)
        self.kernels, self.biases = [], []
        for k, shape in enumerate(zip(widths, widths[1:])):
            last = k == len(self.hidden_units)
            kernel = self.add_weight(
                shape=(self.couplings, *shape),
                initializer="zeros" if last else glorot,
                name=f"kernel_{k}",
            )
            bias = self.add_weight(
                shape=(self.couplings, shape[1]),
                initializer="zeros",
                name=f"bias_{k}",
            )
            self.kernels.append(kernel)
            self.biases.append(bias)

    def log_prob(self, z, training=False):
        u, log_det = self.to_normal(z)
        return normal.sum_per_example(normal.log_density(u)) + log_det

    def sample(self, n, rng):
        u = rng.standard_normal((n, self.width), dtype="float32")
        return ops.convert_to_numpy(self.from_normal(u))

    def to_normal(self, z):
        """Maps latents `(n, *latent_shape)` to u `(n, d)` and log |det du/dz| `(n,)`."""
        u = ops.reshape(ops.cast(z, "float32"), (-1, self.width))
        log_det = 0.0
        for masks, net in self._couplings():
            s, t = self._scale_and_shift(masks, net, u)
            u = (u - t) * ops.exp(-s)
            log_det = log_det - ops.sum(s, axis=1)
        return u, log_det

    def from_normal(self, u):
        """The inverse of `to_normal`: u `(n, d)` to latents `(n, *latent_shape)`."""
        z = ops.convert_to_tensor(u, "float32")
        for masks, net in reversed(self._couplings()):
            s, t = self._scale_and_shift(masks, net, z)
            z = z * ops.exp(s) + t
        return ops.reshape(z, (-1, *self.latent_shape))

    def formula(self):
        """Describes the couplings in sampling order: the last one first."""
        kernels, biases = (
            [ops.convert_to_numpy(w) for w in of] for of in (self.kernels, self.biases)
        )
        couplings = [
            {
                "kept": self.masks[i][0].astype(int),
                "layers": [{"kernel": k[i], "bias": b[i]} for k, b in zip(kernels, biases)],
            }
            for i in reversed(range(self.couplings))
        ]
        return {"kind": "realnvp", "couplings": couplings, "activation": self.activation}

    def _couplings(self):
        """The masks of each coupling and the kernels and biases of its layers."""
        tensors = [map(ops.convert_to_tensor, weights) for weights in (self.kernels, self.biases)]
        layers = [zip(ops.unstack(k), ops.unstack(b)) for k, b in zip(*tensors)]
        masks = [tuple(map(ops.convert_to_tensor, pair)) for pair in self.masks]
        return list(zip(masks, zip(*layers)))

    def _scale_and_shift(self, masks, net, z):
        """Computes s and t from the kept half, for which both are 0."""
        *hidden, (kernel, bias) = net
        kept, moved = masks
        h = kept * z
        for k, b in hidden:
            h = self._activate(ops.matmul(h, k) + b)
        s, t = ops.split(moved * (ops.matmul(h, kernel) + bias), 2, axis=1)
        return 2.0 * ops.tanh(0.5 * s), t  # |s| < 2, so that no single coupling can overflow

    def get_config(self):
        own = {
            "couplings": self.couplings,
            "hidden_units": self.hidden_units,
            "activation": self.activation,
        }
        return {**super().get_config(), **own}


def _half(width, i):
    """A mask with ones for the half of the latents that coupling `i` keeps."""
    order = np.random.RandomState(i // 2).permutation(width)
    mask = np.zeros(width, "float32")
    mask[order[: width // 2]] = 1.0
    return mask if i % 2 == 0 else 1.0 - mask
