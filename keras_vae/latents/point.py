"""The latent of a plain autoencoder: one point, without a prior."""

import keras
from keras import ops

from keras_vae.latents.base import CodeSpec, Draw, Latent, check_no_dict


@keras.saving.register_keras_serializable(package="keras_vae")
class PointLatent(Latent):
    """The encoder's output is the code: a plain, deterministic autoencoder.

    There is no posterior and no prior, so the rate is 0 and the loss is the distortion alone.
    `encode`, `decode`, `reconstruct` and `evaluate` work; `elbo`, `log_likelihood` and `generate`
    refuse.

    Example:

    >>> model = keras_vae.VAE(encoder, decoder, keras_vae.latents.PointLatent())
    """

    no_bound = (
        "A plain autoencoder (PointLatent) has no prior, so no ELBO and no likelihood of the data: "
        "use evaluate(model, x) for its reconstruction errors."
    )
    no_prior = (
        "A plain autoencoder (PointLatent) has no prior to draw codes from, so it generates "
        "nothing: reconstruct(x), encode(x) and decode(z) work."
    )
    encodes_as = "identity"

    def spec(self, h_shape):
        check_no_dict(h_shape, "one tensor, the code")
        if isinstance(h_shape[0], (tuple, list)):
            raise ValueError(
                "The encoder of a plain autoencoder must return one tensor. "
                f"Received tensors of shapes: {h_shape}"
            )
        return CodeSpec(tuple(h_shape[1:]))

    def draw(self, h, noise=None, num_samples=1, training=False):
        z = self.code(h)
        return Draw(z[None], z, ops.zeros((1, ops.shape(z)[0]), "float32"))

    def code(self, h):
        return ops.cast(h, "float32")

    def use(self, code):
        words = {
            "label": "variance of the code over the data",
            "advice": "a smaller code may do",
        }
        return super().use(code)._replace(**words)
