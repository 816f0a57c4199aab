"""Export: a model's deterministic graphs in files that need no Keras."""

from keras_vae.exporting.export import export as export
from keras_vae.exporting.formats import FORMATS as FORMATS
