"""The discrete latent: every position of the encoder's output becomes its nearest code."""

import math

import keras
import numpy as np
from keras import ops

from keras_vae.backends import of_first_replica, over_replicas
from keras_vae.checks import check_number, check_whole
from keras_vae.latents.base import Latent
from keras_vae.priors import get_code_prior


@keras.saving.register_keras_serializable(package="keras_vae")
class VectorQuantizer(Latent):
    """A codebook with straight-through gradients.

    van den Oord et al. 2017, arXiv 1711.00937, eqs. 1-3. Takes `(n, *positions, code_dim)` and
    returns the nearest codes in their place. The rate is the length of the codes in nats under the
    prior; under the uniform one that is `positions * log(num_codes)`. A prior that learns takes its
    gradient from the rate, which has none for the encoder and the codes. The penalty is
    `commitment * ||h - sg(code)||^2` (eq. 3, third term), summed over an example's positions; with
    `codebook_update="gradient"` it also has the codebook's own term `||sg(h) - code||^2`.

    By default the codes follow the exponential moving average of the vectors assigned to them
    (appendix A.1 there), in frequencies rather than counts, so that nothing depends on the batch
    size. Codes that are hardly used are moved onto vectors of the batch that are badly
    represented, drawn in proportion to their squared error. The first training batch places a
    new codebook as a whole in the same way. Nothing moves in evaluation, nor while `trainable`
    is False; a "fixed" codebook never does, so that a prior can be trained alone. Sample weights
    weigh the loss, not the averages, the revival and the codes' use: each example counts once.

    Args:
        num_codes: size K of the codebook. Defaults to 512.
        code_dim: width of a code. Defaults to 64.
        commitment: weight beta of the commitment term. Defaults to 0.25.
        codebook_update: `"ema"` (default), `"gradient"` or `"fixed"`.
        decay: decay of the moving averages per step. Defaults to 0.99.
        revive_below: a code is revived when its share of the assignments falls below this
            fraction of the uniform share 1/K; 0 turns revival off after the first batch.
            Defaults to 0.02.
        prior: over the codes: `"transformer"`, a dict of such a name and arguments, or a
            `keras_vae.priors.CodeTransformer`. Defaults to None, the uniform prior.
        seed: seed of the revival's draws. Defaults to None, a new one for each layer.

    Raises:
        ValueError: if an argument is out of its range.
    """

    stochastic = False

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
        super().__init__(seed=seed, **kwargs)
        self.num_codes = check_whole("num_codes", num_codes, 1)
        self.code_dim = check_whole("code_dim", code_dim, 1)
        self.commitment = check_number("commitment", commitment, 0)
        if codebook_update not in ("ema", "gradient", "fixed"):
            raise ValueError(
                'codebook_update must be "ema", "gradient" or "fixed". '
                f"Received: {codebook_update!r}"
            )
        self.codebook_update = codebook_update
        self.decay = check_number("decay", decay, 0, 1)
        self.revive_below = check_number("revive_below", revive_below, 0, 1)
        self.prior = get_code_prior(prior)
        self.use = CodebookUse(self.num_codes, name="use")
        self.commitment_tracker = keras.metrics.Mean(name="commitment")

    def build(self, input_shape):
        if len(input_shape) < 3 or input_shape[-1] != self.code_dim:
            raise ValueError(
                f"A VectorQuantizer takes (n, *positions, code_dim = {self.code_dim}). "
                f"Received a tensor of shape: {tuple(input_shape)}"
            )
        self.latent_shape = tuple(input_shape[1:-1])  # that of the codes of one example
        if self.prior is not None and not self.prior.built:  # it is when a file was read
            self.prior.build((None, *self.latent_shape, self.num_codes))
        state = {"trainable": False, "autocast": False, "dtype": "float32"}
        shape = (self.num_codes, self.code_dim)
        spread = keras.initializers.RandomNormal(stddev=0.05, seed=self.seed)
        # Each code's share of the assignments: zero for codes not yet placed on data.
        self.frequency = self.add_weight(
            shape=(self.num_codes,), initializer="zeros", name="frequency", **state
        )
        self.anchor = self.add_weight(shape=shape, initializer=spread, name="anchor", **state)
        if self.codebook_update == "gradient":
            # JAX lets a step assign only what no gradient trains: the code is anchor + offset,
            # revival moves the anchor, the optimizer the offset.
            self.offset = self.add_weight(
                shape=shape, initializer="zeros", name="offset", autocast=False, dtype="float32"
            )

    def compute_output_spec(self, h, num_samples=1, training=False):
        return keras.KerasTensor(h.shape, "float32"), keras.KerasTensor(h.shape[:1], "float32")

    @property
    def generates(self):
        return self.prior is not None

    @property
    def codebook(self):
        """The codes, `(num_codes, code_dim)`."""
        anchor = ops.convert_to_tensor(self.anchor)
        return anchor + self.offset if self.codebook_update == "gradient" else anchor

    def infer(self, h, num_samples=1, noise=None, training=False):
        h = ops.cast(h, "float32")
        flat = ops.reshape(h, (-1, self.code_dim))  # (N, d)
        codebook = self.codebook
        codes = self._nearest(flat, codebook)  # (N,)
        quantized = ops.take(codebook, codes, axis=0)
        if training and self.trainable and self.codebook_update != "fixed":
            self._update(*map(ops.stop_gradient, (flat, codebook, codes, quantized)))
        quantized = ops.reshape(quantized, ops.shape(h))
        axes = tuple(range(1, len(h.shape)))
        commitment = ops.sum(ops.square(h - ops.stop_gradient(quantized)), axis=axes)
        penalty = self.commitment * commitment
        if self.codebook_update == "gradient":
            penalty += ops.sum(ops.square(ops.stop_gradient(h) - quantized), axis=axes)
        codes = ops.reshape(codes, ops.shape(h)[:-1])
        return {
            "z": h + ops.stop_gradient(quantized - h),
            "rate": self._code_length(codes, training),
            "penalty": penalty,
            "commitment": commitment,
            "codes": codes,
        }

    def code(self, h):
        h = ops.cast(h, "float32")
        codes = self._nearest(ops.reshape(h, (-1, self.code_dim)), self.codebook)
        return ops.reshape(codes, ops.shape(h)[:-1])

    def check_code(self, z):
        if z.dtype.kind == "f" and z.ndim == len(self.latent_shape) + 2:
            vectors = (*self.latent_shape, self.code_dim)
            if z.shape[1:] == vectors and len(z) and np.isfinite(z).all():
                return z.astype("float32")
        shape = ", ".join(map(str, ("n", *self.latent_shape)))
        if z.dtype.kind not in "iu" or z.shape[1:] != self.latent_shape or not len(z):
            raise ValueError(
                f"z must hold integer codes of shape ({shape}) or finite vectors of shape "
                f"({shape}, {self.code_dim}). Received shape {z.shape}, dtype {z.dtype}"
            )
        if z.min() < 0 or z.max() >= self.num_codes:
            raise ValueError(
                f"Codes must be in [0, {self.num_codes - 1}]. Received {z.min()} to {z.max()}."
            )
        return z.astype("int32")

    def lookup(self, code):
        """Integer codes `(n, *positions)` to their vectors; vectors are handed through."""
        if "int" not in keras.backend.standardize_dtype(code.dtype):
            return code
        return ops.take(self.codebook, code, axis=0)

    def propose(self, h, noise=None, num_samples=1):
        codes = self.code(h)
        length = self._code_length(codes)[None]
        return self.lookup(codes), -length, length

    def sample_prior(self, n, rng):
        if not self.generates:
            raise ValueError(
                "A VQ-VAE generates images from a trained prior over its codes, and this model has "
                'none: codes drawn uniformly decode to noise. Make it with prior="transformer". '
                "reconstruct(x), encode(x) and decode(codes) work."
            )
        return self.prior.sample(n, rng)

    def track(self, terms):
        self.use.update_state(terms["codes"])
        self.commitment_tracker.update_state(terms["commitment"])

    def get_config(self):
        config = super().get_config()
        return {
            **config,
            "num_codes": self.num_codes,
            "code_dim": self.code_dim,
            "commitment": self.commitment,
            "codebook_update": self.codebook_update,
            "decay": self.decay,
            "revive_below": self.revive_below,
            "prior": keras.saving.serialize_keras_object(self.prior),
        }

    @classmethod
    def from_config(cls, config):
        prior = keras.saving.deserialize_keras_object(config["prior"])
        return cls(**{**config, "prior": prior})

    def _code_length(self, codes, training=False):
        """-log p(codes), `(n,)`, in nats."""
        if self.prior is None:
            uniform = math.prod(self.latent_shape) * math.log(self.num_codes)
            return ops.full((ops.shape(codes)[0],), uniform, dtype="float32")
        return -self.prior.log_prob(codes, training=training)

    def _nearest(self, flat, codebook):
        # Moved to the codebook's mean, so that a large common offset costs no precision.
        centre = ops.mean(codebook, axis=0)
        flat, codebook = ops.stop_gradient(flat - centre), ops.stop_gradient(codebook - centre)
        # argmin_k ||h - e_k||^2 = argmax_k 2 h e_k - ||e_k||^2
        closeness = 2 * flat @ ops.transpose(codebook) - ops.sum(ops.square(codebook), axis=-1)
        # top_k for argmax, which in Keras makes several passes over all distances first.
        return ops.cast(ops.top_k(closeness, 1)[1][:, 0], "int32")

    def _update(self, flat, codebook, codes, quantized):
        """One step of the moving averages, then revival of the codes that are hardly used."""
        k = self.num_codes
        total = over_replicas(ops.cast(ops.shape(flat)[0], "float32"))
        counts = ops.segment_sum(ops.ones_like(flat[:, 0]), codes, num_segments=k)
        share = over_replicas(counts) / total
        frequency = self.decay * self.frequency + (1 - self.decay) * share
        if self.codebook_update == "ema":
            # frequency * code is the running sum of the vectors; a code never used keeps its place.
            mean = over_replicas(ops.segment_sum(flat, codes, num_segments=k)) / total
            running = self.decay * self.frequency[:, None] * codebook + (1 - self.decay) * mean
            codebook = ops.where(
                frequency[:, None] > 0, running / ops.maximum(frequency[:, None], 1e-30), codebook
            )
        new = ops.max(self.frequency) == 0
        dead = ops.logical_or(new, frequency <= self.revive_below / k)
        error = ops.sum(ops.square(flat - quantized), axis=-1)
        # The Gumbel trick: the K largest are K draws without replacement, proportional to error.
        uniform = keras.random.uniform(
            ops.shape(error), minval=1e-7, dtype="float32", seed=self.seed_generator
        )
        order = ops.argsort(ops.log(-ops.log(uniform)) - ops.log(error + 1e-12))
        picks = ops.take(order, ops.arange(k, dtype="int32") % ops.shape(order)[0])
        revived = of_first_replica(ops.take(flat, picks, axis=0))
        codebook = ops.where(dead[:, None], revived, codebook)
        if self.codebook_update == "gradient":
            codebook = codebook - ops.stop_gradient(ops.convert_to_tensor(self.offset))
        self.anchor.assign(codebook)
        self.frequency.assign(ops.where(dead, 1 / k, ops.maximum(frequency, 1e-20)))


@keras.saving.register_keras_serializable(package="keras_vae")
class CodebookUse(keras.metrics.Metric):
    """`perplexity` and `codebook_usage` of all the codes seen since the last reset.

    perplexity = exp(-sum_k p_k log p_k), p_k the share of code k in the assignments; usage is
    the fraction of codes with p_k > 0.

    Args:
        num_codes: size of the codebook.
    """

    names = ("perplexity", "codebook_usage")

    def __init__(self, num_codes, name="use", **kwargs):
        super().__init__(name=name, **kwargs)
        self.num_codes = num_codes
        self.counts = self.add_variable(
            shape=(num_codes,), initializer="zeros", dtype="float32", name="counts"
        )

    def update_state(self, codes, sample_weight=None):
        codes = ops.reshape(ops.convert_to_tensor(codes), (-1,))
        ones = ops.ones_like(codes, dtype="float32")
        self.counts.assign_add(ops.segment_sum(ones, codes, num_segments=self.num_codes))

    def result(self):
        total = ops.maximum(ops.sum(self.counts), 1.0)
        p = self.counts / total
        entropy = -ops.sum(p * ops.log(ops.maximum(p, np.finfo("float32").tiny)))
        return {
            "perplexity": ops.exp(entropy),
            "codebook_usage": ops.mean(ops.cast(self.counts > 0, "float32")),
        }

    def get_config(self):
        return {**super().get_config(), "num_codes": self.num_codes}
