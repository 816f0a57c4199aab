"""A model at a glance: what it generates, and how it reconstructs."""

import numpy as np

from keras_vae.checks import as_array
from keras_vae.plots.grids import image_grid, to_images

_COLUMNS = 16


def overview(model, x=None):
    """Draws four rows of samples, a row of images and below it one of their reconstructions.

    Args:
        model: a `keras_vae.VAE`.
        x: images, of which the first 16 are shown. Defaults to None, samples only.

    Returns:
        A `matplotlib.figure.Figure`, or None if there is nothing to show: the data are not images,
        or no images are given and the model does not generate, or takes images of any size.

    Raises:
        ValueError: if the model is not built, or `x` is not valid data for it.
    """
    model.check_built()
    any_size = None in model.data_shape
    if len(model.data_shape) != 3 or (x is None and (any_size or not model.latent.generates)):
        return None
    size = np.shape(x)[1:-1] if any_size else None
    parts = [model.generate(64, seed=0, size=size)] if model.latent.generates else []
    if x is not None:
        x = as_array(x)[:_COLUMNS]
        parts += [x, model.reconstruct(x)]
    rows = []
    for part in to_images(model.likelihood, *parts):
        white = np.ones((-len(part) % _COLUMNS, *part.shape[1:]))
        rows += [part, white]
    return image_grid(np.concatenate(rows), columns=_COLUMNS)
