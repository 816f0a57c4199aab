"""The `keras-vae` command, one file for each kind of subcommand.

Each command imports what it needs when it runs, so that help is quick. What the library refuses
(ValueError, OSError) is shown as one sentence.
"""

# In the order of the commands in --help.
from keras_vae.cli import zoo as zoo  # isort: skip
from keras_vae.cli import images as images  # isort: skip
from keras_vae.cli import exploring as exploring  # isort: skip
from keras_vae.cli import measuring as measuring  # isort: skip
from keras_vae.cli import training as training  # isort: skip
from keras_vae.cli import exporting as exporting  # isort: skip
from keras_vae.cli.base import app as app
from keras_vae.cli.base import main as main
