"""Discrete latents: integer codes at every position, with a prior, a rate and metrics."""

import math

import keras
from keras import ops

from keras_vae.checks import check_whole
from keras_vae.latents.base import CodeSpec, Draw, Latent, perplexity
from keras_vae.priors import get_code_prior
from keras_vae.replicas import over_replicas


class DiscreteLatent(Latent):
    """Base class of quantizers: `(n, *positions, code_dim)` to one of K codes per position.

    A subclass defines `assign_codes` and `embed`. The rate is the code length in nats under the
    prior: `positions * log(num_codes)` if the prior is uniform. A learned prior is trained by the
    rate alone, which has no gradient for the encoder or the codes. `decode` takes integer codes or
    their vectors. A subclass with several codes per position, such as a residual quantizer,
    overrides `spec`: they are the last axis of its codes.

    Args:
        num_codes: number K of codes.
        code_dim: width of a code's vector.
        prior: prior over the codes: `"transformer"`, a dict with such a name and arguments, or a
            `keras_vae.priors.CodeTransformer`. Defaults to None, the uniform prior.
        seed: seed of random draws in training. Defaults to None, a new seed for each layer.
    """

    def __init__(self, num_codes, code_dim, *, prior=None, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.num_codes = check_whole("num_codes", num_codes, 1)
        self.code_dim = check_whole("code_dim", code_dim, 1)
        self.prior = get_code_prior(prior)
        self.codebook_use = CodebookUse(self.num_codes)

    def assign_codes(self, h, training=False):
        """Finds the codes of `n` examples.

        Args:
            h: the encoder's output, float32 `(n, *positions, code_dim)`.
            training: whether this is a training step.

        Returns:
            codes, int32 `(n, *code_shape)`; what the decoder takes, `(n, *positions, code_dim)`,
            with a gradient for the encoder; a training cost `(n,)` or None; and a dict of terms to
            track.
        """
        raise NotImplementedError

    def embed(self, codes):
        """Returns the vectors of codes: `(n, *code_shape)` to `(n, *positions, code_dim)`."""
        raise NotImplementedError

    no_prior = (
        "A VQ-VAE generates images from a trained prior over its codes. This model has none, and "
        'random codes decode to noise. Make it with prior="transformer". reconstruct(x), encode(x) '
        "and decode(codes) work."
    )

    @property
    def generates(self):
        return self.prior is not None

    def spec(self, h_shape):
        if len(h_shape) < 3 or h_shape[-1] != self.code_dim:
            raise ValueError(
                f"A {type(self).__name__} takes (n, *positions, code_dim = {self.code_dim}). "
                f"Received a tensor of shape: {tuple(h_shape)}"
            )
        return CodeSpec(tuple(h_shape[1:-1]), "int32", self.num_codes)

    def build(self, input_shape):
        super().build(input_shape)
        self.vector_spec = CodeSpec(tuple(input_shape[1:]))
        if self.prior is not None and not self.prior.built:  # one read from a file is built
            self.prior.build((None, *self.code_spec.shape, self.num_codes))

    def compute_output_spec(self, h, num_samples=1, training=False):
        return keras.KerasTensor(h.shape, "float32"), keras.KerasTensor(h.shape[:1], "float32")

    def draw(self, h, noise=None, num_samples=1, training=False):
        codes, vectors, penalty, terms = self.assign_codes(ops.cast(h, "float32"), training)
        rate = self._code_length(codes, training)[None]
        return Draw(codes[None], vectors, rate, penalty=penalty, terms=terms)

    def code(self, h):
        return self.assign_codes(ops.cast(h, "float32"))[0]

    def check_code(self, code, spec=None):
        spec = spec or self.code_spec
        is_vectors = code.dtype.kind == "f" and code.ndim == len(self.vector_spec.shape) + 1
        return super().check_code(code, self.vector_spec if is_vectors else spec)

    def decoder_input(self, code):
        """Converts integer codes to their vectors; vectors pass through."""
        is_integer = "int" in keras.backend.standardize_dtype(code.dtype)
        return self.embed(code) if is_integer else code

    def sample_prior(self, n, rng, shape=None):
        if self.prior is None:
            raise ValueError(self.no_prior)
        return self.prior.sample_of(shape, n, rng)

    def track(self, draw, weight=1.0):
        # Each example counts once, whatever its weight.
        self.codebook_use.update_state(draw.code)

    def get_config(self):
        own = {
            "num_codes": self.num_codes,
            "code_dim": self.code_dim,
            "prior": keras.saving.serialize_keras_object(self.prior),
        }
        return {**super().get_config(), **own}

    def _code_length(self, codes, training):
        """-log p(codes), `(n,)`, in nats."""
        if self.prior is not None:
            return -self.prior.log_prob(codes, training=training)
        n, *sizes = ops.shape(codes)  # the sizes may be known only when the graph runs
        nats = ops.cast(math.prod(sizes), "float32") * math.log(self.num_codes)
        return ops.broadcast_to(nats, (n,))


@keras.saving.register_keras_serializable(package="keras_vae")
class CodebookUse(keras.metrics.Metric):
    """`perplexity` and `codebook_usage` of all codes seen since the last reset.

    The perplexity is exp(-sum_k p_k log p_k), where p_k is the share of the assignments that went
    to code k. The usage is the fraction of codes with p_k > 0.

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
        counts = ops.segment_sum(ones, codes, num_segments=self.num_codes)
        self.counts.assign_add(over_replicas(counts))

    def result(self):
        usage = ops.mean(ops.cast(self.counts > 0, "float32"))
        return {"perplexity": perplexity(self.counts), "codebook_usage": usage}

    def get_config(self):
        return {**super().get_config(), "num_codes": self.num_codes}
