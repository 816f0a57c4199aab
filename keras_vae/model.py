"""VAE: an encoder, a latent, a decoder and a likelihood, trained on the beta-ELBO."""

from functools import partial

import keras
import numpy as np
from keras import ops

from keras_vae import likelihoods, objective
from keras_vae.backends import shared
from keras_vae.checks import check_number, check_whole
from keras_vae.fitting import Fitting
from keras_vae.inference import Inference
from keras_vae.latents import GaussianLatent, Latent


@keras.saving.register_keras_serializable(package="keras_vae")
class VAE(Fitting, Inference, keras.Model):
    """A variational autoencoder (Kingma & Welling 2014, arXiv 1312.6114) as a `keras.Model`.

    The loss, in nats per example, is the same in `fit`, `evaluate` and `val_loss`:

        loss = distortion + beta * rate + penalty
        distortion = -E_q[log p(x|z)], rate = KL(q(z|x) || p(z)) or a code length

    summed over pixels and latents, averaged over the batch (with sample weights w: mean(w * loss)).
    The penalty is a VQ latent's commitment term and whatever regularizers the networks have.
    With `free_bits` L the rate counts as sum_j max(L, KL_j), KL_j the batch's mean for latent j;
    with `capacity` C as |rate - C|; an importance-weighted loss of K samples is
    -log 1/K sum_k p(x|z_k) (p(z_k) / q(z_k|x))^beta. The metrics `distortion` and `rate` are the
    ELBO's own under each of them.
    Labels are ignored. Under a Bernoulli likelihood grey images are binarised by sampling, anew at
    every training step; `evaluate` draws the same numbers each time it is called.
    `model(x)` and `predict(x)` return reconstructions. `fit` compiles with Adam(1e-3) if `compile`
    was not called.

    Args:
        encoder: any Keras model from data to `[mean, log_var]`, or to one tensor of width
            2 * latent_dim with the mean first; for a VQ model, to `(n, *positions, code_dim)`.
        decoder: any Keras model from latents to logits (Bernoulli) or the mean (Gaussian), in the
            shape of the data.
        latent: a `keras_vae.latents.Latent`. Defaults to `GaussianLatent()`.
        likelihood: `"bernoulli"` (default), `"gaussian"`, `"learned_gaussian"`, or an object of
            `keras_vae.likelihoods`.
        beta: weight of the rate in the loss, at least 0. Defaults to 1, the ELBO. `model.beta` is
            a variable: `model.beta = 0.5` takes effect in mid-fit. It is no part of weights files.
        num_samples: Monte-Carlo samples of z per example in the loss. Defaults to 1.
        free_bits: nats that each latent may use before they cost (Kingma et al. 2016, arXiv
            1606.04934, eq. 15). Needs a `GaussianLatent` under N(0, I). Defaults to 0.
        capacity: nats that the rate is drawn to, with beta as the weight (Burgess et al. 2018,
            arXiv 1804.03599, eq. 8). Defaults to None, off. A variable, as beta is.
        importance_weighted: whether the loss is the bound of Burda et al. 2015 (arXiv 1509.00519,
            eq. 8) with K = `num_samples`, at least 2, in place of the ELBO. `"dreg"` is the same
            loss with the doubly reparameterised gradient (Tucker et al. 2019, arXiv 1810.04152,
            eq. 6), of the same mean and less noise, at the price of decoding twice. Defaults to
            False.
        seed: seed of training's random numbers. Defaults to None, a new one for each model.

    Raises:
        ValueError: if an argument is out of its range or the networks do not fit together.

    Example:

    >>> model = keras_vae.VAE(encoder, decoder, likelihood="bernoulli", beta=1.0)
    >>> model.compile("adam")
    >>> model.fit(x_train, epochs=10, validation_data=(x_test, None))
    """

    def __init__(
        self,
        encoder,
        decoder,
        latent=None,
        *,
        likelihood="bernoulli",
        beta=1.0,
        num_samples=1,
        free_bits=0.0,
        capacity=None,
        importance_weighted=False,
        seed=None,
        **kwargs,
    ):
        # No autocast: data stays in float32; the networks cast by their own policies.
        super().__init__(autocast=False, **kwargs)
        for name, value in {"encoder": encoder, "decoder": decoder}.items():
            if not isinstance(value, keras.layers.Layer):
                raise ValueError(f"{name} must be a keras.Model or layer. Received: {value!r}")
        if latent is not None and not isinstance(latent, Latent):
            raise ValueError(
                "latent must be an object of keras_vae.latents, such as GaussianLatent(). "
                f"Received: {latent!r}"
            )
        self.encoder = encoder
        self.decoder = decoder
        self.latent = GaussianLatent(seed=seed) if latent is None else latent
        self.likelihood = likelihoods.get(likelihood)
        self.num_samples = check_whole("num_samples", num_samples, 1)
        self.free_bits = check_number("free_bits", free_bits, 0)
        self.importance_weighted = importance_weighted
        objective.check(self, capacity)
        self.seed = seed
        # Not the latent's stream: the noise would be made of the bits that binarised the data. Far
        # from it, as torch adds the number of the draw to the seed.
        apart = None if seed is None else (seed + 2**30) % 2**31
        self.seed_generator = keras.random.SeedGenerator(apart)
        self._beta = self._variable("beta", beta)
        self._capacity = None if capacity is None else self._variable("capacity", capacity)
        self.distortion_tracker = keras.metrics.Mean(name="distortion")
        self.rate_tracker = keras.metrics.Mean(name="rate")
        self.data_shape = None
        input_shape = getattr(encoder, "input_shape", None) if encoder.built else None
        if input_shape is not None:
            self.build(input_shape)

    def build(self, input_shape):
        """Builds the parts and checks that they fit together, once the data's shape is known."""
        sizes = tuple(input_shape)[1:]
        if not sizes or not all(isinstance(size, int) for size in sizes):
            raise ValueError(
                "The encoder must take one input of a fully defined shape, such as "
                f"keras.Input((28, 28, 1)). Received shape: {input_shape}"
            )
        self.data_shape = sizes
        self.latent.connect(self.encoder, self.data_shape)
        z, _ = self.latent(self.encoder(keras.Input(self.data_shape)))
        outputs = self.decoder(z)
        if getattr(outputs, "shape", (None,))[1:] != self.data_shape:
            raise ValueError(
                f"The decoder must return one tensor of the data's shape, {self.data_shape} per "
                f"example. Received: {getattr(outputs, 'shape', outputs)}"
            )

    @property
    def metrics_names(self):
        """Names of the numbers that `evaluate` returns as a list; of one metric they may be two."""
        single = [metric.name for metric in self.metrics if not hasattr(metric, "names")]
        return single + sorted(name for m in self.metrics for name in getattr(m, "names", ()))

    @property
    def beta(self):
        """Weight of the rate in the loss: a variable, which assignment changes."""
        return self._beta

    @beta.setter
    def beta(self, value):
        self._beta.assign(check_number("beta", _as_number(value), 0))

    @property
    def capacity(self):
        """Nats that the rate is drawn to: None, or a variable, which assignment changes."""
        return self._capacity

    @capacity.setter
    def capacity(self, value):
        if self._capacity is None:
            raise ValueError("This model has no capacity to change: make it with capacity=0.0.")
        self._capacity.assign(check_number("capacity", _as_number(value), 0))

    def call(self, inputs, training=False):
        """Reconstructions of data; within a training or test step, the terms of the loss."""
        if isinstance(inputs, dict):
            uniform = partial(keras.random.uniform, dtype="float32", seed=self.seed_generator)
            observed = self.likelihood.observe(_as_float(inputs["data"]), uniform)
            return self.elbo_terms(observed, training=training)
        code = self.latent.code(self.encoder(_as_float(inputs)))
        return self.likelihood.mean(self.decoder(self.latent.lookup(code)))

    def elbo_terms(self, x, *, noise=None, training=False):
        """The terms of the ELBO in nats per example, for gradients of your own.

        Args:
            x: a tensor `(n, *data_shape)`, as the likelihood speaks of it (binary for Bernoulli).
            noise: the latent's random numbers, `(num_samples, n, *latent_shape)`; drawn if None.
            training: whether this is a training step.

        Returns:
            A dict of `distortion`, `rate`, `penalty`, each `(n,)`, and the latent's own terms;
            with free bits `rates`, the rate of each latent; `bound`, `(n,)`, if the loss is
            importance-weighted.
        """
        # JAX hands `training` down to nested models only if told to.
        h = self.encoder(x, training=training)
        if self.importance_weighted:
            return self._importance_weighted(x, h, noise, training)
        terms = self.latent.infer(h, self.num_samples, noise, training)
        if self.free_bits:
            terms["rates"] = self.latent.rates(h)
        log_prob = self._log_prob(x, self.decoder(terms.pop("z"), training=training))
        return {"distortion": -ops.mean(log_prob, axis=0), **terms}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The beta-ELBO, negative, of a batch: `y_pred` holds its terms, see `elbo_terms`."""
        terms = objective.weighted(y_pred, sample_weight)
        self.distortion_tracker.update_state(terms["distortion"])
        self.rate_tracker.update_state(terms["rate"])
        self.latent.track(terms)
        loss = objective.loss(terms, self._beta, self.free_bits, self._capacity)
        return shared(loss + sum(self.losses))

    def train_step(self, *args):
        return super().train_step(*_as_autoencoder(args))

    def test_step(self, *args):
        return super().test_step(*_as_autoencoder(args))

    def save_own_variables(self, store):
        """Leaves beta out of weights files: it belongs to the training, and to the config."""

    def load_own_variables(self, store):
        """Leaves beta as it is."""

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        config = {name: value for name, value in super().get_config().items() if name != "autocast"}
        return {
            **config,
            "encoder": serialize(self.encoder),
            "decoder": serialize(self.decoder),
            "latent": serialize(self.latent),
            "likelihood": serialize(self.likelihood),
            **objective.settings(self),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("encoder", "decoder", "latent", "likelihood")
        }
        return cls(**{**config, **parts})

    def _variable(self, name, value):
        """A number that a callback may change, at least 0."""
        initializer = keras.initializers.Constant(check_number(name, value, 0))
        options = {"trainable": False, "dtype": "float32", "name": name}
        return self.add_weight(shape=(), initializer=initializer, **options)

    def _importance_weighted(self, x, h, noise, training):
        z, log_ratio, rates = self.latent.propose(h, noise, self.num_samples)
        log_prob = self._log_prob(x, self.decoder(z, training=training))  # (K, n)
        bound = objective.importance_weighted(log_prob, self._beta * log_ratio)
        if training and self.importance_weighted == "dreg":
            weights = ops.softmax(ops.stop_gradient(log_prob + self._beta * log_ratio), axis=0)
            # The score of q, reparameterised: of w_k d/dz log w_k there remains, at beta 1, w_k^2.
            z, log_ratio = self.latent.rescale(h, z, 1.0 - self._beta * (1.0 - weights))
            again = self._log_prob(x, self.decoder(z, training=training))
            gradient = ops.sum(weights * (again + self._beta * log_ratio), axis=0)
            bound = ops.stop_gradient(bound - gradient) + gradient
        return {
            "distortion": -ops.mean(log_prob, axis=0),
            "rate": ops.mean(rates, axis=0),
            "penalty": ops.zeros_like(bound),
            "bound": bound,
        }

    def _log_prob(self, x, outputs):
        """log p(x|z), `(M, n)`, of outputs with the sample axis folded into the batch."""
        outputs = ops.reshape(outputs, (-1, *ops.shape(x)))
        return self.likelihood.log_prob(x, outputs)

    def _build_for(self, x):
        """Builds a model whose encoder was given no input shape, from the first data it meets."""
        if not self.built:
            self.build((None, *np.shape(x)[1:]))


def _as_number(value):
    """A variable's or tensor's number; what is none of these as it is."""
    return float(value) if hasattr(value, "shape") else value


def _as_autoencoder(args):
    """The arguments of a Keras step with the input as its own target; sample weights are kept."""
    *state, data = args
    x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    return *state, ({"data": x}, x, sample_weight)


def _as_float(x):
    x = ops.convert_to_tensor(x)
    values = ops.cast(x, "float32")
    return values / 255.0 if keras.backend.standardize_dtype(x.dtype) == "uint8" else values
