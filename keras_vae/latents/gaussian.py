"""The continuous latent: a diagonal Gaussian posterior, sampled by reparameterisation."""

from functools import partial

import keras
from keras import ops

from keras_vae import normal, priors
from keras_vae.latents.base import CodeSpec, Draw, Latent, check_no_dict, fold
from keras_vae.replicas import draw_examples

BOUNDS = (-30.0, 10.0)  # of log-variances


@keras.saving.register_keras_serializable(package="keras_vae")
class GaussianLatent(Latent):
    """q(z|x) = N(mean, diag(exp(log_var))) under a prior p(z).

    Kingma & Welling 2014, arXiv 1312.6114. Takes what the encoder returns: two tensors
    `[mean, log_var]` of one shape, or one tensor of twice the width with the mean first. `log_var`
    is bounded to [-30, 10], where neither the variance nor the KL divergence overflows. Within the
    bounds it is unchanged; outside them its gradient still points back inside.

    Args:
        prior: a `keras_vae.priors.Prior`, or what `keras_vae.priors.get` takes. Defaults to the
            standard normal, for which the rate is the closed-form KL divergence (appendix B
            there). For other priors it is log q(z|x) - log p(z).
        seed: seed of the noise of training. Defaults to None, a new one for each layer.
    """

    log_var_bounds = BOUNDS
    generates = True
    encodes_as = "mean"

    def __init__(self, prior=None, *, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.prior = priors.get(prior)

    @property
    def has_unit_rates(self):
        """Whether the KL divergence to the prior is known in closed form, for each latent."""
        return type(self.prior) is priors.StandardNormal

    def connect(self, encoder, data_shape):
        # `training=False` must be explicit: JAX does not pass it down.
        self.prior.connect(lambda x: self.posterior(encoder(x, training=False)), data_shape)

    def spec(self, h_shape):
        shape = mean_shape(h_shape)[1:]
        return CodeSpec(shape, noise_shape=shape)

    def build(self, input_shape):
        super().build(input_shape)
        shape = self.code_spec.shape
        if not self.prior.built:  # a prior read from a file is built already
            self.prior.build((None, *shape))
        if self.prior.latent_shape != shape:
            raise ValueError(
                f"The prior was built for latents of shape {self.prior.latent_shape}; the encoder "
                f"makes latents of shape {shape}. Each model needs a prior of its own."
            )

    def compute_output_spec(self, h, num_samples=1, training=False):
        # From h, not from code_spec: a model of any size asks for the shapes of one size.
        n, *shape = mean_shape(keras.tree.map_structure(lambda t: tuple(t.shape), h))
        batch = None if n is None else num_samples * n
        return keras.KerasTensor((batch, *shape), "float32"), keras.KerasTensor((n,), "float32")

    def posterior(self, h):
        """Returns the posterior's `mean` and bounded `log_var`, each `(n, *code_shape)`."""
        mean, log_var = mean_and_log_var(h)
        return mean, bound_log_var(log_var, *self.log_var_bounds)

    def draw(self, h, noise=None, num_samples=1, training=False):
        mean, log_var = self.posterior(h)
        if noise is None:
            shape = (num_samples, *ops.shape(mean))
            normal_of = partial(keras.random.normal, dtype="float32", seed=self.seed_generator)
            noise = draw_examples(normal_of, shape, axis=1)
        noise = ops.convert_to_tensor(noise, "float32")
        z = mean + ops.exp(0.5 * log_var) * noise  # (M, n, *code_shape)
        log_ratio = self._log_ratio(z, log_var, noise)
        rate, kl = -log_ratio, None
        if self.has_unit_rates:
            kl = normal.kl_to_standard(mean, log_var)
            rate = ops.broadcast_to(normal.sum_per_example(kl), ops.shape(log_ratio))
        return Draw(z, fold(z), rate, log_ratio, unit_rates=kl)

    def code(self, h):
        return self.posterior(h)[0]

    def summary(self, h):
        return dict(zip(("mean", "log_var"), self.posterior(h)))

    def log_ratio(self, h, code):
        mean, log_var = self.posterior(h)
        return self._log_ratio(code, log_var, (code - mean) * ops.exp(-0.5 * log_var))

    def sample_prior(self, n, rng, shape=None):
        return self.prior.sample_of(shape, n, rng)

    def get_config(self):
        config = super().get_config()
        return {**config, "prior": keras.saving.serialize_keras_object(self.prior)}

    def _log_ratio(self, z, log_var, u):
        """log p(z) - log q(z|x), `(M, n)`, with u = (z - mean) / stddev."""
        log_p = ops.reshape(self.prior.log_prob(fold(z)), ops.shape(z)[:2])
        log_q = normal.log_density(u, log_var)
        return log_p - ops.sum(log_q, axis=tuple(range(2, len(log_q.shape))))


def mean_shape(h_shape):
    """The shape of the posterior mean, `(n, *code_shape)`, from that of the encoder's output."""
    check_no_dict(h_shape, "a list [mean, log_var], or one tensor with the mean first")
    if isinstance(h_shape[0], (tuple, list)):
        shapes = [tuple(shape) for shape in h_shape]
        if len(shapes) != 2 or shapes[0] != shapes[1]:
            raise ValueError(
                "An encoder must return two tensors [mean, log_var] of one shape, or one tensor of "
                f"width 2 * latent_dim. Received tensors of shapes: {h_shape}"
            )
        return shapes[0]
    width = h_shape[-1]
    if len(h_shape) < 2 or width is None or width < 2 or width % 2:
        raise ValueError(
            "An encoder that returns one tensor must give it width 2 * latent_dim: the mean first, "
            f"then log_var. Received a tensor of shape: {tuple(h_shape)}"
        )
    return (*h_shape[:-1], width // 2)


def mean_and_log_var(h):
    """The two tensors, or the two halves of one tensor, in float32."""
    if isinstance(h, (tuple, list)):
        return [ops.cast(t, "float32") for t in h]
    return ops.split(ops.cast(h, "float32"), 2, axis=-1)


def bound_log_var(log_var, low=BOUNDS[0], high=BOUNDS[1]):
    """Clips, but passes the gradient through, so that a log-variance out of bounds comes back."""
    log_var = ops.clip(log_var, -1e6, 1e6)  # no inf - inf below
    clipped = ops.stop_gradient(ops.clip(log_var, low, high))
    return clipped + (log_var - ops.stop_gradient(log_var))
