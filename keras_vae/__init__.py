"""Variational autoencoders for Keras 3: pretrained, trainable, measured."""

import sys
from pathlib import Path

__version__ = "0.1.0"

# The command `keras-vae` imports what it needs when it runs: its help needs no Keras.
if Path(sys.argv[0]).name.removesuffix(".exe") != "keras-vae":
    from keras_vae import callbacks as callbacks
    from keras_vae import data as data
    from keras_vae import latents as latents
    from keras_vae import likelihoods as likelihoods
    from keras_vae import objectives as objectives
    from keras_vae import priors as priors
    from keras_vae import training as training
    from keras_vae.evaluation import evaluate as evaluate
    from keras_vae.exporting import export as export
    from keras_vae.factories import FACTORIES as FACTORIES
    from keras_vae.factories import conv_vae as conv_vae
    from keras_vae.factories import kl_vae as kl_vae
    from keras_vae.factories import ladder_vae as ladder_vae
    from keras_vae.factories import mlp_vae as mlp_vae
    from keras_vae.factories import tiny_autoencoder as tiny_autoencoder
    from keras_vae.factories import vq_gan as vq_gan
    from keras_vae.factories import vq_vae as vq_vae
    from keras_vae.hub import info as info
    from keras_vae.hub import list_models as list_models
    from keras_vae.hub import load as load
    from keras_vae.hub import publish as publish
    from keras_vae.hub import save_to_folder as save_to_folder
    from keras_vae.model import VAE as VAE
    from keras_vae.verification import verify as verify
