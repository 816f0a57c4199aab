"""Training as a library: runs that resume, recipes of stages, defaults for your own data.

`train` trains a compiled model in a folder. `follow` makes a model from a recipe, as the zoo's
models are made, and `default_recipe` writes one for your own data, as `keras-vae train` does:

>>> parts = keras_vae.data.load("pictures.npz")
>>> recipe = keras_vae.training.default_recipe(parts, factory="conv_vae")
>>> model, history = keras_vae.training.follow(recipe, parts, "my-run")
"""

from keras_vae.training.checkpoints import has_state as has_state
from keras_vae.training.checkpoints import place_of as place_of
from keras_vae.training.defaults import default_recipe as default_recipe
from keras_vae.training.defaults import linear_arguments as linear_arguments
from keras_vae.training.defaults import map_arguments as map_arguments
from keras_vae.training.defaults import picture_arguments as picture_arguments
from keras_vae.training.defaults import schedule as schedule
from keras_vae.training.linear import fit_linear as fit_linear
from keras_vae.training.recipes import check_devices as check_devices
from keras_vae.training.recipes import follow as follow
from keras_vae.training.recipes import restore as restore
from keras_vae.training.run import apply_average as apply_average
from keras_vae.training.run import best_epoch as best_epoch
from keras_vae.training.run import train as train
from keras_vae.training.seen import trained_on as trained_on
from keras_vae.training.stage_checks import stages as stages
