"""An autoregressive prior over the codes of a VQ model: a causal transformer."""

import math

import keras
import numpy as np
from keras import ops

from keras_vae.checks import check_number, check_whole
from keras_vae.priors.base import Prior


@keras.saving.register_keras_serializable(package="keras_vae")
class CodeTransformer(Prior):
    """p(codes) = prod_t p(code_t | codes before it), in raster order.

    A pre-norm transformer (Vaswani et al. 2017, arXiv 1706.03762; Chen et al. 2020, "Generative
    Pretraining from Pixels") over the codes of a VQ model, where van den Oord et al. 2017 (arXiv
    1711.00937, section 3.3) use a PixelCNN.

    Args:
        width: width of the token vectors. Defaults to 128.
        blocks: number of attention and dense blocks. Defaults to 4.
        heads: attention heads per block; must divide `width`. Defaults to 4.
        dropout: dropout rate of the blocks' outputs in training. Defaults to 0.
    """

    over_codes = True

    def __init__(self, width=128, blocks=4, heads=4, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.width = check_whole("width", width, 1)
        self.blocks = check_whole("blocks", blocks, 1)
        self.heads = check_whole("heads", heads, 1)
        self.dropout = check_number("dropout", dropout, 0, 0.9)
        if self.width % self.heads:
            raise ValueError(f"heads must divide width. Received: width={width}, heads={heads}")
        self.drop = keras.layers.Dropout(self.dropout, dtype="float32")

    def build(self, input_shape):
        """Takes the shape of a batch of one-hot codes, `(None, *positions, num_codes)`."""
        super().build(input_shape)
        self.positions, self.num_codes = tuple(input_shape[1:-1]), input_shape[-1]
        self.length = math.prod(self.positions)
        near_zero = keras.initializers.RandomNormal(stddev=0.02)
        width, most = self.width, self.num_codes
        self.embedding = self._weight("embedding", (most + 1, width), near_zero)
        self.places = self._weight("places", (self.length, width), near_zero)
        # One weight holds the same layer of all blocks, so that the model loads faster.
        self.block_weights = [
            self._norm("attention_norm", self.blocks),
            self._dense("attention_in", width, 3 * width, self.blocks),
            self._dense("attention_out", width, width, self.blocks),
            self._norm("dense_norm", self.blocks),
            self._dense("dense_in", width, 4 * width, self.blocks),
            self._dense("dense_out", 4 * width, width, self.blocks),
        ]
        self.last_norm = self._norm("last_norm")
        self.last = self._dense("last", width, most)

    @property
    def numbers_per_example(self):
        """The size of the largest tensor of `log_prob` for one example."""
        return self.length * max(4 * self.width, self.num_codes, self.heads * self.length)

    def log_prob(self, codes, training=False):
        """Returns the log-probability of codes `(n, *positions)`: `(n,)`, in nats."""
        codes = ops.reshape(codes, (-1, self.length))
        nats = keras.losses.sparse_categorical_crossentropy(
            codes, self.logits(codes, training), from_logits=True
        )
        return -ops.sum(nats, axis=1)

    def sample(self, n, rng):
        """Draws codes, int32 `(n, *positions)`, with a NumPy generator.

        The keys and values of earlier codes are cached.
        """
        blocks = list(self._blocks())
        kept = np.zeros((self.blocks, n, self.length, 2 * self.width), "float32")
        codes = np.zeros((n, self.length), "int32")
        for t in range(self.length):
            past = np.arange(self.length) <= t

            def attend(block, x, t=t, past=past):
                query, new = ops.split(x, [self.width], axis=-1)
                kept[block, :, t] = ops.convert_to_numpy(new)[:, 0]
                key, value = np.split(kept[block], 2, axis=-1)
                return self._attention(query, key, value, past[None])

            before = codes[:, t - 1 : t] + 1 if t else np.zeros((n, 1), "int32")
            x = ops.take(self.embedding, before, axis=0) + self.places[t]
            logits = ops.convert_to_numpy(self._network(x, blocks, attend))[:, 0].astype("float64")
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            cumulative = np.cumsum(p, axis=1)
            u = rng.random((n, 1)) * cumulative[:, -1:]
            codes[:, t] = np.minimum((cumulative < u).sum(axis=1), self.num_codes - 1)
        return codes.reshape(n, *self.positions)

    def logits(self, codes, training=False):
        """Logits of each code given those before it: `(n, length)` to `(n, length, num_codes)`."""
        past = np.tri(self.length, dtype=bool)

        def attend(block, x):
            return self._attention(*ops.split(x, 3, axis=-1), past)

        # The codes are shifted one place to the right; 0 marks the start.
        before = ops.pad(ops.cast(codes[:, :-1], "int32") + 1, ((0, 0), (1, 0)))
        x = ops.take(self.embedding, before, axis=0) + self.places
        return self._network(x, self._blocks(), attend, training)

    def get_config(self):
        own = {
            "width": self.width,
            "blocks": self.blocks,
            "heads": self.heads,
            "dropout": self.dropout,
        }
        return {**super().get_config(), **own}

    def _blocks(self):
        """The weights of each block: six layers with a pair of weights each."""
        layers = [
            zip(*(ops.unstack(ops.convert_to_tensor(weight)) for weight in pair))
            for pair in self.block_weights
        ]
        return zip(*layers)

    def _network(self, x, blocks, attend, training=False):
        """Maps vectors `(n, t, width)` to logits; `attend` takes a block's number and q, k, v."""
        for block, (norm, qkv, out, dense_norm, up, down) in enumerate(blocks):
            y = attend(block, _linear(_normalise(x, *norm), *qkv))
            x = x + self.drop(_linear(y, *out), training=training)
            y = ops.silu(_linear(_normalise(x, *dense_norm), *up))
            x = x + self.drop(_linear(y, *down), training=training)
        return _linear(_normalise(x, *self.last_norm), *self.last)

    def _attention(self, query, key, value, seen):
        """Multi-head attention over `(n, t, width)` with the mask `seen`, `(t, t)`."""
        heads = (self.heads, self.width // self.heads)
        parts = [ops.reshape(part, (-1, part.shape[1], *heads)) for part in (query, key, value)]
        y = ops.dot_product_attention(*parts, mask=seen[None, None], scale=heads[1] ** -0.5)
        return ops.reshape(y, (-1, query.shape[1], self.width))

    def _dense(self, name, inputs, outputs, *stacked):
        """Kernel and bias of one dense layer, or of several stacked ones."""
        glorot = keras.initializers.VarianceScaling(math.prod(stacked), "fan_avg", "uniform")
        kernel = self._weight(f"{name}_kernel", (*stacked, inputs, outputs), glorot)
        return kernel, self._weight(f"{name}_bias", (*stacked, outputs), "zeros")

    def _norm(self, name, *stacked):
        """Scale and offset of one layer normalisation, or of several stacked ones."""
        shape = (*stacked, self.width)
        scale = self._weight(f"{name}_scale", shape, "ones")
        return scale, self._weight(f"{name}_offset", shape, "zeros")

    def _weight(self, name, shape, initializer):
        return self.add_weight(shape=shape, initializer=initializer, name=name)


def _linear(x, kernel, bias):
    """A dense layer as a single 2-D matrix product: backends split up products of higher rank."""
    y = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), kernel) + bias
    return ops.reshape(y, (-1, *x.shape[1:-1], kernel.shape[-1]))


def _normalise(x, scale, offset):
    """Layer normalisation (Ba et al. 2016, arXiv 1607.06450)."""
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    return centred * ops.rsqrt(variance + 1e-3) * scale + offset
