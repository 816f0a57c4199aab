"""All commands, in the order of --help: importing them adds them to the application."""

from keras_vae.cli import zoo as zoo  # isort: skip
from keras_vae.cli import images as images  # isort: skip
from keras_vae.cli import exploring as exploring  # isort: skip
from keras_vae.cli import coding as coding  # isort: skip
from keras_vae.cli import measuring as measuring  # isort: skip
from keras_vae.cli import training as training  # isort: skip
from keras_vae.cli import packing as packing  # isort: skip
from keras_vae.cli import exporting as exporting  # isort: skip
from keras_vae.cli.base import app as app
