"""Encoders and decoders: stacks of Keras layers."""

from keras_vae.networks.conv import code_decoder as code_decoder
from keras_vae.networks.conv import code_encoder as code_encoder
from keras_vae.networks.conv import conv_decoder as conv_decoder
from keras_vae.networks.conv import conv_encoder as conv_encoder
from keras_vae.networks.conv import sizes_of as sizes_of
from keras_vae.networks.dense import is_gated as is_gated
from keras_vae.networks.dense import mlp_decoder as mlp_decoder
from keras_vae.networks.dense import mlp_encoder as mlp_encoder
from keras_vae.networks.kl import kl_decoder as kl_decoder
from keras_vae.networks.kl import kl_encoder as kl_encoder
from keras_vae.networks.ladder import ladder_decoder as ladder_decoder
from keras_vae.networks.ladder import ladder_encoder as ladder_encoder
from keras_vae.networks.ladder import ladder_layers as ladder_layers
from keras_vae.networks.tiny import tiny_decoder as tiny_decoder
from keras_vae.networks.tiny import tiny_encoder as tiny_encoder
