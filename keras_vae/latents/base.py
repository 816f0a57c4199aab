"""What every latent offers: the one contract between a latent and the rest of the library."""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_vae.checks import as_float32, check_seed
from keras_vae.priors import name_of

ACTIVE = 0.01  # a latent is active if Var_x(E_q[z]) exceeds this (Burda et al. 2015, section 5)


class CodeSpec(NamedTuple):
    """What the code of one example looks like, and what it takes to sample one.

    Args:
        shape: shape of the code; None for an axis that depends on the size of the data.
        dtype: `"float32"` (default), or `"int32"` for the numbers of discrete codes.
        num_codes: integer codes are 0, ..., num_codes - 1. None (default) for float codes.
        noise_shape: shape of the standard normal numbers that one posterior sample takes. None
            (default): the posterior is a single point.
    """

    shape: tuple
    dtype: str = "float32"
    num_codes: int | None = None
    noise_shape: tuple | None = None


class _Draw(NamedTuple):
    code: Any
    decoder_input: Any
    rate: Any
    log_ratio: Any
    penalty: Any
    unit_rates: Any
    layer_rates: Any
    terms: Any


class Draw(_Draw):
    """M samples from the posterior q(z|x) of each of n examples.

    Args:
        code: the samples, `(M, n, *code_shape)`; M is 1 if the posterior is a single point.
        decoder_input: what the decoder takes, with the sample axis folded into the batch:
            `(M * n, ...)`.
        rate: nats, `(M, n)`. Its mean over the samples is KL(q(z|x) || p(z)), or a code length.
        log_ratio: log p(z) - log q(z|x) of each sample, `(M, n)`, nats. Defaults to `-rate`.
        penalty: a training cost beyond the ELBO, `(n,)`. Defaults to 0.
        unit_rates: the rate of each unit of an example, `(n, *units)`, if the rate is their sum.
        layer_rates: the rate of each layer of a hierarchy, `(n, layers)`, top first; their sum is
            the rate. Defaults to None: there is one layer.
        terms: a dict of more tensors, for `Latent.track`.
    """

    def __new__(
        cls,
        code,
        decoder_input,
        rate,
        log_ratio=None,
        penalty=None,
        unit_rates=None,
        layer_rates=None,
        terms=None,
    ):
        log_ratio = -rate if log_ratio is None else log_ratio
        penalty = ops.zeros_like(rate[0]) if penalty is None else penalty
        terms = {} if terms is None else terms
        return super().__new__(
            cls, code, decoder_input, rate, log_ratio, penalty, unit_rates, layer_rates, terms
        )


class Use(NamedTuple):
    """How much of a latent is used on a data set.

    Args:
        figures: what `keras_vae.evaluate` reports.
        values: a flat array, a number for each unit, which is in use if it exceeds `threshold`.
        threshold: see `values`.
        unit: what a unit is called.
        label: what the values are, for the axis of a chart.
        advice: what may help if many units are idle.
    """

    figures: dict
    values: np.ndarray
    threshold: float
    unit: str
    label: str
    advice: str


class Latent(keras.layers.Layer):
    """The interface of a latent: a layer from the encoder's output to a code and its rate.

    A subclass must define `spec`, `draw` and `code`. It defines `decoder_input` if the decoder
    takes something other than the code, and `generates` and `sample_prior` if there is a prior to
    draw from. The rest of the library asks this class and nothing else. Everything is computed in
    float32 under every dtype policy: `h` is float32, and layers of a latent's own should be made
    with `dtype="float32"`.

    The attribute `prior` holds the prior, if it is a layer of its own with `log_prob` and `sample`.
    Class attributes declare more:

    - `generates`: whether `sample_prior` works; if not, `no_prior` says why, in a sentence.
    - `no_bound`: why there is no ELBO, in a sentence. None (default): there is one.
    - `has_unit_rates`: whether `draw` returns `unit_rates`.
    - `encodes_as`: how a program without Python gets the code from the encoder's output: its
      `"mean"` (first tensor or first half), the output itself (`"identity"`), the `"nearest"`
      vector of `decoder_input`, what Keras traces of `code` and `decoder_input` (`"traced"`), which
      must then take symbolic tensors of one example, or None (default), unknown.
    """

    code_spec = None  # set when the latent is built
    generates = False
    no_prior = "This model has no prior to draw codes from, so it generates nothing."
    no_bound = None
    has_unit_rates = False
    encodes_as = None

    def __init__(self, *, seed=None, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.prior = None
        self.seed = check_seed(seed)
        self.seed_generator = keras.random.SeedGenerator(self.seed)

    @property
    def prior_name(self):
        """The prior's name, `"uniform"` for integer codes without a prior layer; or None."""
        has_prior = self.prior is not None or self.code_spec.num_codes
        return name_of(self.prior) if has_prior else None

    @property
    def layout(self):
        """The shape of each layer's latents, top first.

        The code of a hierarchy is flat and holds all of them in this order, the lower layers in
        units of their conditional prior: N(0, I). Any other latent has one layer, its code.
        """
        return (self.code_spec.shape,)

    def connect(self, encoder, data_shape):
        """Gives a latent what it needs of its model, before `build`. A no-op by default."""

    def build(self, input_shape):
        self.code_spec = self.spec(input_shape)

    def call(self, h, num_samples=1, training=False):
        """Returns what the decoder takes, and the rate, `(n,)` nats.

        Keras traces this method to find shapes; a latent that defines `compute_output_spec` builds
        faster.
        """
        draw = self.draw(h, None, num_samples, training)
        return draw.decoder_input, ops.mean(draw.rate, axis=0)

    def spec(self, h_shape) -> CodeSpec:
        """What codes look like, given the shape (or shapes) of what the encoder returns."""
        raise NotImplementedError

    def draw(self, h, noise=None, num_samples=1, training=False) -> Draw:
        """Samples the posterior.

        Args:
            h: what the encoder returned for `n` examples.
            noise: standard normal numbers `(M, n, *noise_shape)`. None: drawn by the latent with
                its `seed_generator`.
            num_samples: samples M per example, if the noise is drawn here.
            training: whether this is a training step.
        """
        raise NotImplementedError

    def code(self, h):
        """The deterministic code of `n` examples, `(n, *code_shape)`."""
        raise NotImplementedError

    def summary(self, h) -> dict:
        """What an exported encoder returns of `n` examples: tensors by name, the code first.

        `{"z": code(h)}` by default, or `{"codes": code(h)}` if codes are integers.
        """
        return {"codes" if self.code_spec.num_codes else "z": self.code(h)}

    def decoder_input(self, code):
        """Converts codes `(n, *code_shape)` to what the decoder takes. Returns them by default."""
        return code

    def log_ratio(self, h, code):
        """log p(z) - log q(z|x) of given codes `(M, n, *code_shape)`: `(M, n)`, nats.

        Only the doubly reparameterised gradient needs it.
        """
        raise ValueError(
            f"The doubly reparameterised gradient needs log p(z) - log q(z|x) of given codes, and "
            f"{type(self).__name__} has no log_ratio method: use importance_weighted=True."
        )

    def probe(self, h, code):
        """Numbers that change with every weight which neither `h` nor the decoder's outputs show.

        For fingerprints. Those of a prior by default, or None if it has no weights.

        Args:
            h: what the encoder returned for `n` examples.
            code: `n` codes, `(n, *code_shape)`, which need not be those of the examples.
        """
        return self.prior.log_prob(code) if self.prior is not None and self.prior.weights else None

    def sample_prior(self, n, rng, shape=None):
        """Draws `n` codes from the prior as a NumPy array.

        Args:
            n: number of codes.
            rng: a NumPy generator.
            shape: shape of a code, for models of any size. Defaults to that of `code_spec`.

        Raises:
            ValueError: if there is no prior to draw from.
        """
        raise ValueError(self.no_prior)

    def check_code(self, code, spec=None):
        """Returns codes as `decoder_input` takes them.

        Args:
            code: a NumPy array.
            spec: the codes' `CodeSpec`. Defaults to that of this latent.

        Raises:
            ValueError: if they are not codes of this latent.
        """
        spec = spec or self.code_spec
        shape = ", ".join("any" if size is None else str(size) for size in ("n", *spec.shape))
        rule = "hold integer codes of" if spec.num_codes else "have"
        if not _fits(code, spec.shape) or (spec.num_codes and code.dtype.kind not in "iu"):
            raise ValueError(
                f"z must {rule} shape ({shape}). Received shape {code.shape}, dtype {code.dtype}"
            )
        if spec.num_codes is None:
            return as_float32(code, "z")
        elif code.min() < 0 or code.max() >= spec.num_codes:
            raise ValueError(
                f"Codes must be in [0, {spec.num_codes - 1}]. Received {code.min()} to "
                f"{code.max()}."
            )
        return code.astype(spec.dtype)

    def use(self, code) -> Use:
        """Measures how much of the latent a data set uses, from its codes `(n, *code_shape)`."""
        if self.code_spec.num_codes is None:
            variances = np.var(code, axis=0, dtype="float64").ravel()
            return Use(
                {"active_units": int(np.sum(variances > ACTIVE))},
                variances,
                ACTIVE,
                "latent",
                "variance of the posterior mean over the data",
                "lower beta, warm up longer, or set free bits to 0.25",
            )
        counts = np.bincount(np.ravel(code), minlength=self.code_spec.num_codes)
        return Use(
            {
                "perplexity": float(ops.convert_to_numpy(perplexity(counts))),
                "codebook_usage": float(np.mean(counts > 0)),
            },
            counts / counts.sum(),
            0.0,
            "code",
            "share of the assignments",
            "raise revive_below, or make the codebook smaller",
        )

    def track(self, draw: Draw, weight=1.0):
        """Updates the latent's own metrics after a step. A no-op by default.

        Args:
            draw: what `draw` returned.
            weight: sample weights, `(n,)` or 1.
        """

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}

    @classmethod
    def from_config(cls, config):
        if "prior" in config:
            prior = keras.saving.deserialize_keras_object(config["prior"])
            config = {**config, "prior": prior}
        return cls(**config)


def perplexity(counts):
    """exp(-sum_k p_k log p_k), with p_k the share of code k in the counts, `(K,)`."""
    counts = ops.cast(counts, "float32")
    p = counts / ops.maximum(ops.sum(counts), 1.0)
    return ops.exp(-ops.sum(p * ops.log(ops.maximum(p, np.finfo("float32").tiny))))


def check_no_dict(h_shape, tensors):
    """Raises ValueError if an encoder returns a dict; `tensors` says what it must return."""
    if isinstance(h_shape, dict):
        raise ValueError(
            f"An encoder must return {tensors}, and this one returns a dict with the keys "
            f"{', '.join(map(repr, h_shape))}: name the outputs of its keras.Model in that order."
        )


def fold(samples):
    """Folds the sample axis into the batch: `(M, n, ...)` to `(M * n, ...)`."""
    return ops.reshape(samples, (-1, *ops.shape(samples)[2:]))


def _fits(code, shape):
    sizes = code.shape[1:]
    fits = len(sizes) == len(shape) and all(s in (None, size) for s, size in zip(shape, sizes))
    return fits and code.size > 0
