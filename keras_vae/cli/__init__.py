"""The `keras-vae` command, one file for each kind of subcommand.

Each command imports what it needs when it runs, so that help is quick. What the library refuses
(ValueError, OSError) is shown as one sentence.
"""

# isort: off  (the order of the commands in --help)
from keras_vae.cli import zoo as zoo
from keras_vae.cli import images as images
from keras_vae.cli import measuring as measuring
from keras_vae.cli import training as training
from keras_vae.cli import exporting as exporting

# isort: on
from keras_vae.cli.base import app as app
from keras_vae.cli.base import main as main
