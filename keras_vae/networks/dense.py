"""Encoders and decoders of dense layers, for data of any shape."""

import math

import keras
from keras import layers


def mlp_encoder(input_shape, width, *, hidden_units, activation):
    """Dense layers from the data to one tensor, `(n, width)`."""
    x = inputs = keras.Input(input_shape)
    x = layers.Flatten("channels_last")(x)
    for units in hidden_units:
        x = dense(x, units, activation)
    return keras.Model(inputs, layers.Dense(width)(x), name="encoder")


def mlp_decoder(output_shape, latent_dim, *, hidden_units, activation):
    """Dense layers from the latents to the data's shape: the encoder's layers in reverse order."""
    z = inputs = keras.Input((latent_dim,))
    for units in reversed(hidden_units):
        z = dense(z, units, activation)
    z = layers.Dense(math.prod(output_shape))(z)
    return keras.Model(inputs, layers.Reshape(output_shape)(z), name="decoder")


def is_gated(activation):
    """Whether an activation is the gated linear unit, a * sigmoid(b)."""
    return keras.activations.get(activation) is keras.activations.glu


def dense(x, units, activation):
    """A dense layer, or a gated one, which has two (Dauphin et al. 2017, arXiv 1612.08083)."""
    if is_gated(activation):
        # Two layers, because Keras's Activation assumes that an activation keeps the shape.
        return layers.Multiply()([layers.Dense(units)(x), layers.Dense(units, "sigmoid")(x)])
    return layers.Dense(units, activation=activation)(x)
