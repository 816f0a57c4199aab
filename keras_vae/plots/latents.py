"""Pictures of a latent space: its use, traversals, interpolations, planes and maps of codes."""

import numpy as np
from keras import ops

from keras_vae.checks import as_array, check_whole
from keras_vae.plots.charts import rate_bars, use_bars
from keras_vae.plots.grids import PAIR_GAPS, check_images, labelled_rows, to_images
from keras_vae.plots.layers import layer_use
from keras_vae.plots.units import unit_ranges, unit_values


def latent_use(model, x, labels=None):
    """Draws how a model uses its latent, in the way that suits the latent.

    That is the plane of a code of two numbers, the mean rates of the layers of a hierarchy, those
    of the latents where the rate is their sum, and otherwise what the latent measures itself: the
    variance of each latent's posterior mean, or each code's share of the assignments.

    Args:
        model: a `keras_vae.VAE`.
        x: data.
        labels: a class `(n,)` for each of `x`, for the colours of a plane. Defaults to None.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the model is not built, or `x` is not valid data for it.
    """
    model.check_built()
    spec = model.latent.code_spec
    if spec.num_codes is None and spec.shape == (2,) and len(model.data_shape) == 3:
        return latent_plane(model, x, labels)
    if len(model.latent.layout) > 1:
        return layer_use(model, x)
    if model.latent.has_unit_rates:
        return rate_bars(model.latent_rates(x))
    return use_bars(model.latent.use(model.encode(x)))


def traversal(model, x, *, units=10, steps=9, span=None):
    """Draws what each latent does: rows of one image with one latent moved, the others kept.

    Args:
        model: a `keras_vae.VAE` whose codes are real numbers.
        x: images `(n, height, width, channels)`: the first one is shown. The latents are sorted by
            their mean rate over all of them, the largest first, or by the latent's own measure of
            use where the rate is not a sum over latents.
        units: number of latents. Defaults to 10, or as many as there are.
        steps: values of each, evenly spaced. Defaults to 9.
        span: each latent goes from -span to span. Defaults to None: the range of the codes of x
            and of what the prior draws, for a standard normal prior at least -3 to 3.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the model's codes are integers, or its data are not images.
    """
    check_images(model)
    _check_real(model, "A traversal")
    units, steps = check_whole("units", units, 1), check_whole("steps", steps, 2)
    codes = model.encode(x)
    values, measure, unit = unit_values(model, x, codes)
    order = np.argsort(-values, kind="stable")[:units]
    low, high = unit_ranges(model.latent, codes, span)
    z = np.tile(codes[:1].reshape(-1), (len(order), steps, 1))
    for row, j in enumerate(order):
        z[row, :, j] = np.linspace(low[j], high[j], steps)
    images = model.decode(z.reshape(-1, *codes.shape[1:]))
    (images,) = to_images(model.likelihood, images)
    places = [np.unravel_index(j, codes.shape[1:]) for j in order]
    names = [f"latent {', '.join(map(str, place))}" for place in places]
    return labelled_rows(
        images.reshape(len(order), steps, *images.shape[1:]),
        [f"{name}\n{values[j]:.2f} {unit}".rstrip() for name, j in zip(names, order)],
        captions=[[f"{z[row, k, j]:.2g}" for k in range(steps)] for row, j in enumerate(order)],
        title=f"sorted by {measure}, largest first",
    )


def interpolation(model, first, second, steps=9):
    """Draws the way from one image to another, along a straight line between their codes.

    Args:
        model: a `keras_vae.VAE`. Where codes are integers, the vectors that stand for them are
            mixed.
        first: images `(n, height, width, channels)`, at the left of a row each.
        second: as many images, at the right.
        steps: images in a row, both ends' reconstructions among them. Defaults to 9.

    Returns:
        A `matplotlib.figure.Figure`: at the ends the originals, which are marked so, and between
        them the decoded codes with their share of the way.

    Raises:
        ValueError: if these are not as many images of the model's shape.
    """
    check_images(model)
    steps = check_whole("steps", steps, 2)
    first, second = as_array(first, "first"), as_array(second, "second")
    if first.shape != second.shape:
        raise ValueError(
            "first and second must hold as many images. "
            f"Received shapes: {first.shape} and {second.shape}"
        )
    ends, decode = [model.encode(x) for x in (first, second)], model.decode
    if model.latent.code_spec.num_codes:
        embed = model.latent.decoder_input
        ends = [ops.convert_to_numpy(embed(ops.convert_to_tensor(codes))) for codes in ends]

        def decode(vectors):
            mean = model.likelihood.mean(model.decoder(ops.convert_to_tensor(vectors)))
            return ops.convert_to_numpy(mean)

    shares = np.linspace(0, 1, steps, dtype="float32")
    between = [decode((1 - share) * ends[0] + share * ends[1]) for share in shares]
    rows = np.stack(to_images(model.likelihood, first, *between, second), axis=1)
    captions = ["original", *(f"{100 * share:.0f} %" for share in shares), "original"]
    return labelled_rows(rows, captions=[captions] * len(rows))


def latent_plane(model, x=None, labels=None, *, steps=21, span=None):
    """Draws the plane of a code of two numbers: an image for each place, and where data lies.

    Args:
        model: a `keras_vae.VAE` with two latents.
        x: data whose codes are shown beside it. Defaults to None.
        labels: a class `(n,)` for each of `x`, for its colour. Defaults to None.
        steps: images a side. Defaults to 21.
        span: the plane goes from -span to span on both axes. Defaults to None: the range of the
            codes of x and of what the prior draws, for a standard normal prior at least -3 to 3.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the model has another latent, or its data are not images.
    """
    from matplotlib.figure import Figure

    check_images(model)
    _check_real(model, "A plane")
    latent = model.latent
    if latent.code_spec.shape != (2,):
        raise ValueError(
            f"Only 2 latents make a plane. The model's have shape {latent.code_spec.shape}."
        )
    if x is None and not latent.generates:
        raise ValueError("Without a prior, a plane is drawn about the codes of data: give x.")
    steps, rng = check_whole("steps", steps, 2), np.random.default_rng(0)
    codes = latent.sample_prior(4000, rng) if x is None else model.encode(x)
    low, high = unit_ranges(latent, codes, span)
    across, upwards = np.linspace(low, high, steps, dtype="float32").T
    z = np.stack(np.meshgrid(across, upwards[::-1]), axis=-1).reshape(-1, 2)
    (images,) = to_images(model.likelihood, model.decode(z))
    _, height, width, channels = images.shape
    images = np.clip(images, 0, 1).reshape(steps, steps, height, width, channels)
    canvas = images.transpose(0, 2, 1, 3, 4).reshape(steps * height, steps * width, channels)
    canvas = canvas if channels in (3, 4) else canvas.mean(axis=-1)
    figure = Figure((10 if x is not None else 5, 5), dpi=128, facecolor="white")
    plane, *beside = figure.subplots(1, 1 if x is None else 2, squeeze=False)[0]
    margin = (high - low) / (2 * (steps - 1))  # an image stands about its place
    extent = np.stack([low - margin, high + margin], axis=1).ravel().tolist()
    plane.imshow(canvas, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto")
    if beside:
        classes = np.zeros(len(codes)) if labels is None else np.asarray(labels)
        if classes.shape != (len(codes),):
            raise ValueError(f"labels must have shape ({len(codes)},). Received: {classes.shape}")
        for label in np.unique(classes):
            beside[0].scatter(*codes[classes == label].T, s=2, linewidths=0, label=str(label))
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
    """Draws images above the maps of their codes.

    Integer codes have a colour each. Real ones are shown in grey, a map for each channel.

    Args:
        model: a `keras_vae.VAE` whose codes lie on a line or map, as those of a VQ model do.
        x: images `(n, height, width, channels)`.
        columns: images in a row. Defaults to 8.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if the model's codes do not form a map, or its data are not images.
    """
    check_images(model)
    columns, num_codes = check_whole("columns", columns, 1), model.latent.code_spec.num_codes
    shape = model.latent.code_spec.shape
    if len(shape) not in ((1, 2, 3) if num_codes else (3,)):
        raise ValueError(
            "code_maps needs codes that lie on a map, such as those of a VQ model. This model's "
            f"are {'integers' if num_codes else 'real numbers'} of shape {shape}."
        )
    codes, (x,) = model.encode(x), to_images(model.likelihood, x)
    if len(shape) < 3:  # integers on a line or a map: a single channel
        codes = codes.reshape(len(codes), *(1,) * (2 - len(shape)), *codes.shape[1:], 1)
    if num_codes:
        # One colour for each code, the same at every call; neighbours in number are not alike.
        maps = np.random.RandomState(0).uniform(0.1, 0.95, (num_codes, 3))[codes]
    else:
        low, high = codes.min(axis=(0, 1, 2)), codes.max(axis=(0, 1, 2))
        maps = ((codes - low) / np.where(high > low, high - low, 1))[..., None].repeat(3, axis=-1)
    x = x if x.shape[-1] == 3 else np.repeat(x.mean(axis=-1, keepdims=True), 3, axis=-1)
    height, width = x.shape[1:3]
    down = np.arange(height) * maps.shape[1] // height
    across = np.arange(width) * maps.shape[2] // width
    maps = np.moveaxis(maps[:, down][:, :, across], 3, 0)  # (channels, n, height, width, 3)
    starts = range(0, len(x), columns)
    rows = [part[s : s + columns] for s in starts for part in (x, *maps)]
    names = ["codes"] if len(maps) == 1 else [f"channel {i}" for i in range(len(maps))]
    gaps = [PAIR_GAPS[0], *PAIR_GAPS[1:] * len(maps)]
    return labelled_rows(rows, ["image", *names] * len(starts), gaps * len(starts))


def _check_real(model, what):
    if model.latent.code_spec.num_codes:
        raise ValueError(
            f"{what} needs codes that are real numbers. This model's are integers: keras-vae "
            "explore shows them and lets you exchange them, keras_vae.plots.code_maps draws them."
        )
