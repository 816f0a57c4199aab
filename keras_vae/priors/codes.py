"""A prior over a VQ model's codes: a causal transformer, one code after the other."""

import math

import keras
import numpy as np
from keras import layers, ops

from keras_vae.checks import check_number, check_whole


@keras.saving.register_keras_serializable(package="keras_vae")
class CodeTransformer(keras.layers.Layer):
    """p(codes) = prod_t p(code_t | codes before it), in raster order.

    A transformer whose every layer normalises first (Vaswani et al. 2017, arXiv 1706.03762; Chen
    et al. 2020, "Generative Pretraining from Pixels"), over the codes of a VQ model, as van den
    Oord et al. 2017 (arXiv 1711.00937, section 3.3) do with a PixelCNN.

    Args:
        width: of the token vectors. Defaults to 128.
        blocks: number of attention and dense blocks. Defaults to 4.
        heads: attention heads of a block; they divide the width. Defaults to 4.
        dropout: fraction of the blocks' outputs dropped in training. Defaults to 0.
    """

    def __init__(self, width=128, blocks=4, heads=4, dropout=0.0, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.width = check_whole("width", width, 1)
        self.blocks = check_whole("blocks", blocks, 1)
        self.heads = check_whole("heads", heads, 1)
        self.dropout = check_number("dropout", dropout, 0, 0.9)
        if self.width % self.heads:
            raise ValueError(f"heads must divide width. Received: width={width}, heads={heads}")

    def build(self, input_shape):
        """Takes the shape of a batch of codes as if one-hot, `(None, *positions, num_codes)`."""
        self.positions, self.num_codes = tuple(input_shape[1:-1]), input_shape[-1]
        self.net = self._network(math.prod(self.positions))

    def _network(self, length):
        """From codes `(n, length)` to the logits of each given those before it."""
        own = {"dtype": "float32"}
        codes = keras.Input((length,), dtype="int32")
        # Every code moves one place on; the number 0 stands at the beginning.
        before = ops.pad(codes[:, :-1] + 1, ((0, 0), (1, 0)))
        x = layers.Embedding(self.num_codes + 1, self.width, **own)(before)
        x = _Positions(**own)(x)
        for _ in range(self.blocks):
            y = layers.LayerNormalization(**own)(x)
            attention = layers.MultiHeadAttention(self.heads, self.width // self.heads, **own)
            x = x + layers.Dropout(self.dropout, **own)(attention(y, y, use_causal_mask=True))
            y = layers.LayerNormalization(**own)(x)
            y = layers.Dense(4 * self.width, "silu", **own)(y)
            x = x + layers.Dropout(self.dropout, **own)(layers.Dense(self.width, **own)(y))
        logits = layers.Dense(self.num_codes, **own)(layers.LayerNormalization(**own)(x))
        return keras.Model(codes, logits)

    def log_prob(self, codes, training=False):
        """Log-probability of codes `(n, *positions)`: `(n,)`, in nats."""
        codes = ops.reshape(codes, (-1, math.prod(self.positions)))
        nats = keras.losses.sparse_categorical_crossentropy(
            codes, self.net(codes, training=training), from_logits=True
        )
        return -ops.sum(nats, axis=1)

    def sample(self, n, rng):
        """Draws codes, int32 `(n, *positions)`, from the numbers of a NumPy generator."""
        length = math.prod(self.positions)
        codes = np.zeros((n, length), "int32")
        for t in range(length):
            logits = ops.convert_to_numpy(self.net(codes))[:, t].astype("float64")
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            cumulative = np.cumsum(p, axis=1)
            u = rng.random((n, 1)) * cumulative[:, -1:]
            codes[:, t] = np.minimum((cumulative < u).sum(axis=1), self.num_codes - 1)
        return codes.reshape(n, *self.positions)

    def get_config(self):
        own = {
            "width": self.width,
            "blocks": self.blocks,
            "heads": self.heads,
            "dropout": self.dropout,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_vae")
class _Positions(keras.layers.Layer):
    """Adds a learned vector for each position."""

    def build(self, input_shape):
        shape = tuple(input_shape[1:])
        small = keras.initializers.RandomNormal(stddev=0.02)
        self.vectors = self.add_weight(shape=shape, initializer=small, name="vectors")

    def call(self, x):
        return x + self.vectors
