"""What every objective offers, and the terms that it is made of."""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_vae.checks import check_number, check_whole
from keras_vae.replicas import batch_mean


class Terms(NamedTuple):
    """What one pass over a batch of n examples gives, with M posterior samples of each.

    Args:
        x: the data as the likelihood describes it, `(n, *data_shape)`.
        h: what the encoder returned.
        draw: the posterior samples, a `keras_vae.latents.Draw`.
        outputs: the decoder's outputs, `(M * n, *output_shape)`.
        log_prob: log p(x|z), `(M, n)`, nats.
        weight: sample weights, `(n,)`, or None.
    """

    x: Any
    h: Any
    draw: Any
    outputs: Any
    log_prob: Any
    weight: Any = None

    @property
    def distortion(self):
        """-E_q[log p(x|z)], `(n,)`, nats."""
        return -ops.mean(self.log_prob, axis=0)

    @property
    def rate(self):
        """KL(q(z|x) || p(z)), or a code length, `(n,)`, nats."""
        return ops.mean(self.draw.rate, axis=0)

    @property
    def penalty(self):
        """The latent's training cost beyond the ELBO, `(n,)`."""
        return self.draw.penalty

    def weigh(self, values):
        """Multiplies values `(n, ...)` by the sample weights, if there are any."""
        if self.weight is None:
            return values
        return values * ops.reshape(self.weight, (-1, *[1] * (len(values.shape) - 1)))

    def mean(self, values):
        """The mean over the batch of values `(n, ...)`, each times its sample weight.

        The batch is that of all replicas, where several share it.
        """
        return batch_mean(self.weigh(values))


class Objective(keras.layers.Layer):
    """The interface of an objective: `loss(model, terms, training)`.

    Subclass it, or `ELBO`, and register the class with
    `keras.saving.register_keras_serializable` to train on your own. An objective is a layer so that
    Keras tracks its settings. Settings are variables that you or a callback may change. They are
    not weights: neither `get_weights` nor a weights file holds them.

    Args:
        beta: weight of the rate in the loss, at least 0. Defaults to 1.
        num_samples: posterior samples M of each example. Defaults to 1.
    """

    def __init__(self, beta=1.0, *, num_samples=1, **kwargs):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self._initial, self._settings, self._shares = {}, {}, {}
        self.num_samples = check_whole("num_samples", num_samples, 1)
        self.add_setting("beta", beta)
        self.built = True

    @property
    def weights(self):
        """What a user's objective learns, if anything; its settings are not weights."""
        return [weight for weight in super().weights if not self._is_setting(weight)]

    def add_setting(self, name, value):
        """Makes a number, at least 0, that `set` and `ramp` change."""
        number = self._initial[name] = check_number(name, value, 0)
        for kind, initial in (("", number), ("_share", 1.0)):
            variable = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(initial),
                trainable=False,
                dtype="float32",
                name=f"{name}{kind}",
            )
            (self._shares if kind else self._settings)[name] = variable

    def settings(self):
        """The current settings, a dict of floats."""
        settings = {}
        for name, variable in self._settings.items():
            value, initial = float(ops.convert_to_numpy(variable)), self._initial[name]
            # As it was given, if it did not change: float32 holds 0.1 as 0.10000000149.
            settings[name] = initial if value == np.float32(initial) else value
        return settings

    def get(self, name):
        """The variable of a setting, or None if the objective does not have it."""
        return self._settings.get(name)

    def set(self, name, value):
        """Changes a setting; this takes effect at once, also in mid-fit."""
        if name not in self._settings:
            raise ValueError(
                f"This objective has no {name} to change. Its settings: "
                f"{', '.join(self._settings)}."
            )
        value = float(ops.convert_to_numpy(value)) if hasattr(value, "shape") else value
        self._settings[name].assign(check_number(name, value, 0))

    def ramp(self, name, share=1.0):
        """Uses only a share of a setting, from 0 to 1, in training. Validation uses all of it."""
        self._shares[name].assign(check_number("share", share, 0, 1))

    def end_ramps(self):
        """Uses all of every setting in training, as `fit` does when it starts."""
        for name in self._shares:
            self.ramp(name)

    def value(self, name, training=False):
        """The tensor of a setting that the loss uses."""
        value = ops.convert_to_tensor(self._settings[name])
        return value * self._shares[name] if training else value

    def check(self, latent):
        """Raises ValueError if the objective cannot train a (built) latent."""

    def loss(self, model, terms: Terms, training=False):
        """The loss of a batch, a scalar in nats per example.

        Args:
            model: the `keras_vae.VAE`, with its networks and latent.
            terms: the terms of the batch. `terms.mean` averages values of the examples and takes
                account of sample weights.
            training: whether this is a training step.
        """
        raise NotImplementedError

    def save_own_variables(self, store):
        """Saves what the objective learns. Its settings are in the config, not in weights files."""
        for i, weight in enumerate(self._own_weights()):
            store[str(i)] = ops.convert_to_numpy(weight)

    def load_own_variables(self, store):
        """Loads what the objective learns, and leaves the settings as they are."""
        for i, weight in enumerate(self._own_weights()):
            weight.assign(store[str(i)])

    def get_config(self):
        return {**super().get_config(), "num_samples": self.num_samples, **self.settings()}

    def _is_setting(self, variable):
        settings = (*self._settings.values(), *self._shares.values())
        return any(variable is setting for setting in settings)

    def _own_weights(self):
        own = self._trainable_variables + self._non_trainable_variables  # without sub-layers'
        return [weight for weight in own if not self._is_setting(weight)]
