"""The latent explorer: a model as one HTML file that computes its networks by itself.

The file needs no server, no network and no Python: its latents are moved, and images drawn and
encoded, in any browser of the years since 2023.
"""

from keras_vae.explorer.content import NotExplorableError as NotExplorableError
from keras_vae.explorer.page import render as render
from keras_vae.explorer.page import write as write
from keras_vae.explorer.serving import server as server
