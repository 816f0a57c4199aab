"""Principal components and k-means of data that is read in batches."""

import math

import numpy as np

from keras_vae.data.sources import sample

BATCH = 1000
ENOUGH = 10_000  # images to find components in
_FEW = 2000  # images or values: the components are computed exactly
_PASSES = 2  # power iterations; more change the last components only
_MORE = 32  # components beyond those that are kept, for the accuracy of these
_PASSES_OF_MEANS = 10
MOST_VECTORS = 50_000  # that k-means are found in


def psnr_of_components(x, x_validation, read, count):
    """Measures what PCA of the training images leaves of the validation images.

    Args:
        x: training images `(n, *data_shape)`, of which the first 10,000 are used; those of a source
            are drawn from all of it.
        x_validation: validation images.
        read: reads images as values in [0, 1].
        count: number of components.

    Returns:
        The PSNR in dB, and the number of components: fewer than `count` if there are no more.
    """
    count = min(count, len(x) - 1, math.prod(x.shape[1:]))
    center, axes, *_ = principal_components(read, sample(x, ENOUGH), count, passes=4)
    return psnr(residual(read(x_validation), center, axes)), count


def psnr(errors):
    """-10 log10 of the mean square, in dB."""
    error = float(np.mean(np.square(errors, dtype="float64")))
    return -10 * math.log10(error) if error else math.inf


def principal_components(read, x, count, passes=_PASSES, channels=None):
    """Finds the principal components of data, in batches.

    Of up to 2,000 images or values exactly, else by power iteration (Halko, Martinsson & Tropp
    2011, arXiv 0909.4061, algorithm 4.4).

    Args:
        read: reads a batch of `x` as float32 values `(m, *shape)`: one example each, or several.
        x: data `(n, *data_shape)`.
        count: number of components.
        passes: power iterations.
        channels: on the last axis, if all other places have the same mean. Defaults to None.

    Returns:
        The mean `(values,)`, the components as columns `(values, count)` (fewer if there are fewer
        images or values), the variance along each, and that of the data in all.
    """
    parts = range(0, len(x), BATCH)

    def batches():
        read_parts = (read(x[i : i + BATCH]) for i in parts)
        return (values.reshape(len(values), -1) for values in read_parts)

    n = sum(map(len, batches()))
    center = sum(batch.sum(0, dtype="float64") for batch in batches()) / n
    if channels:
        center = np.tile(center.reshape(-1, channels).mean(0), len(center) // channels)
    center = center.astype("float32")
    total = sum(float(np.sum(np.square(b - center), dtype="float64")) for b in batches()) / n
    if n <= min(_FEW, len(center)):
        centred = np.concatenate(list(batches())) - center
        codes, variances = _eigen(centred.astype("float64") @ centred.T / n, count)
        # Where there are no more components, the variance is 0, and so is the axis.
        scales = np.sqrt(n * np.where(variances > 1e-12 * total, variances, np.inf))
        return center, (centred.T @ (codes / scales)).astype("float32"), variances, total
    if len(center) <= _FEW:
        axes = np.eye(len(center), dtype="float32")
    else:
        axes = np.random.default_rng(0).normal(size=(len(center), count + _MORE)).astype("float32")
        for _ in range(passes):
            axes = np.linalg.qr(axes)[0]
            axes = sum((b - center).T @ ((b - center) @ axes) for b in batches())
        axes = np.linalg.qr(axes)[0]
    inner = 0.0
    for batch in batches():
        codes = (batch - center) @ axes
        inner += (codes.T @ codes).astype("float64")
    turn, variances = _eigen(inner / n, count)
    return center, axes @ turn.astype("float32"), variances, total


def k_means(vectors, count, rng, passes=_PASSES_OF_MEANS):
    """Finds means of vectors `(n, d)` by Lloyd's algorithm (1982), from vectors drawn at random.

    Args:
        vectors: what to find means of; more than 50,000 of them are not used.
        count: number of means.
        rng: a NumPy generator.
        passes: how often the means move. Defaults to 10.

    Returns:
        The means, float32 `(count, d)`. A mean without vectors is redrawn. If there are fewer
        vectors than means, some are used twice.
    """
    vectors = vectors[rng.permutation(len(vectors))[:MOST_VECTORS]].astype("float32")
    means = vectors[rng.permutation(np.arange(max(count, len(vectors))) % len(vectors))[:count]]
    for _ in range(passes):
        sums, counts = np.zeros(means.shape), np.zeros(count)
        for i in range(0, len(vectors), BATCH):
            some = vectors[i : i + BATCH]
            codes = nearest(some, means)
            np.add.at(sums, codes, some)
            counts += np.bincount(codes, minlength=count)
        drawn = vectors[rng.integers(len(vectors), size=count)]
        means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], drawn)
        means = means.astype("float32")
    return means


def nearest(vectors, means):
    """The positions of the nearest means, `(n,)`, of vectors `(n, d)`."""
    return np.argmin(np.square(means).sum(1) - 2 * vectors @ means.T, axis=1)


def residual(x, center, axes):
    """What components leave of examples: `(n, ...)` to `(n, values)`."""
    x = x.reshape(len(x), -1) - center
    return x - (x @ axes) @ axes.T


def _eigen(matrix, count):
    """The eigenvectors of the largest eigenvalues of a symmetric matrix, and these."""
    values, vectors = np.linalg.eigh(matrix)
    order = np.argsort(-values)[:count]
    return vectors[:, order], np.maximum(values[order], 0)
