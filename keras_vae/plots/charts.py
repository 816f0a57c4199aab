"""Charts of what a model does: rates of latents, use of codes, rate against distortion."""

import numpy as np

from keras_vae.checks import check_whole

_BLUE, _GREY = "#2a6f97", "0.75"


def rate_bars(rates, threshold=0.01):
    """Draws the mean KL divergence of each latent from N(0, 1) as a bar, the largest first.

    Args:
        rates: nats, `(n, latent_dim)` as `model.latent_rates(x)` returns them, or their means over
            the examples, `(latent_dim,)`.
        threshold: nats below which a latent counts as unused, and is grey. Defaults to 0.01.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if `rates` has another number of axes, or is not finite.
    """
    rates = np.asarray(rates, dtype="float64")
    if rates.ndim == 2 and rates.size:
        rates = rates.mean(axis=0)
    if rates.ndim != 1 or not rates.size or not np.isfinite(rates).all():
        raise ValueError(
            "rates must be finite numbers of shape (n, latent_dim) or (latent_dim,). "
            f"Received shape: {rates.shape}"
        )
    order = np.argsort(-rates, kind="stable")
    used = rates > threshold
    axes = _axes("latent", "KL(q(z|x) || N(0, 1)), nats")
    colors = [_BLUE if used[unit] else _GREY for unit in order]
    axes.bar(np.arange(len(rates)), rates[order], color=colors, width=0.8)
    if len(rates) <= 64:
        axes.set_xticks(np.arange(len(rates)), order, fontsize=6, rotation=90)
    axes.set_title(f"{used.sum()} of {len(rates)} latents above {threshold:g} nats", fontsize=9)
    return axes.figure


def code_usage(codes, num_codes):
    """Draws how often each code of a VQ model is used, the most frequent first.

    Args:
        codes: whole numbers below `num_codes` of any shape, as `model.encode(x)` returns them.
        num_codes: size of the codebook.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if `codes` holds anything else.
    """
    num_codes = check_whole("num_codes", num_codes, 1)
    codes = np.asarray(codes)
    if not codes.size or codes.dtype.kind not in "iu" or not 0 <= codes.min() <= codes.max():
        raise ValueError("codes must hold whole numbers of at least 0, such as model.encode(x).")
    if codes.max() >= num_codes:
        raise ValueError(f"codes must be below num_codes = {num_codes}. Received: {codes.max()}")
    share = np.sort(np.bincount(codes.ravel(), minlength=num_codes) / codes.size)[::-1]
    used = share[share > 0]
    perplexity = np.exp(-np.sum(used * np.log(used)))
    axes = _axes("code, by use", "share of all codes")
    axes.fill_between(np.arange(num_codes), share, step="mid", color=_BLUE, linewidth=0)
    axes.axhline(1 / num_codes, color="0.3", linewidth=0.8, linestyle="--")
    axes.annotate("uniform", (num_codes, 1 / num_codes), ha="right", va="bottom", fontsize=7)
    axes.set_title(
        f"{len(used)} of {num_codes} codes in use, perplexity {perplexity:.0f}", fontsize=9
    )
    return axes.figure


def rate_distortion(curves):
    """Draws distortion against rate, a line for each series: beta's choice, or models side by side.

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


def _axes(x, y):
    from matplotlib.figure import Figure

    figure = Figure((6, 3.2), dpi=128, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.tick_params(labelsize=7)
    return axes
