"""The vector quantizer of the VQ-VAE: every position becomes the nearest code of a codebook."""

import keras
from keras import ops

from keras_vae.checks import check_number
from keras_vae.latents.codebook import Codebook
from keras_vae.latents.discrete import DiscreteLatent
from keras_vae.replicas import update_mean


@keras.saving.register_keras_serializable(package="keras_vae")
class VectorQuantizer(DiscreteLatent):
    """A codebook with straight-through gradients.

    van den Oord et al. 2017, arXiv 1711.00937, eqs. 1-3. Takes `(n, *positions, code_dim)` and
    returns the nearest codes. The penalty is `commitment * ||h - sg(code)||^2` (eq. 3, third term),
    summed over an example's positions; with `codebook_update="gradient"` it also has the codebook's
    own term `||sg(h) - code||^2`.

    By default the codes follow the vectors assigned to them, and idle codes are revived: see
    `keras_vae.latents.Codebook`. Nothing moves in evaluation, nor while `trainable` is False; a
    "fixed" codebook never moves, so that a prior can be trained alone. Sample weights apply to the
    loss, not to the averages, the revival and the codes' use.

    Args:
        num_codes: size K of the codebook. Defaults to 512.
        code_dim: width of a code. Defaults to 64.
        commitment: weight beta of the commitment term. Defaults to 0.25.
        codebook_update: `"ema"` (default), `"gradient"` or `"fixed"`.
        decay: decay of the moving averages per step. Defaults to 0.99.
        revive_below: a code is revived if its share of the assignments falls below this fraction
            of the uniform share 1/K; 0 turns revival off after the first batch. Defaults to 0.02.
        prior: over the codes: `"transformer"`, a dict of such a name and arguments, or a
            `keras_vae.priors.CodeTransformer`. Defaults to None, the uniform prior.
        seed: seed of the revival's draws. Defaults to None, a new one for each layer.

    Raises:
        ValueError: if an argument is out of its range.
    """

    encodes_as = "nearest"

    def __init__(
        self,
        num_codes=512,
        code_dim=64,
        *,
        commitment=0.25,
        codebook_update="ema",
        decay=0.99,
        revive_below=0.02,
        prior=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(num_codes, code_dim, prior=prior, seed=seed, **kwargs)
        self.commitment = check_number("commitment", commitment, 0)
        self.codebook = Codebook(
            num_codes, code_dim, update=codebook_update, decay=decay, revive_below=revive_below
        )
        self.commitment_tracker = keras.metrics.Mean(name="commitment")

    def build(self, input_shape):
        super().build(input_shape)
        self.codebook.build(self)

    def assign_codes(self, h, training=False):
        flat = ops.reshape(h, (-1, self.code_dim))  # (N, d)
        codes = self.codebook.nearest(flat)  # (N,)
        vectors = ops.reshape(self.codebook.embed(codes), ops.shape(h))
        if training and self.trainable:
            self.codebook.follow(flat, codes)
        axes = tuple(range(1, len(h.shape)))
        commitment = ops.sum(ops.square(h - ops.stop_gradient(vectors)), axis=axes)
        penalty = self.commitment * commitment
        if self.codebook.update == "gradient":
            penalty += ops.sum(ops.square(ops.stop_gradient(h) - vectors), axis=axes)
        codes = ops.reshape(codes, ops.shape(h)[:-1])
        through = h + ops.stop_gradient(vectors - h)
        return codes, through, penalty, {"commitment": commitment}

    def embed(self, codes):
        return self.codebook.embed(codes)

    def track(self, draw, weight=1.0):
        super().track(draw)
        update_mean(self.commitment_tracker, weight * draw.terms["commitment"])

    def get_config(self):
        own = {
            "commitment": self.commitment,
            "codebook_update": self.codebook.update,
            "decay": self.codebook.decay,
            "revive_below": self.codebook.revive_below,
        }
        return {**super().get_config(), **own}
