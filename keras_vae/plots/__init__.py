"""Pictures as matplotlib figures, which need no display; `save` writes one as a PNG file.

matplotlib is imported when a picture is made, and its global state (pyplot) is not touched.
"""

from keras_vae.plots.charts import code_usage as code_usage
from keras_vae.plots.charts import rate_bars as rate_bars
from keras_vae.plots.charts import rate_distortion as rate_distortion
from keras_vae.plots.grids import check_grid as check_grid
from keras_vae.plots.grids import check_images as check_images
from keras_vae.plots.grids import image_grid as image_grid
from keras_vae.plots.grids import reconstruction_pairs as reconstruction_pairs
from keras_vae.plots.grids import save as save
from keras_vae.plots.grids import to_images as to_images
from keras_vae.plots.latents import code_maps as code_maps
from keras_vae.plots.latents import interpolation as interpolation
from keras_vae.plots.latents import latent_plane as latent_plane
from keras_vae.plots.latents import latent_use as latent_use
from keras_vae.plots.latents import traversal as traversal
from keras_vae.plots.layers import layer_samples as layer_samples
from keras_vae.plots.layers import layer_use as layer_use
from keras_vae.plots.overview import overview as overview
