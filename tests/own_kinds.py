"""Kinds of latents that a user might write, and small models of them."""

import math

import keras
import numpy as np
from keras import layers, ops

import keras_vae
from keras_vae.latents import CodeSpec, Draw, Latent


class Grid(Latent):
    """Numbers rounded to the nearest of three at every position: integer codes, uniform prior."""

    generates = True
    encodes_as = "nearest"
    width = 2

    @property
    def powers(self):
        return ops.convert_to_tensor(3 ** np.arange(self.width, dtype="int32"))

    def spec(self, h_shape):
        return CodeSpec(tuple(h_shape[1:-1]), "int32", 3**self.width)

    def draw(self, h, noise=None, num_samples=1, training=False):
        codes = self.code(h)
        rate = math.prod(codes.shape[1:]) * self.width * math.log(3)
        vectors = h + ops.stop_gradient(self.decoder_input(codes) - h)
        return Draw(codes[None], vectors, ops.full((1, ops.shape(h)[0]), rate))

    def code(self, h):
        steps = ops.cast(ops.round(ops.clip(h, -1, 1)) + 1, "int32")
        return ops.sum(steps * self.powers, axis=-1)

    def decoder_input(self, code):
        return ops.cast(code[..., None] // self.powers % 3 - 1, "float32")

    def sample_prior(self, n, rng, shape=None):
        return rng.integers(
            3**self.width, size=(n, *(shape or self.code_spec.shape)), dtype="int32"
        )


class SquashedGrid(Grid):
    """Rounds what tanh bounds, which no page knows."""

    encodes_as = None

    def code(self, h):
        return super().code(1.5 * ops.tanh(h))


def of_map(latent, channels, likelihood="bernoulli", size=8, decoder_channels=None):
    """A model of images `(size, size, 1)` whose codes lie on a map of half the size."""
    encoder = keras.Sequential(
        [keras.Input((size, size, 1)), layers.Conv2D(channels, 2, strides=2, name="squeeze")]
    )
    half, width = size and size // 2, decoder_channels or channels
    decoder = keras.Sequential(
        [keras.Input((half, half, width)), layers.Conv2DTranspose(1, 2, strides=2)]
    )
    return keras_vae.VAE(encoder, decoder, latent, likelihood=likelihood)


def plain_autoencoder(latent_dim=3):
    """A plain autoencoder of images `(8, 8, 1)`."""
    encoder = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(latent_dim)])
    decoder = keras.Sequential(
        [keras.Input((latent_dim,)), layers.Dense(64), layers.Reshape((8, 8, 1))]
    )
    return keras_vae.VAE(encoder, decoder, keras_vae.latents.PointLatent())
