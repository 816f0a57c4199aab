"""The latent explorer: a model as one HTML file that computes its networks itself.

The file needs no server, no network and no Python. Any browser since 2023 can move its latents,
and draw and encode images.
"""

from keras_vae.explorer.content import NotExplorableError as NotExplorableError
from keras_vae.explorer.content import check as check
from keras_vae.explorer.page import render as render
from keras_vae.explorer.page import write as write
from keras_vae.explorer.serving import server as server
