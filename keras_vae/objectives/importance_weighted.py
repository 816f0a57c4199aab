"""The importance-weighted bound, with its plain or its doubly reparameterised gradient."""

import keras
from keras import ops

from keras_vae.latents.base import fold
from keras_vae.objectives.base import Objective

GRADIENTS = ("reparameterised", "dreg")


@keras.saving.register_keras_serializable(package="keras_vae")
class ImportanceWeighted(Objective):
    """loss = -log 1/K sum_k p(x|z_k) (p(z_k) / q(z_k|x))^beta, the mean over the batch.

    Burda et al. 2015, arXiv 1509.00519, eq. 8.

    Args:
        num_samples: posterior samples K of each example, at least 2. Defaults to 8.
        beta: weight of log p(z) - log q(z|x). Defaults to 1, the bound.
        gradient: `"reparameterised"` (default), or `"dreg"`, the doubly reparameterised gradient
            (Tucker et al. 2019, arXiv 1810.04152, eq. 6): the same mean and less noise, but the
            decoder runs twice.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(self, num_samples=8, *, beta=1.0, gradient="reparameterised", **kwargs):
        super().__init__(beta, num_samples=num_samples, **kwargs)
        if gradient not in GRADIENTS:
            raise ValueError(f"gradient must be one of {GRADIENTS}. Received: {gradient!r}")
        self.gradient = gradient
        if self.num_samples < 2:
            raise ValueError(
                "An importance-weighted loss needs num_samples of at least 2. "
                f"Received: num_samples={num_samples}"
            )

    def check(self, latent):
        if latent.code_spec.noise_shape is None:
            raise ValueError(
                f"An importance-weighted loss needs a latent that is sampled. Received: {latent!r}"
            )
        of_prior = {id(weight) for weight in latent.prior.weights} if latent.prior else set()
        own = [weight for weight in latent.trainable_weights if id(weight) not in of_prior]
        if self.gradient == "dreg" and own:
            # Eq. 6 leaves out the gradient of log q for the parameters of q, which here are in the
            # encoder; those of the latent would keep it.
            raise ValueError(
                "The doubly reparameterised gradient is for a posterior that the encoder alone "
                f"computes, and {type(latent).__name__} has weights of its own: use "
                "importance_weighted=True."
            )

    def loss(self, model, terms, training=False):
        beta = self.value("beta", training)
        log_w = terms.log_prob + beta * terms.draw.log_ratio  # (K, n)
        bound = log_mean_exp(log_w)
        if training and self.gradient == "dreg":
            weight = ops.softmax(ops.stop_gradient(log_w), axis=0)
            # Eq. 6: the gradient reaches z_k with weight w_k (1 - beta (1 - w_k)), or w_k^2 at
            # beta 1. None of it passes through the parameters of q.
            z = _scale_gradient(terms.draw.code, 1.0 - beta * (1.0 - weight))
            h = keras.tree.map_structure(ops.stop_gradient, terms.h)
            inputs = model.latent.decoder_input(fold(z))
            again = model.log_prob(terms.x, model.decoder(inputs, training=training))
            surrogate = ops.sum(weight * (again + beta * model.latent.log_ratio(h, z)), axis=0)
            bound = ops.stop_gradient(bound - surrogate) + surrogate
        return terms.mean(terms.penalty - bound)

    def get_config(self):
        return {**super().get_config(), "gradient": self.gradient}


def log_mean_exp(log_w):
    """log 1/K sum_k w_k of `(K, n)`: `(n,)`."""
    # K is counted: in the graph of a pipeline of unknown batch size its shape is not known.
    return ops.logsumexp(log_w, axis=0) - ops.log(ops.sum(ops.ones_like(log_w), axis=0))


def _scale_gradient(z, scale):
    """z `(K, n, ...)`, with its gradient multiplied by `scale`, `(K, n)`."""
    shape = (*ops.shape(scale), *[1] * (len(z.shape) - 2))
    fixed = ops.stop_gradient(z)
    return fixed + ops.stop_gradient(ops.reshape(scale, shape)) * (z - fixed)
