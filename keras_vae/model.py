"""VAE: an encoder, a latent, a decoder and a likelihood, trained on an objective."""

from functools import partial

import keras
import numpy as np
from keras import ops

from keras_vae import likelihoods, objectives
from keras_vae.backends import quick_initializers, share_loss, speed_up_layer
from keras_vae.bounds import Bounds
from keras_vae.checks import check_axes, check_seed
from keras_vae.fitting import Fitting
from keras_vae.hierarchy import Hierarchy
from keras_vae.inference import Inference
from keras_vae.keeping import Keeping, check_config
from keras_vae.latents import GaussianLatent, Latent
from keras_vae.replicas import draw_examples, update_mean
from keras_vae.scaling import Scaling
from keras_vae.sizes import Sizes, shapes_of


@keras.saving.register_keras_serializable(package="keras_vae")
class VAE(Fitting, Bounds, Inference, Hierarchy, Sizes, Scaling, Keeping, keras.Model):
    """A variational autoencoder (Kingma & Welling 2014, arXiv 1312.6114) as a `keras.Model`.

    The loss, in nats per example, is the same in `fit`, `evaluate` and `val_loss`:

        loss = distortion + beta * rate + penalty
        distortion = -E_q[log p(x|z)], rate = KL(q(z|x) || p(z)) or a code length

    summed over pixels and latents, averaged over the batch (with sample weights w: mean(w * loss)).
    The penalty is a VQ latent's commitment term and any regularizers of the networks. Other
    objectives change the loss; the metrics `distortion` and `rate` are always the ELBO's own.
    Labels are ignored. Under a Bernoulli likelihood grey images are binarised by sampling, with new
    samples at every training step; `evaluate` draws the same numbers each time it is called.
    `model(x)` and `predict(x)` return reconstructions. `fit` compiles with Adam(1e-3) if `compile`
    was not called.

    Args:
        encoder: any Keras model from data to `[mean, log_var]`, or to one tensor of width
            2 * latent_dim with the mean first; for a VQ model, to `(n, *positions, code_dim)`.
            Its input shape may hold None for sizes that may be any, but not for the channels.
        decoder: any Keras model from what the latent makes to logits (Bernoulli) or the mean
            (Gaussian), in the shape of the data; or to what another likelihood takes, in its
            `output_shape(data_shape)`.
        latent: a `keras_vae.latents.Latent`. Defaults to `GaussianLatent()`.
        likelihood: a name in `keras_vae.likelihoods.LIKELIHOODS`, or an object of
            `keras_vae.likelihoods`. Defaults to `"bernoulli"`.
        latent_scale: see `scale_latents`. Defaults to 1.
        latent_shift: see `scale_latents`. Defaults to 0.
        seed: seed of training's random numbers. Defaults to None, a new one for each model.
        **settings: of the objective, and the `name` of the model.
            `beta`: weight of the rate in the loss, at least 0. Defaults to 1, the ELBO.
            `model.beta = 0.5` takes effect in mid-fit. It is not a weight: files of weights do not
            hold it.
            `num_samples`: Monte-Carlo samples of z per example. Defaults to 1.
            `free_bits`: nats that each latent may use at no cost. Defaults to 0.
            `capacity`: nats that the rate is pulled towards, with beta as the weight. Defaults to
            None, off. It changes by assignment, as beta does.
            `importance_weighted`: True for the importance-weighted bound of `num_samples` samples
            in place of the ELBO; `"dreg"` for a gradient with less noise. Defaults to False.
            `objective`: an object of `keras_vae.objectives`, in place of all of these. To train on
            another one later, make a VAE of the same encoder, decoder and latent.

    Raises:
        ValueError: if an argument is out of its range or the networks do not fit together.

    Example:

    >>> model = keras_vae.VAE(encoder, decoder, likelihood="bernoulli", beta=1.0)
    >>> model.compile("adam")
    >>> model.fit(x_train, epochs=10, validation_data=(x_test, None))
    """

    made_by = None  # the factory and arguments that made the model, see `keras_vae.factories`

    def __init__(
        self,
        encoder,
        decoder,
        latent=None,
        *,
        likelihood="bernoulli",
        latent_scale=1.0,
        latent_shift=0.0,
        seed=None,
        **settings,
    ):
        objective = {key: settings.pop(key) for key in objectives.SETTINGS if key in settings}
        # No autocast: data stays in float32; the networks cast by their own policies.
        super().__init__(autocast=False, **settings)
        for name, value in {"encoder": encoder, "decoder": decoder}.items():
            if not isinstance(value, keras.layers.Layer):
                raise ValueError(f"{name} must be a keras.Model or layer. Received: {value!r}")
        if latent is not None and not isinstance(latent, Latent):
            raise ValueError(
                "latent must be an object of keras_vae.latents, such as GaussianLatent(). "
                f"Received: {latent!r}"
            )
        self.seed = seed = check_seed(seed)
        self.encoder = encoder
        self.decoder = decoder
        self.latent = GaussianLatent(seed=seed) if latent is None else latent
        self.likelihood = likelihood
        self.objective = objectives.get(**objective)
        self.latent_scale, self.latent_shift = latent_scale, latent_shift
        # Not the latent's stream, or the bits that binarise the data would be those of the noise.
        # Far from it, because torch adds the number of the draw to the seed.
        apart = None if seed is None else (seed + 2**30) % 2**31
        self.seed_generator = keras.random.SeedGenerator(apart)
        self.distortion_tracker = keras.metrics.Mean(name="distortion")
        self.rate_tracker = keras.metrics.Mean(name="rate")
        self.data_shape = None
        input_shape = getattr(encoder, "input_shape", None) if encoder.built else None
        if input_shape is not None:
            self.build(input_shape)

    def __setattr__(self, name, value):
        if name == "likelihood":
            value = likelihoods.get(value)
            if self.built and value is not self.likelihood:
                if isinstance(value, keras.layers.Layer):
                    raise ValueError(
                        f"{_kind(value)} has weights of its own, which a model that is built does "
                        "not take. Make a VAE of the same encoder, decoder and latent."
                    )
                self._check_outputs(value)
                self.train_function = self.test_function = self.predict_function = None
        if isinstance(getattr(type(self), name, None), property):
            # Past Keras, which would track a variable given to `beta` as one of this model's own.
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def build(self, input_shape):
        """Builds the parts and checks that they fit together, once the data's shape is known."""
        shape = tuple(input_shape)[1:]
        if not shape or any(isinstance(size, (tuple, list)) for size in shape) or not shape[-1]:
            raise ValueError(
                "The encoder must take one input of a known number of axes and channels, such as "
                "keras.Input((28, 28, 1)), or keras.Input((None, None, 3)) for images of any size. "
                f"Received shape: {input_shape}"
            )
        self.data_shape = shape
        self.latent.connect(self.encoder, shape)
        for layer in (*self.encoder._flatten_layers(), *self.decoder._flatten_layers()):
            speed_up_layer(layer)
        h = self.encoder(keras.Input(shape))
        decoder_input, _ = self.latent(h)
        if self.latent.code_spec is None:  # of a latent whose own `build` does not set it
            self.latent.code_spec = self.latent.spec(shapes_of(h))
        self.objective.check(self.latent)
        outputs = self.decoder(decoder_input)
        outputs_shape = tuple(outputs.shape) if hasattr(outputs, "shape") else outputs
        object.__setattr__(self, "_outputs_shape", outputs_shape)
        self._check_outputs(self.likelihood)

    @property
    def beta(self):
        """Weight of the rate in the loss: a variable, which assignment changes."""
        return self.objective.get("beta")

    @beta.setter
    def beta(self, value):
        self.objective.set("beta", value)

    @property
    def capacity(self):
        """Nats that the rate is pulled towards: None, or a variable, which assignment changes."""
        return self.objective.get("capacity")

    @capacity.setter
    def capacity(self, value):
        if self.capacity is None:
            raise ValueError("This model has no capacity to change: make it with capacity=0.0.")
        self.objective.set("capacity", value)

    @property
    def num_samples(self):
        """Posterior samples of each example in the loss."""
        return self.objective.num_samples

    @property
    def compute_dtype(self):
        """float32: networks compute by their own policies, everything else in full precision."""
        # Keras casts all weights that a mixed model meets, also those of latents and likelihoods.
        return "float32"

    def call(self, inputs, training=False):
        """Reconstructions of data; for the dict of a training or test step, the `Terms`."""
        if isinstance(inputs, dict):
            draw = partial(keras.random.uniform, dtype="float32", seed=self.seed_generator)
            uniform = partial(draw_examples, draw)
            x = self.likelihood.observe(self._read(inputs["data"]), uniform)
            return self.terms(x, training=training)
        code = self.latent.code(self._encoded(self._read(inputs), training))
        return self._decoded(code, training)

    def terms(self, x, *, noise=None, training=False):
        """One pass over a batch: what objectives are made of.

        Args:
            x: a tensor `(n, *data_shape)`, as the likelihood describes it (binary for Bernoulli).
            noise: the latent's random numbers, `(M, n, *noise_shape)`; drawn if None.
            training: whether this is a training step.

        Returns:
            A `keras_vae.objectives.Terms`.
        """
        # `training` must be explicit: JAX does not pass it down to nested models.
        h = self._encoded(x, training=training)
        draw = self.latent.draw(h, noise, self.num_samples, training)
        code_axes = 2 + len(self.latent.code_spec.shape)
        for name, axes in (("code", code_axes), ("rate", 2), ("log_ratio", 2), ("penalty", 1)):
            check_axes(getattr(draw, name), axes, f"The {name} of a {_kind(self.latent)}'s Draw")
        outputs = self.decoder(draw.decoder_input, training=training)
        return objectives.Terms(x, h, draw, outputs, self.log_prob(x, outputs))

    def log_prob(self, x, outputs):
        """log p(x|z), `(M, n)`, of decoder outputs with the sample axis folded into the batch."""
        outputs = ops.cast(outputs, "float32")
        outputs = ops.reshape(outputs, (-1, ops.shape(x)[0], *ops.shape(outputs)[1:]))
        log_prob = self.likelihood.log_prob(x, outputs)
        return check_axes(log_prob, 2, f"What {_kind(self.likelihood)}.log_prob returns")

    def elbo_terms(self, x, *, noise=None, training=False):
        """The terms of the ELBO in nats per example, for gradients of your own.

        Args:
            x: as in `terms`.
            noise: as in `terms`.
            training: as in `terms`.

        Returns:
            A dict of `distortion`, `rate` and `penalty`, each `(n,)`, and the latent's own terms.
        """
        terms = self.terms(x, noise=noise, training=training)
        own = {name: getattr(terms, name) for name in ("distortion", "rate", "penalty")}
        return {**own, **terms.draw.terms}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The objective's loss of a batch: `y_pred` holds its `Terms`."""
        if sample_weight is not None:
            weight = ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
            y_pred = y_pred._replace(weight=weight)
        update_mean(self.distortion_tracker, y_pred.weigh(y_pred.distortion))
        update_mean(self.rate_tracker, y_pred.weigh(y_pred.rate))
        self.latent.track(y_pred.draw, 1.0 if y_pred.weight is None else y_pred.weight)
        loss = self.objective.loss(self, y_pred, training)
        loss = check_axes(loss, 0, f"What {_kind(self.objective)}.loss returns")
        return share_loss(loss + sum(self.losses))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        config = {name: value for name, value in super().get_config().items() if name != "autocast"}
        parts = {name: serialize(getattr(self, name)) for name in _PARTS}
        check_config(parts)
        scaling = {"latent_scale": self.latent_scale, "latent_shift": self.latent_shift}
        return {**config, **parts, **scaling, "seed": self.seed, "made_by": self.made_by}

    @classmethod
    @quick_initializers()
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        made_by = config.pop("made_by", None)
        for name in filter(config.get, _PARTS):  # files of version 0.1 have no objective
            restore = keras.saving.deserialize_keras_object
            config[name] = restore(config[name], custom_objects=custom_objects)
        return cls(**config).note_origin(made_by)

    def note_origin(self, made_by):
        """Notes which factory and arguments made the model; returns the model."""
        # Not through Keras's own __setattr__, which would wrap the dict to track layers in it.
        object.__setattr__(self, "made_by", made_by)
        return self

    def _check_outputs(self, likelihood):
        """Raises ValueError if a likelihood does not take what the decoder returns."""
        shape, outputs_shape = self.data_shape, self._outputs_shape
        expected = likelihood.output_shape(shape)
        if not isinstance(outputs_shape, tuple) or not _agree(outputs_shape[1:], expected):
            what = "the data's shape" if expected == shape else "the likelihood's output shape"
            raise ValueError(
                f"The decoder must return one tensor of {what}, {expected} per example. "
                f"Received: {outputs_shape}"
            )

    def _read(self, x):
        return self.likelihood.read(ops.convert_to_tensor(x))

    def _build_for(self, x):
        """Builds a model whose encoder was given no input shape, from the first data it meets."""
        if not self.built:
            self.build((None, *np.shape(x)[1:]))


_PARTS = ("encoder", "decoder", "latent", "likelihood", "objective")


def _kind(part):
    return type(part).__name__


def _agree(shape, expected):
    """Whether two shapes are the same where both are known."""
    pairs = zip(shape, expected)
    return len(shape) == len(expected) and all(None in pair or pair[0] == pair[1] for pair in pairs)
