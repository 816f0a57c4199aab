"""The beta-ELBO, with free bits or a capacity if asked for."""

import keras
from keras import ops

from keras_vae.checks import check_number
from keras_vae.objectives.base import Objective


@keras.saving.register_keras_serializable(package="keras_vae")
class ELBO(Objective):
    """loss = distortion + beta * rate + penalty, the mean over the batch.

    Kingma & Welling 2014, arXiv 1312.6114, eq. 3; beta: Higgins et al. 2017.

    Args:
        beta: weight of the rate, at least 0. Defaults to 1, the ELBO.
        num_samples: Monte-Carlo samples of z for each example. Defaults to 1.
        free_bits: nats L that each latent may use at no cost: the rate counts as
            sum_j max(L, KL_j), with KL_j the mean over the batch (Kingma et al. 2016, arXiv
            1606.04934, eq. 15). In a hierarchy L is what each layer may use. Needs a latent whose
            rate is a sum over units or layers. Defaults to 0.
        capacity: nats C: the rate counts as |rate - C| (Burgess et al. 2018, arXiv 1804.03599,
            eq. 8). Defaults to None, the rate itself.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(self, beta=1.0, *, num_samples=1, free_bits=0.0, capacity=None, **kwargs):
        super().__init__(beta, num_samples=num_samples, **kwargs)
        self.free_bits = check_number("free_bits", free_bits, 0)
        if capacity is not None:
            self.add_setting("capacity", capacity)

    def check(self, latent):
        if self.free_bits and not latent.has_unit_rates and len(latent.layout) == 1:
            raise ValueError(
                "free_bits apply to the rate of each latent: they need a latent whose rate is a "
                "sum, such as a GaussianLatent under the standard normal prior. "
                f"Received free_bits={self.free_bits} and {latent!r}"
            )

    def loss(self, model, terms, training=False):
        rate = terms.mean(terms.rate)
        if self.free_bits:
            of_layers = terms.draw.layer_rates
            rates = terms.mean(terms.draw.unit_rates if of_layers is None else of_layers)
            rate = ops.sum(ops.maximum(self.free_bits, rates))
        if self.get("capacity") is not None:
            rate = ops.abs(rate - self.value("capacity", training))
        beta = self.value("beta", training)
        return terms.mean(terms.distortion) + beta * rate + terms.mean(terms.penalty)

    def get_config(self):
        return {**super().get_config(), "free_bits": self.free_bits}
