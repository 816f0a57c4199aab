"""Extensions of the library as a user writes them: public names only, at most 40 lines each."""

import math

import keras
import numpy as np
from keras import layers, ops

from keras_vae.latents import Codebook, CodeSpec, DiscreteLatent, Draw, Latent
from keras_vae.likelihoods import Likelihood, sum_over_data
from keras_vae.objectives import ELBO, Objective
from keras_vae.priors import Prior

register = keras.saving.register_keras_serializable("extensions")


@register
class FSQ(DiscreteLatent):
    """Finite scalar quantization: every number is rounded to one of a few levels.

    Mentzer et al. 2023, arXiv 2309.15505, appendix A.
    """

    def __init__(self, levels=(4, 3), **kwargs):
        super().__init__(math.prod(levels), len(levels), **kwargs)
        self.levels = tuple(levels)

    def grid(self):
        """Of each number: its levels, the middle one, and the place value of its digit."""
        tables = (self.levels, [k // 2 for k in self.levels], np.cumprod([1, *self.levels[:-1]]))
        return [ops.convert_to_tensor(table, "int32") for table in tables]

    def assign_codes(self, h, training=False):
        levels, middle, place = self.grid()
        half = 0.999 * (ops.cast(levels, "float32") - 1) / 2
        offset = ops.cast(1 - levels % 2, "float32") / 2  # an even number has no level at 0
        bounded = ops.tanh(h + ops.arctanh(offset / half)) * half - offset
        whole = ops.stop_gradient(ops.round(bounded))
        codes = ops.sum((ops.cast(whole, "int32") + middle) * place, axis=-1)
        through = (bounded + ops.stop_gradient(whole - bounded)) / ops.cast(middle, "float32")
        return ops.cast(codes, "int32"), through, None, {}

    def embed(self, codes):
        levels, middle, place = self.grid()
        digits = ops.cast(codes, "int32")[..., None] // place % levels
        return ops.cast(digits - middle, "float32") / ops.cast(middle, "float32")

    def get_config(self):
        config = {**super().get_config(), "levels": self.levels}
        return {k: v for k, v in config.items() if k not in ("num_codes", "code_dim")}


@register
class Residual(DiscreteLatent):
    """Residual quantization: each codebook encodes what the ones before it left.

    Zeghidour et al. 2021, arXiv 2107.03312, section III.C. A position has a code of every codebook.
    """

    def __init__(self, num_codes=8, code_dim=2, depth=2, **kwargs):
        super().__init__(num_codes, code_dim, **kwargs)
        self.depth = depth
        self.codebooks = [Codebook(num_codes, code_dim) for _ in range(depth)]

    def spec(self, h_shape):
        return CodeSpec((*h_shape[1:-1], self.depth), "int32", self.num_codes)

    def build(self, input_shape):
        super().build(input_shape)
        for i, codebook in enumerate(self.codebooks):
            codebook.build(self, f"{i}_")

    def assign_codes(self, h, training=False):
        rest, codes = ops.reshape(h, (-1, self.code_dim)), []
        for codebook in self.codebooks:
            codes.append(codebook.nearest(rest))
            if training and self.trainable:
                codebook.follow(rest, codes[-1])
            rest = rest - ops.stop_gradient(codebook.embed(codes[-1]))
        rest = ops.reshape(rest, ops.shape(h))
        commitment = 0.25 * ops.sum(rest**2, axis=tuple(range(1, len(h.shape))))
        codes = ops.reshape(ops.stack(codes, -1), (*ops.shape(h)[:-1], self.depth))
        return codes, h - ops.stop_gradient(rest), commitment, {}

    def embed(self, codes):
        return sum(book.embed(codes[..., i]) for i, book in enumerate(self.codebooks))

    def get_config(self):
        return {**super().get_config(), "depth": self.depth}


@register
class Frequencies(Prior):
    """A learned distribution of codes, the same at every position, of maps of any size."""

    over_codes = any_size = True

    def build(self, input_shape):
        super().build(input_shape)
        self.logits = self.add_weight(shape=input_shape[-1:], initializer="zeros", name="logits")

    def log_prob(self, codes, training=False):
        log_p = ops.take(ops.log_softmax(ops.convert_to_tensor(self.logits)), codes)
        return ops.sum(log_p, axis=tuple(range(1, len(codes.shape))))

    def sample(self, n, rng, shape=None):
        p = ops.convert_to_numpy(ops.softmax(ops.convert_to_tensor(self.logits))).astype("float64")
        shape = self.latent_shape[:-1] if shape is None else shape
        return rng.choice(len(p), (n, *shape), p=p / p.sum())


@register
class Ladder(Latent):
    """Two Gaussian layers with a top-down posterior: p(z2) p(z1|z2), q(z2|x) q(z1|z2, x).

    Sønderby et al. 2016, arXiv 1602.02282; Kingma et al. 2016, arXiv 1606.04934. The encoder
    returns one tensor for each layer. The code is z2 and z1 side by side.
    """

    generates = has_unit_rates = True

    def __init__(self, width=2, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.down = layers.Dense(8, "tanh", dtype="float32")  # what z2 says to the layer below
        self.p1, self.q1 = (layers.Dense(2 * width, dtype="float32") for _ in "pq")

    def spec(self, h_shape):
        return CodeSpec((2 * self.width,), noise_shape=(2 * self.width,))

    def layers_of(self, h, z2):
        """Mean and log_var of q and p, each `(..., 2 * width)`, given z2 `(..., width)`."""
        h2, h1 = h
        down = self.down(z2)
        h1 = ops.broadcast_to(h1, (*ops.shape(down)[:-1], h1.shape[-1]))
        q1, p1 = self.q1(ops.concatenate([h1, down], -1)), self.p1(down)
        q2 = ops.broadcast_to(h2, ops.shape(q1))
        pairs = (q2, q1), (ops.zeros_like(q2), p1)
        parts = [[ops.split(layer, 2, axis=-1) for layer in pair] for pair in pairs]
        return [[ops.concatenate([a, b], -1) for a, b in zip(*pair)] for pair in parts]

    def draw(self, h, noise=None, num_samples=1, training=False):
        if noise is None:
            shape = (num_samples, ops.shape(h[0])[0], 2 * self.width)
            noise = keras.random.normal(shape, seed=self.seed_generator)
        mean2, log_var2 = ops.split(h[0], 2, axis=-1)
        z2 = mean2 + ops.exp(log_var2 / 2) * noise[..., : self.width]
        (mean, log_var), (p_mean, p_log_var) = self.layers_of(h, z2)
        z = mean + ops.exp(log_var / 2) * noise
        kl = p_log_var - log_var + (ops.exp(log_var) + (mean - p_mean) ** 2) / ops.exp(p_log_var)
        kl = (kl - 1) / 2  # (M, n, 2 * width)
        flat = ops.reshape(z, (-1, 2 * self.width))
        terms = self.log_ratio(h, z)
        rate = ops.sum(kl, -1)
        return Draw(z, self.decoder_input(flat), rate, terms, unit_rates=ops.mean(kl, 0))

    def code(self, h):
        z2 = ops.split(h[0], 2, axis=-1)[0]
        return self.layers_of(h, z2)[0][0]

    def decoder_input(self, code):
        return ops.concatenate([self.down(code[..., : self.width]), code[..., self.width :]], -1)

    def log_ratio(self, h, code):
        q, p = self.layers_of(h, code[..., : self.width])
        log_q, log_p = (-(lv + (code - m) ** 2 / ops.exp(lv)) / 2 for m, lv in (q, p))
        return ops.sum(log_p - log_q, -1)

    def sample_prior(self, n, rng, shape=None):
        z2, noise = rng.standard_normal((2, n, self.width), dtype="float32")
        mean, log_var = np.split(ops.convert_to_numpy(self.p1(self.down(z2))), 2, axis=-1)
        return np.concatenate([z2, mean + np.exp(log_var / 2) * noise], -1)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@register
class DiscretisedGaussian(Likelihood):
    """A Gaussian density for every pixel, with its own scale, integrated over 256 levels.

    Ho et al. 2020, arXiv 2006.11239, eq. 13. The decoder returns the means of all channels, then
    the logarithms of their standard deviations; levels reach from -1 to 1.
    """

    observes = "levels"
    outputs_per_value = 2

    def log_prob(self, x, outputs):
        mean, log_scale = ops.split(ops.cast(outputs, "float32"), 2, axis=-1)
        inverse = ops.exp(-ops.maximum(log_scale, -5.0))

        def distribution(edge):
            return (1 + ops.erf((2 * x - 1 + edge / 255 - mean) * inverse / math.sqrt(2))) / 2

        above = ops.where(x > 254.5 / 255, 1.0, distribution(1))
        below = ops.where(x < 0.5 / 255, 0.0, distribution(-1))
        return sum_over_data(ops.log(ops.maximum(above - below, 1e-12)), x)

    def mean(self, outputs):
        return ops.clip((1 + ops.split(ops.cast(outputs, "float32"), 2, axis=-1)[0]) / 2, 0.0, 1.0)


@register
class Geometric(Likelihood):
    """Counts with p(x) = q^x (1 - q); the decoder returns the logits of q."""

    observes = "counts"
    mean_activation = "exponential"

    def log_prob(self, x, outputs):
        logits = ops.cast(outputs, "float32")
        return sum_over_data(x * ops.log_sigmoid(logits) + ops.log_sigmoid(-logits), x)


@register
class TotalCorrelation(ELBO):
    """ELBO - tc * KL(q(z) || prod_j q(z_j)), by minibatch-weighted sampling.

    Chen et al. 2018, arXiv 1802.04942, section 4.1 and appendix C.1. A setting of its own: tc.
    """

    def __init__(self, tc=4.0, dataset_size=64, **kwargs):
        super().__init__(**kwargs)
        self.dataset_size = dataset_size
        self.add_setting("tc", tc)

    def total_correlation(self, model, terms):
        mean, log_var = model.latent.posterior(terms.h)
        z = terms.draw.code[0][:, None]  # (n, 1, d), beside (1, n, d) posteriors
        log_q = -((z - mean) ** 2 * ops.exp(-log_var) + log_var + math.log(2 * math.pi)) / 2
        n = ops.cast(ops.shape(z)[0], "float32")
        constant = ops.log(n * self.dataset_size)
        joint = ops.logsumexp(ops.sum(log_q, -1), 1) - constant  # log q(z)
        return joint - ops.sum(ops.logsumexp(log_q, 1) - constant, -1)

    def loss(self, model, terms, training=False):
        tc = terms.mean(self.total_correlation(model, terms))
        return super().loss(model, terms, training) + self.value("tc", training) * tc

    def get_config(self):
        return {**super().get_config(), "dataset_size": self.dataset_size}


@register
class MMD(Objective):
    """distortion + beta * MMD(q(z), p(z)): a Wasserstein autoencoder.

    Tolstikhin et al. 2018, arXiv 1711.01558, algorithm 2, with their inverse multiquadratic kernel.
    """

    def __init__(self, beta=10.0, seed=None, **kwargs):
        super().__init__(beta, **kwargs)
        self.seed, self.seed_generator = seed, keras.random.SeedGenerator(seed)

    def loss(self, model, terms, training=False):
        z = terms.draw.code[0]
        prior = keras.random.normal(ops.shape(z), seed=self.seed_generator)
        scale = 2.0 * z.shape[-1]

        def kernel(a, b):
            return scale / (scale + ops.sum((a[:, None] - b) ** 2, -1))

        mmd = ops.mean(kernel(z, z) + kernel(prior, prior) - 2 * kernel(z, prior))
        return terms.mean(terms.distortion) + self.value("beta", training) * mmd

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
