"""A ladder: layers of Gaussian latents, each conditional on those above it."""

import itertools
import math
from functools import partial

import keras
from keras import ops

from keras_vae import normal, priors
from keras_vae.checks import check_sizes
from keras_vae.latents.base import CodeSpec, Draw, Latent, check_no_dict, fold
from keras_vae.latents.gaussian import bound_log_var, mean_and_log_var, mean_shape
from keras_vae.replicas import draw_examples

_DOWN = {"posteriors": 0, "conditionals": 1, "steps": 0}  # and how many fewer than layers


@keras.saving.register_keras_serializable(package="keras_vae")
class Ladder(Latent):
    """Layers of latents with a top-down prior and posterior that share their way down.

    p(z) = p(z_1) prod_l p(z_l | z_<l) and q(z|x) = q(z_1|x) prod_l q(z_l | z_<l, x), the top layer
    first (Sønderby et al. 2016, arXiv 1602.02282; Kingma et al. 2016, arXiv 1606.04934, section 5).
    On its way down the network has a state, which depends on the layers above.

    Latents are in the units of their conditional prior N(mean, var): z = mean + stddev * u. The
    code holds u, whose prior is N(0, I) in every layer: 0 is the prior's mean. The posterior of u
    is N(mean, var) too, so it is relative to the prior, as in NVAE (Vahdat & Kautz 2020, arXiv
    2007.03898, section 3.2), and a layer that does not look at the data has rate 0. The rate is the
    closed-form KL divergence to N(0, I), in which nothing is divided by a small variance. For each
    layer it is that of z, as KL divergences do not depend on units.

    Args:
        posteriors: a `keras.Model` for each layer. The first takes an output of the encoder, the
            others take such an output and the state. They return what the encoder of a
            `GaussianLatent` does: `[mean, log_var]`, or one tensor of twice the width.
        conditionals: a `keras.Model` for each layer but the first, from the state to the mean and
            log_var of p(z_l | z_<l). A list of three tensors has a new state as its third.
        steps: a `keras.Model` for each layer, which makes the next state: the first of z, the
            others of the state and z. The decoder takes the last state.
        sources: which output of the encoder each posterior takes. Defaults to None: one output for
            each layer, in order.
        prior: that of the top layer, as for `GaussianLatent`. Defaults to the standard normal.
        seed: seed of the noise of training. Defaults to None, a new one for each layer.

    Raises:
        ValueError: if the networks are not as many as they should be, or have no shape yet.
    """

    generates = True
    encodes_as = "traced"

    def __init__(
        self, posteriors, conditionals, steps, *, sources=None, prior=None, seed=None, **kwargs
    ):
        super().__init__(seed=seed, **kwargs)
        self.posteriors, self.conditionals = list(posteriors), list(conditionals)
        self.steps = list(steps)
        count = len(self.steps)
        for name, fewer in _DOWN.items():
            _check_networks(name, getattr(self, name), max(count, 1) - fewer)
        sources = range(count) if sources is None else sources
        self.sources = check_sizes("sources", tuple(sources), minimum=0)
        if len(self.sources) != count:
            raise ValueError(
                f"sources must hold a number for each of {count} layers. Received: {self.sources}"
            )
        self._shapes = [mean_shape(_shapes(net))[1:] for net in self.posteriors]
        self._sizes = [math.prod(shape) for shape in self._shapes]
        prior = priors.get(prior)
        if type(prior) is not priors.StandardNormal:
            prior = priors.TopPrior(prior, self._sizes[0])
        self.prior = prior

    @property
    def has_unit_rates(self):
        """Whether the KL divergence is known in closed form in the top layer, too."""
        return type(self.prior) is priors.StandardNormal

    @property
    def prior_name(self):
        return priors.name_of(self.prior if self.has_unit_rates else self.prior.prior)

    @property
    def layout(self):
        return tuple(self._shapes)

    def split(self, code):
        """The latents of each layer, `(..., *shape)`, top first, of codes `(..., size)`."""
        parts = zip(self._flat_parts(code), self._shapes)
        return [ops.reshape(part, (*ops.shape(code)[:-1], *shape)) for part, shape in parts]

    def connect(self, encoder, data_shape):
        def posterior(x):
            h = _as_list(encoder(x, training=False))
            return self._bounded(self.posteriors[0](h[self.sources[0]], training=False))

        self.prior.connect(posterior, data_shape)

    def spec(self, h_shape):
        check_no_dict(h_shape, "one tensor, or a list of tensors")
        count = len(h_shape) if isinstance(h_shape[0], (tuple, list)) else 1
        if max(self.sources) >= count:
            raise ValueError(
                f"sources must be among the {count} tensors that the encoder returns, counted from "
                f"0. Received: {self.sources}"
            )
        return CodeSpec((sum(self._sizes),), noise_shape=(sum(self._sizes),))

    def build(self, input_shape):
        super().build(input_shape)
        if not self.prior.built:  # a prior read from a file is built already
            self.prior.build((None, *self.code_spec.shape))

    def compute_output_spec(self, h, num_samples=1, training=False):
        n = _as_list(h)[0].shape[0]
        batch = None if n is None else num_samples * n
        shape = tuple(self.steps[-1].output_shape)[1:]
        return keras.KerasTensor((batch, *shape), "float32"), keras.KerasTensor((n,), "float32")

    def draw(self, h, noise=None, num_samples=1, training=False):
        h = _as_list(h)
        if noise is None:
            shape = (num_samples, ops.shape(h[0])[0], *self.code_spec.noise_shape)
            normal_of = partial(keras.random.normal, dtype="float32", seed=self.seed_generator)
            noise = draw_examples(normal_of, shape, axis=1)
        noise = ops.convert_to_tensor(noise, "float32")
        of_layers = self.split(noise)

        def sample(layer, mean, log_var):
            return mean + ops.exp(0.5 * log_var) * of_layers[layer]

        state, code, mean, log_var = self._infer(h, ops.shape(noise)[0], sample, training)
        log_ratio, of_top = self._log_ratio(code, log_var, noise)
        kl = normal.kl_to_standard(mean, log_var)  # (M, n, size)
        rates = [ops.sum(part, axis=-1) for part in self._flat_parts(kl)]  # each (M, n)
        if not self.has_unit_rates:
            rates[0] = -of_top
        layer_rates = ops.mean(ops.stack(rates, axis=-1), axis=0)
        unit_rates = ops.mean(kl, axis=0) if self.has_unit_rates else None
        return Draw(
            code, state, sum(rates), log_ratio, unit_rates=unit_rates, layer_rates=layer_rates
        )

    def code(self, h):
        return self._infer(_as_list(h), 1, lambda layer, mean, log_var: mean)[1][0]

    def decoder_input(self, code):
        parts = self.split(ops.cast(code, "float32"))
        return self._descend(lambda layer, state: parts[layer])

    def log_ratio(self, h, code):
        parts = self.split(code)
        _, _, mean, log_var = self._infer(
            _as_list(h), ops.shape(code)[0], lambda layer, mean, log_var: parts[layer]
        )
        return self._log_ratio(code, log_var, (code - mean) * ops.exp(-0.5 * log_var))[0]

    def probe(self, h, code):
        return self.log_ratio(h, code[None])[0]

    def sample_prior(self, n, rng, shape=None):
        return self.prior.sample_of(shape, n, rng)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        networks = {name: [serialize(net) for net in getattr(self, name)] for name in _DOWN}
        prior = self.prior if self.has_unit_rates else self.prior.prior
        own = {**networks, "sources": list(self.sources), "prior": serialize(prior)}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config):
        restore = keras.saving.deserialize_keras_object
        networks = {name: [restore(net) for net in config[name]] for name in _DOWN}
        return super().from_config({**config, **networks})

    def _infer(self, h, m, choose, training=False):
        """Goes down with the posteriors; `choose` takes a layer, its mean and its log_var.

        Returns the last state, `(M * n, ...)`, and the code, mean and log_var, `(M, n, size)`.
        """
        n, tiled, chosen = ops.shape(h[0])[0], {}, []

        def posterior(layer, state):
            source = self.sources[layer]
            if layer == 0:
                moments = self.posteriors[0](h[source], training=training)
            else:
                if source not in tiled:
                    tiled[source] = _tile(h[source], m)
                moments = self.posteriors[layer]([tiled[source], state], training=training)
            shape = (1 if layer == 0 else m, n, *self._shapes[layer])
            mean, log_var = (ops.reshape(t, shape) for t in self._bounded(moments))
            code = choose(layer, mean, log_var)
            flat = (m, n, self._sizes[layer])
            wide = (
                ops.broadcast_to(mean, (m, *shape[1:])),
                ops.broadcast_to(log_var, ops.shape(code)),
            )
            chosen.append([ops.reshape(t, flat) for t in (code, *wide)])
            return fold(code)

        state = self._descend(posterior, training)
        return state, *(ops.concatenate(parts, axis=-1) for parts in zip(*chosen))

    def _descend(self, choose, training=False):
        """Goes down from layer to layer; `choose` gives a layer's code for a state."""
        state = self.steps[0](choose(0, None), training=training)
        for layer, conditional in enumerate(self.conditionals, 1):
            moments = conditional(state, training=training)
            if isinstance(moments, (tuple, list)) and len(moments) == 3:
                *moments, state = moments
            mean, log_var = self._bounded(moments)
            z = mean + ops.exp(0.5 * log_var) * choose(layer, state)
            state = self.steps[layer]([state, z], training=training)
        return state

    def _bounded(self, moments):
        mean, log_var = mean_and_log_var(moments)
        return mean, bound_log_var(log_var)

    def _log_ratio(self, code, log_var, u):
        """log p - log q of all layers, and of the top one; u = (code - mean) / stddev."""
        log_q = normal.log_density(u, log_var)
        ratio = normal.log_density(code) - log_q  # (M, n, size)
        if self.has_unit_rates:
            return ops.sum(ratio, axis=-1), None
        size = self._sizes[0]
        log_p = self.prior.prior.log_prob(fold(code[..., :size]))
        of_top = ops.reshape(log_p, ops.shape(code)[:2]) - ops.sum(log_q[..., :size], axis=-1)
        return of_top + ops.sum(ratio[..., size:], axis=-1), of_top

    def _flat_parts(self, values):
        """The values of each layer, `(..., its size)`; split, whose gradient is one operation."""
        ends = list(itertools.accumulate(self._sizes[:-1]))
        return ops.split(values, ends, axis=-1) if ends else [values]


def _as_list(h):
    return list(h) if isinstance(h, (tuple, list)) else [h]


def _tile(h, m):
    """Repeats what the encoder returned for each of M samples: `(n, ...)` to `(M * n, ...)`."""
    return h if isinstance(m, int) and m == 1 else fold(ops.broadcast_to(h, (m, *ops.shape(h))))


def _shapes(net):
    """The shape, or shapes, of what a network returns."""
    shape = net.output_shape
    return [tuple(one) for one in shape] if isinstance(shape, list) else tuple(shape)


def _check_networks(name, networks, count):
    if len(networks) != count:
        raise ValueError(
            f"A ladder of n layers has n posteriors, n - 1 conditionals and n steps, at least one. "
            f"Expected {count} {name}. Received: {len(networks)}"
        )
    for net in networks:
        if not isinstance(net, keras.Model) or not net.built:
            raise ValueError(
                f"{name} must be built models of Keras, such as keras.Model(inputs, outputs). "
                f"Received: {net!r}"
            )
