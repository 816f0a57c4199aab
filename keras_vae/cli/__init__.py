"""The `keras-vae` command: list, info, verify, generate, reconstruct, explore, train and others.

Each command imports what it needs when it runs, so that help is quick. What the library refuses
(ValueError, OSError) is shown as one sentence.
"""

from keras_vae.cli import zoo as zoo  # isort: skip  (the order of the commands in --help)
from keras_vae.cli import exploring as exploring
from keras_vae.cli import images as images
from keras_vae.cli import training as training
from keras_vae.cli.base import app as app
from keras_vae.cli.base import main as main
