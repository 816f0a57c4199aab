"""Pictures of a hierarchy of latents: the rate of each layer, and what each layer decides."""

import numpy as np

from keras_vae.checks import as_array, check_whole
from keras_vae.plots.charts import layer_bars
from keras_vae.plots.grids import check_images, labelled_rows, to_images

_ROWS = 12  # of a picture: of a hierarchy with more layers, some are left out


def layer_use(model, x):
    """Draws the mean rate of each layer of a hierarchy as a bar, the top layer first.

    Args:
        model: a `keras_vae.VAE` with a hierarchy of latents, such as a `ladder_vae`.
        x: data.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the model has one layer only.
    """
    _check_hierarchy(model)
    return layer_bars(model.layer_rates(x).mean(axis=0))


def layer_samples(model, x, *, samples=8, seed=0, temperature=1.0):
    """Draws what each layer of a hierarchy decides about one image.

    Each row keeps the latents of some upper layers and draws those below from their prior, given
    the layers above (as in Sonderby et al. 2016, arXiv 1602.02282). What all images of a row have
    in common is decided by the layers that are kept. Before them stand the image and its
    reconstruction from these layers alone.

    Args:
        model: a `keras_vae.VAE` with a hierarchy of latents, such as a `ladder_vae`.
        x: images `(n, height, width, channels)`; the first one is shown.
        samples: images drawn in a row. Defaults to 8.
        seed: of the samples. Defaults to 0.
        temperature: as in `generate`. Defaults to 1.

    Returns:
        A `matplotlib.figure.Figure`, with at most 12 rows, evenly spaced among the layers.

    Raises:
        ValueError: if the model has one layer only, or its data are not images.
    """
    _check_hierarchy(model)
    check_images(model)
    samples, x = check_whole("samples", samples, 1), as_array(x)[:1]
    code, rates = model.encode(x), model.layer_rates(x)[0]
    count = len(rates)
    kept = np.unique(np.linspace(1, count, min(count, _ROWS)).round().astype(int))
    rows, labels = [], []
    for layers in map(int, kept):
        codes = np.repeat(code, samples, axis=0)
        if layers < count:
            codes = model.sample_below(codes, layers, seed, temperature=temperature)
        images = x, model.reconstruct(x, layers=layers), model.decode(codes)
        rows.append(np.concatenate(to_images(model.likelihood, *images)))
        labels.append(f"{layers} of {count} layers\n{rates[:layers].sum():.1f} nats")
    columns = ["original", "reconstruction", *["sample"] * samples]
    return labelled_rows(rows, labels, captions=[columns] * len(rows))


def _check_hierarchy(model):
    model.check_built()
    if len(model.latent.layout) == 1:
        raise ValueError(
            "This picture is of a hierarchy of latents, such as that of a ladder_vae. The model "
            "has one layer: keras_vae.plots.latent_use draws the use of its latents."
        )
