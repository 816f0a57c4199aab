"""Charts of what a model does: rates of latents, use of codes, rate against distortion."""

import keras
import numpy as np
from keras import ops

from keras_vae.checks import check_whole
from keras_vae.latents.base import perplexity

_BLUE, _GREY = "#2a6f97", "0.75"


def rate_bars(rates, threshold=0.01):
    """Draws the mean rate of each latent as a bar, the largest first.

    Args:
        rates: nats, `(n, *units)` as `model.latent_rates(x)` returns them, or their means over the
            examples, `(units,)`.
        threshold: nats below which a latent counts as unused, and is grey. Defaults to 0.01.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if `rates` has no axes, is empty or is not finite.
    """
    rates = np.asarray(rates, dtype="float64")
    if not rates.ndim or not rates.size or not np.isfinite(rates).all():
        raise ValueError(
            "rates must be finite numbers of shape (n, *units) or (units,), such as "
            f"model.latent_rates(x). Received shape: {rates.shape}"
        )
    values = rates if rates.ndim == 1 else rates.mean(axis=0).ravel()
    axes = _bars(values, threshold, "latent", "mean rate, nats")
    used = np.sum(values > threshold)
    axes.set_title(f"{used} of {len(values)} latents above {threshold:g} nats", fontsize=9)
    return axes.figure


def layer_bars(rates):
    """Draws the rate of each layer, `(layers,)` in nats, top first; private to this package."""
    axes = _axes("layer, from the top", "mean rate, nats")
    axes.bar(np.arange(1, len(rates) + 1), rates, color=_BLUE, width=0.8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_title(f"{len(rates)} layers, {np.sum(rates):.4g} nats in all", fontsize=9)
    return axes.figure


def use_bars(use):
    """Draws a `keras_vae.latents.Use`, a bar for each unit; private to this package."""
    values = np.ravel(use.values)
    axes = _bars(values, use.threshold, use.unit, use.label)
    figures = [f"{key.replace('_', ' ')} {value:.4g}" for key, value in use.figures.items()]
    used = f"{np.sum(values > use.threshold)} of {len(values)} {use.unit}s in use"
    axes.set_title(f"{used}: {', '.join(figures)}", fontsize=9)
    return axes.figure


def code_usage(codes, num_codes):
    """Draws how often each integer code is used, the most frequent first.

    Args:
        codes: whole numbers below `num_codes` of any shape, as `model.encode(x)` returns them.
        num_codes: size of the codebook.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if `codes` holds anything else.
    """
    if isinstance(codes, keras.layers.Layer):
        raise ValueError("Pass codes: code_usage(model.encode(x), model.latent.num_codes).")
    num_codes = check_whole("num_codes", num_codes, 1)
    codes = np.asarray(codes)
    if not codes.size or codes.dtype.kind not in "iu" or not 0 <= codes.min() <= codes.max():
        raise ValueError("codes must hold whole numbers of at least 0, such as model.encode(x).")
    if codes.max() >= num_codes:
        raise ValueError(f"codes must be below num_codes = {num_codes}. Received: {codes.max()}")
    counts = np.bincount(codes.ravel(), minlength=num_codes)
    axes = _bars(counts / codes.size, 0, "code", "share of all codes")
    axes.axhline(1 / num_codes, color="0.3", linewidth=0.8, linestyle="--")
    axes.annotate("uniform", (num_codes, 1 / num_codes), ha="right", va="bottom", fontsize=7)
    spread = float(ops.convert_to_numpy(perplexity(counts)))
    axes.set_title(
        f"{np.sum(counts > 0)} of {num_codes} codes in use, perplexity {spread:.0f}", fontsize=9
    )
    return axes.figure


def rate_distortion(curves):
    """Draws distortion against rate, a line for each series, such as a model at several betas.

    Args:
        curves: `{label: points}`, each a list of `(rate, distortion)` in nats per example, or of
            `(rate, distortion, text)`, a text to stand beside the point.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if there is nothing to draw.
    """
    if not any(len(points) for points in curves.values()):
        raise ValueError("curves must hold at least one point, (rate, distortion).")
    axes = _axes("rate, nats per example", "distortion, nats per example")
    for label, points in curves.items():
        points = sorted(points, key=lambda point: point[0])
        rate, distortion = [p[0] for p in points], [p[1] for p in points]
        axes.plot(rate, distortion, "o-", markersize=4, linewidth=1.2, label=label)
        for point in points:
            if len(point) > 2:
                at = {"xytext": (5, 4), "textcoords": "offset points", "fontsize": 7}
                axes.annotate(point[2], point[:2], **at)
    axes.legend(fontsize=7, frameon=False)
    return axes.figure


def _bars(values, threshold, unit, label):
    """Axes with a bar for each value, the largest first, grey where it is not above a threshold."""
    order = np.argsort(-values, kind="stable")
    places, values, used = np.arange(len(values)), values[order], values[order] > threshold
    axes = _axes(f"{unit}, by rank", label)
    if len(values) <= 64:
        axes.bar(places, values, color=np.where(used, _BLUE, _GREY), width=0.8)
        axes.set_xticks(places, order, fontsize=6, rotation=90)
        axes.set_xlabel(unit, fontsize=8)
    else:  # an area is drawn sooner than a thousand bars
        for color, part in ((_BLUE, used), (_GREY, ~used)):
            axes.fill_between(places[part], values[part], step="mid", color=color, linewidth=0)
    return axes


def _axes(x, y):
    from matplotlib.figure import Figure

    figure = Figure((6, 3.2), dpi=128, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.tick_params(labelsize=7)
    return axes
