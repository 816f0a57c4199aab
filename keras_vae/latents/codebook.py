"""A codebook: K vectors, nearest-neighbour search, their update and the revival of dead codes."""

from functools import partial

import keras
import numpy as np
from keras import ops

from keras_vae.backends import largest
from keras_vae.checks import check_number, check_whole
from keras_vae.replicas import batch_size, draw_examples, gather_replicas, over_replicas, replicas

UPDATES = ("ema", "gradient", "fixed")
BLOCK = 8192  # codes compared at once, to limit memory use


class Codebook:
    """K vectors, the frequency of their use and their update: a building block of quantizers.

    It is not a layer: its variables belong to a latent, which calls `build` and may own several
    codebooks.

    Each vector follows the exponential moving average of the vectors assigned to it (van den Oord
    et al. 2017, arXiv 1711.00937, appendix A.1). The averages are of frequencies rather than
    counts, so that nothing depends on the batch size. Rarely used codes are revived: moved to
    vectors of the batch, which are drawn in proportion to their squared error. The first training
    batch initialises a new codebook in the same way.

    Args:
        num_codes: number K of vectors.
        code_dim: width of the vectors.
        update: `"ema"`, `"gradient"` (the optimizer trains the vectors) or `"fixed"`.
        decay: decay of the moving averages per step.
        revive_below: a code is revived if its share of the assignments falls below this fraction
            of the uniform share 1/K. With 0 there is no revival after the first batch.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(self, num_codes, code_dim, *, update="ema", decay=0.99, revive_below=0.02):
        self.num_codes = check_whole("num_codes", num_codes, 1)
        self.code_dim = check_whole("code_dim", code_dim, 1)
        if update not in UPDATES:
            raise ValueError(
                f'codebook_update must be "ema", "gradient" or "fixed". Received: {update!r}'
            )
        self.update = update
        self.decay = check_number("decay", decay, 0, 1)
        self.revive_below = check_number("revive_below", revive_below, 0, 1)

    def build(self, latent, prefix=""):
        """Makes the variables.

        Args:
            latent: the `Latent` that owns the variables and the random number generator.
            prefix: prefix of the variables' names, for a latent with several codebooks.
        """
        self._seed_generator = latent.seed_generator
        shape = (self.num_codes, self.code_dim)
        state = {"trainable": False, "autocast": False, "dtype": "float32"}
        spread = keras.initializers.RandomNormal(stddev=0.05, seed=latent.seed)
        # Each code's share of the assignments; zero until the codebook is placed on data.
        self.frequency = latent.add_weight(
            shape=shape[:1], initializer="zeros", name=f"{prefix}frequency", **state
        )
        self.anchor = latent.add_weight(
            shape=shape, initializer=spread, name=f"{prefix}anchor", **state
        )
        self.offset = None
        if self.update == "gradient":
            # On JAX a step cannot assign variables that the optimizer trains. So a vector is
            # anchor + offset: revival moves the anchor, the optimizer trains the offset.
            trained = {**state, "trainable": True}
            self.offset = latent.add_weight(
                shape=shape, initializer="zeros", name=f"{prefix}offset", **trained
            )

    @property
    def shape(self):
        """(num_codes, code_dim)."""
        return self.num_codes, self.code_dim

    @property
    def path(self):
        """The place of the vectors in the model, for messages."""
        return self.anchor.path

    def assign(self, vectors):
        """Sets the vectors, `(num_codes, code_dim)`: training goes on from them."""
        self.anchor.assign(vectors)
        if self.offset is not None:
            self.offset.assign(ops.zeros(self.shape))
        self.frequency.assign(ops.full(self.shape[:1], 1 / self.num_codes))

    @property
    def vectors(self):
        """The vectors, a tensor `(num_codes, code_dim)`."""
        anchor = ops.convert_to_tensor(self.anchor)
        return anchor if self.offset is None else anchor + self.offset

    def nearest(self, flat):
        """Returns the indices of the nearest vectors: `(N, code_dim)` to int32 `(N,)`."""
        vectors = ops.stop_gradient(self.vectors)
        # Centred, so that a large common offset does not cost precision.
        centre = ops.mean(vectors, axis=0)
        flat, vectors = ops.stop_gradient(flat) - centre, vectors - centre
        best, codes = None, None
        for start in range(0, self.num_codes, BLOCK):
            block = vectors[start : start + BLOCK]
            # argmin_k ||h - e_k||^2 = argmax_k 2 h e_k - ||e_k||^2
            closeness = 2 * flat @ ops.transpose(block) - ops.sum(ops.square(block), axis=-1)
            value, code = largest(closeness)
            code = ops.cast(code, "int32") + start
            if best is None:
                best, codes = value, code
            else:
                codes = ops.where(value > best, code, codes)
                best = ops.maximum(value, best)
        return codes

    def embed(self, codes):
        """Returns the vectors of integer codes: `(...)` to `(..., code_dim)`."""
        return ops.take(self.vectors, codes, axis=0)

    def follow(self, flat, codes):
        """Updates the vectors after a training step and revives rarely used codes.

        Args:
            flat: the vectors that were quantized, `(N, code_dim)`.
            codes: the indices of their nearest vectors, `(N,)`.
        """
        if self.update == "fixed":
            return
        k, vectors = self.num_codes, ops.stop_gradient(self.vectors)
        flat = ops.stop_gradient(flat)
        error = ops.sum(ops.square(flat - ops.take(vectors, codes, axis=0)), axis=-1)
        total = batch_size(flat)
        counts = ops.segment_sum(ops.ones_like(flat[:, 0]), codes, num_segments=k)
        share = over_replicas(counts) / total
        frequency = self.decay * self.frequency + (1 - self.decay) * share
        if self.update == "ema":
            # frequency * vector is the running sum; a code that was never used does not move.
            mean = over_replicas(ops.segment_sum(flat, codes, num_segments=k)) / total
            running = self.decay * self.frequency[:, None] * vectors + (1 - self.decay) * mean
            used = frequency[:, None] > 0
            vectors = ops.where(used, running / ops.maximum(frequency[:, None], 1e-30), vectors)
        is_new = ops.max(self.frequency) == 0
        dead = ops.logical_or(is_new, frequency < self.revive_below / k)
        vectors = ops.where(dead[:, None], self._draw(flat, error, total), vectors)
        if self.offset is not None:
            vectors = vectors - ops.stop_gradient(ops.convert_to_tensor(self.offset))
        self.anchor.assign(vectors)
        self.frequency.assign(ops.where(dead, 1 / k, ops.maximum(frequency, 1e-20)))

    def _draw(self, flat, error, total):
        """Draws K of the batch's `total` vectors without replacement, in proportion to error."""
        draw = partial(
            keras.random.uniform, minval=1e-7, dtype="float32", seed=self._seed_generator
        )
        uniform = draw_examples(draw, ops.shape(error))
        # The Gumbel trick: the K smallest are K draws without replacement.
        key = ops.log(-ops.log(uniform)) - ops.log(error + 1e-12)
        if replicas() > 1:  # the K of all replicas are among the K of each, which may have fewer
            key = ops.pad(key, ((0, self.num_codes),), constant_values=np.inf)
            flat = ops.pad(flat, ((0, self.num_codes), (0, 0)))
            own = ops.argsort(key)[: self.num_codes]
            key, flat = (gather_replicas(ops.take(t, own, axis=0)) for t in (key, flat))
        picks = ops.arange(self.num_codes, dtype="int32") % ops.cast(total, "int32")
        return ops.take(flat, ops.take(ops.argsort(key), picks), axis=0)
