"""Pictures of a latent space: traversals, interpolations, the plane of a 2-D latent, code maps."""

import numpy as np
from keras import ops

from keras_vae.checks import as_array, check_number, check_whole, scale
from keras_vae.plots.grids import PAIR_GAPS, image_grid, labelled_rows


def traversal(model, x, *, units=10, steps=9, span=3.0):
    """Draws what each latent does: rows of one image with one latent moved, the others kept.

    Args:
        model: a `keras_vae.VAE` with a `GaussianLatent` of one axis.
        x: images `(n, height, width, channels)`: the first one is shown, and the latents are
            sorted by their mean KL divergence from N(0, 1) over all of them, the largest first.
        units: number of latents. Defaults to 10, or as many as there are.
        steps: values of each, evenly from -span to span. Defaults to 9.
        span: how far a latent is moved, in its own units. Defaults to 3.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the model has no such latent, or its data are no images.
    """
    _check_latent(model)
    units, steps = check_whole("units", units, 1), check_whole("steps", steps, 2)
    span = check_number("span", span, 0)
    rates = model.latent_rates(x).mean(axis=0)
    order = np.argsort(-rates, kind="stable")[:units]
    z = np.tile(model.encode(x[:1]), (len(order), steps, 1))
    for row, unit in enumerate(order):
        z[row, :, unit] = np.linspace(-span, span, steps)
    images = model.decode(z.reshape(-1, z.shape[-1])).reshape(len(order), steps, *model.data_shape)
    return labelled_rows(images, [f"latent {unit}\n{rates[unit]:.2f} nats" for unit in order])


def interpolation(model, first, second, steps=9):
    """Draws the way from one image to another, along a straight line between their latents.

    Args:
        model: a `keras_vae.VAE`; of a VQ model the code vectors are mixed.
        first: images `(n, height, width, channels)`, at the left of a row each.
        second: as many images, at the right.
        steps: images in a row, both ends' reconstructions among them. Defaults to 9.

    Returns:
        A `matplotlib.figure.Figure`: originals at the ends, decoded latents between.

    Raises:
        ValueError: if these are not as many images of the model's shape.
    """
    _check_images(model)
    steps = check_whole("steps", steps, 2)
    first, second = as_array(first, "first"), as_array(second, "second")
    if first.shape != second.shape:
        raise ValueError(
            "first and second must hold as many images. "
            f"Received shapes: {first.shape} and {second.shape}"
        )
    ends = [_vectors(model, x) for x in (first, second)]
    share = np.linspace(0, 1, steps, dtype="float32").reshape(-1, *[1] * ends[0].ndim)
    z = (1 - share) * ends[0] + share * ends[1]  # (steps, n, ...)
    images = model.decode(z.reshape(-1, *z.shape[2:])).reshape(steps, len(first), *first.shape[1:])
    rows = np.concatenate([scale(first)[None], images, scale(second)[None]])
    return image_grid(np.swapaxes(rows, 0, 1).reshape(-1, *first.shape[1:]), columns=steps + 2)


def latent_plane(model, x=None, labels=None, *, steps=21, span=3.0):
    """Draws the plane of a 2-D latent: an image for each place, and where data lies.

    Args:
        model: a `keras_vae.VAE` with two latents.
        x: data whose posterior means are shown beside it. Defaults to None.
        labels: a class `(n,)` for each of `x`, for its colour. Defaults to None.
        steps: images a side. Defaults to 21.
        span: the plane goes from -span to span on both axes. Defaults to 3.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the model has another latent, or its data are no images.
    """
    from matplotlib.figure import Figure

    _check_latent(model)
    if model.latent.latent_shape != (2,):
        raise ValueError(
            f"Only 2 latents make a plane. The model's have shape {model.latent.latent_shape}."
        )
    steps, span = check_whole("steps", steps, 2), check_number("span", span, 0)
    values = np.linspace(-span, span, steps, dtype="float32")
    z = np.stack(np.meshgrid(values, values[::-1]), axis=-1).reshape(-1, 2)  # upwards, as axes go
    height, width, channels = model.data_shape
    images = np.clip(model.decode(z), 0, 1).reshape(steps, steps, height, width, channels)
    canvas = images.transpose(0, 2, 1, 3, 4).reshape(steps * height, steps * width, channels)
    canvas = canvas if channels in (3, 4) else canvas.mean(axis=-1)
    figure = Figure((10 if x is not None else 5, 5), dpi=128, facecolor="white")
    plane, *beside = figure.subplots(1, 1 if x is None else 2, squeeze=False)[0]
    half = span * steps / (steps - 1)  # an image stands about its place
    extent = (-half, half, -half, half)
    plane.imshow(canvas, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto")
    if beside:
        z = model.encode(x)
        classes = np.zeros(len(z)) if labels is None else np.asarray(labels)
        if classes.shape != (len(z),):
            raise ValueError(f"labels must have shape ({len(z)},). Received: {classes.shape}")
        for label in np.unique(classes):
            beside[0].scatter(*z[classes == label].T, s=2, linewidths=0, label=str(label))
        beside[0].set(xlim=extent[:2], ylim=extent[2:])
        if labels is not None:
            beside[0].legend(fontsize=7, markerscale=4, loc="upper right")
    for axes in (plane, *beside):
        axes.set_box_aspect(1)
        axes.set_xlabel("latent 0", fontsize=8)
        axes.set_ylabel("latent 1", fontsize=8)
        axes.tick_params(labelsize=7)
    figure.tight_layout()
    return figure


def code_maps(model, x, columns=8):
    """Draws images above the maps of their codes, a colour for each code.

    Args:
        model: a VQ model.
        x: images `(n, height, width, channels)`.
        columns: images in a row. Defaults to 8.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the model has no codes.
    """
    _check_images(model)
    if model.latent.stochastic:
        raise ValueError("code_maps needs a VQ model: this one's latent has no codes.")
    columns = check_whole("columns", columns, 1)
    codes = model.encode(x)
    x = scale(as_array(x))
    x = x if x.shape[-1] == 3 else np.repeat(x.mean(axis=-1, keepdims=True), 3, axis=-1)
    # One colour for each code, the same at every call; neighbours in number are not alike.
    colors = np.random.RandomState(0).uniform(0.1, 0.95, (model.latent.num_codes, 3))
    height, width = x.shape[1:3]
    down = np.arange(height) * codes.shape[1] // height
    across = np.arange(width) * codes.shape[2] // width
    maps = colors[codes[:, down][:, :, across]]
    starts = range(0, len(x), columns)
    rows = [part[s : s + columns] for s in starts for part in (x, maps)]
    return labelled_rows(rows, ["image", "codes"] * len(starts), PAIR_GAPS * len(starts))


def _vectors(model, x):
    code = model.encode(x)
    if model.latent.stochastic:
        return code
    return ops.convert_to_numpy(model.latent.lookup(ops.convert_to_tensor(code)))


def _check_images(model):
    if len(model.data_shape) != 3:
        raise ValueError(f"The model's data are no images: shape {model.data_shape}.")


def _check_latent(model):
    _check_images(model)
    if not model.latent.stochastic or len(model.latent.latent_shape) != 1:
        raise ValueError(
            "The model must have a GaussianLatent with one axis. Received: "
            f"{type(model.latent).__name__} of shape {model.latent.latent_shape}"
        )
