"""The continuous latent: a diagonal Gaussian posterior, sampled by reparameterisation."""

import math

import keras
from keras import ops

from keras_vae import priors
from keras_vae.latents.base import Latent

LOG_VAR_MIN, LOG_VAR_MAX = -30.0, 10.0
ACTIVE = 0.01  # a unit is active when Var_x(E_q[z]) exceeds this (Burda et al. 2015, section 5)


@keras.saving.register_keras_serializable(package="keras_vae")
class GaussianLatent(Latent):
    """q(z|x) = N(mean, diag(exp(log_var))) under a prior p(z).

    Kingma & Welling 2014, arXiv 1312.6114. Takes what the encoder returns: two tensors
    `[mean, log_var]` of one shape, or one tensor of twice the width with the mean first.
    `log_var` is bounded to [-30, 10], where neither the variance nor the KL divergence
    overflows; within the bounds nothing changes, outside them the gradient still points back in.

    Args:
        prior: a `keras_vae.priors.Prior`, or what `keras_vae.priors.get` takes. Defaults to the
            standard normal, for which the rate is the closed-form KL divergence (appendix B
            there), for others log q(z|x) - log p(z).
        seed: seed of the noise of training. Defaults to None, a new one for each layer.
    """

    def __init__(self, prior=None, *, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.prior = priors.get(prior)

    def connect(self, encoder, data_shape):
        # Told that this is no training: on JAX it would not know otherwise, elsewhere it would be.
        self.prior.connect(lambda x: self.posterior(encoder(x, training=False)), data_shape)

    def build(self, input_shape):
        if isinstance(input_shape[0], (tuple, list)):
            mean_shape = tuple(input_shape[0])
            if len(input_shape) != 2 or mean_shape != tuple(input_shape[1]):
                raise ValueError(
                    "An encoder returns two tensors [mean, log_var] of one shape, or one tensor of "
                    f"width 2 * latent_dim. Received tensors of shapes: {input_shape}"
                )
        else:
            width = input_shape[-1]
            if len(input_shape) < 2 or width is None or width < 2 or width % 2:
                raise ValueError(
                    "An encoder that returns one tensor must give it width 2 * latent_dim, the "
                    f"mean first, then log_var. Received a tensor of shape: {tuple(input_shape)}"
                )
            mean_shape = (*input_shape[:-1], width // 2)
        self.latent_shape = tuple(mean_shape[1:])
        if not self.prior.built:  # it is when a file was read
            self.prior.build(mean_shape)
        if self.prior.latent_shape != self.latent_shape:
            raise ValueError(
                f"The prior is one over latents of shape {self.prior.latent_shape}; the encoder's "
                f"have shape {self.latent_shape}. A prior belongs to one model: make a new one."
            )

    @property
    def closed_form(self):
        """Whether the KL divergence to the prior is known: the prior is N(0, I)."""
        return type(self.prior) is priors.StandardNormal

    def compute_output_spec(self, h, num_samples=1, training=False):
        n = keras.tree.flatten(h)[0].shape[0]
        shape = (None if n is None else num_samples * n, *self.latent_shape)
        return keras.KerasTensor(shape, "float32"), keras.KerasTensor((n,), "float32")

    def posterior(self, h):
        """Returns the posterior's `mean` and bounded `log_var`, each `(n, *latent_shape)`."""
        if isinstance(h, (tuple, list)):
            mean, log_var = (ops.cast(t, "float32") for t in h)
        else:
            mean, log_var = ops.split(ops.cast(h, "float32"), 2, axis=-1)
        return mean, _bounded(log_var)

    def infer(self, h, num_samples=1, noise=None, training=False):
        mean, log_var = self.posterior(h)
        z, noise = self._sampled(mean, log_var, num_samples, noise)
        if self.closed_form:
            kl = _normal_kl(mean, log_var)
            rate = ops.sum(kl, axis=_latent_axes(kl))
        else:
            rate = -ops.mean(self._log_ratio(z, log_var, noise), axis=0)
        return {"z": _fold(z), "rate": rate, "penalty": ops.zeros_like(rate)}

    def code(self, h):
        return self.posterior(h)[0]

    def propose(self, h, noise=None, num_samples=1):
        mean, log_var = self.posterior(h)
        z, noise = self._sampled(mean, log_var, num_samples, noise)
        log_ratio = self._log_ratio(z, log_var, noise)
        rate = -log_ratio
        if self.closed_form:
            kl = _normal_kl(mean, log_var)
            rate = ops.broadcast_to(ops.sum(kl, axis=_latent_axes(kl)), ops.shape(log_ratio))
        return _fold(z), log_ratio, rate

    def rescale(self, h, z, scale):
        mean, log_var = map(ops.stop_gradient, self.posterior(h))
        z = ops.reshape(z, (*ops.shape(scale)[:1], *ops.shape(mean)))
        scale = ops.reshape(scale, (*ops.shape(scale), *[1] * len(self.latent_shape)))
        z = ops.stop_gradient(z) + scale * (z - ops.stop_gradient(z))
        return _fold(z), self._log_ratio(z, log_var, (z - mean) * ops.exp(-0.5 * log_var))

    def rates(self, h):
        """KL(q(z_j|x) || N(0, 1)) of each latent, `(n, *latent_shape)`, in nats."""
        return _normal_kl(*self.posterior(h))

    def sample_prior(self, n, rng):
        """Draws `n` latents from the prior."""
        return self.prior.sample(n, rng)

    def get_config(self):
        config = super().get_config()
        return {**config, "prior": keras.saving.serialize_keras_object(self.prior)}

    @classmethod
    def from_config(cls, config):
        prior = keras.saving.deserialize_keras_object(config["prior"])
        return cls(**{**config, "prior": prior})

    def _sampled(self, mean, log_var, num_samples, noise):
        """z = mean + stddev * noise, `(M, n, *latent_shape)`, and the noise."""
        if noise is None:
            shape = (num_samples, *ops.shape(mean))
            noise = keras.random.normal(shape, dtype="float32", seed=self.seed_generator)
        noise = ops.convert_to_tensor(noise, "float32")
        return mean + ops.exp(0.5 * log_var) * noise, noise

    def _log_ratio(self, z, log_var, noise):
        """log p(z) - log q(z|x), `(M, n)`; (z - mean) / stddev is the noise itself."""
        log_p = ops.reshape(self.prior.log_prob(_fold(z)), ops.shape(z)[:2])
        log_q = -0.5 * (math.log(2 * math.pi) + log_var + ops.square(noise))
        return log_p - ops.sum(log_q, axis=_latent_axes(log_q)[1:])


def _normal_kl(mean, log_var):
    """KL(N(mean, var) || N(0, 1)) of each latent, = -1/2 (1 + log_var - mean^2 - var), in nats."""
    return -0.5 * (1.0 + log_var - ops.square(mean) - ops.exp(log_var))


def _bounded(log_var):
    """Clips, but hands the gradient through, so that a log-variance out of bounds comes back."""
    log_var = ops.clip(log_var, -1e6, 1e6)  # no inf - inf below
    clipped = ops.stop_gradient(ops.clip(log_var, LOG_VAR_MIN, LOG_VAR_MAX))
    return clipped + (log_var - ops.stop_gradient(log_var))


def _fold(z):
    """(M, n, ...) -> (M * n, ...)"""
    return ops.reshape(z, (-1, *z.shape[2:]))


def _latent_axes(t):
    return tuple(range(1, len(t.shape)))
