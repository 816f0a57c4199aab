"""Begins training where a linear model ends: at the principal components of the data.

Under a Gaussian likelihood the best linear VAE is known: probabilistic PCA (Tipping & Bishop 1999;
Lucas et al. 2019, arXiv 1911.02469). With few images, networks do not find it in training.
"""

import math

import numpy as np

from keras_vae import likelihoods
from keras_vae.data.sources import Source, sample

_BATCH = 1000
_ENOUGH = 10_000  # images to find components in
_FEW = 2000  # images or values: the components are computed exactly
_PASSES = 2  # power iterations; more change the last components only
_MORE = 32  # components beyond those that are kept, for the accuracy of these


def fit_linear(model, x, x_validation):
    """Makes the linear maps of a `conv_vae(linear=True)` those of probabilistic PCA.

    A learned scale is set to what the validation images need.

    Args:
        model: the model; its networks have not been trained yet.
        x: training images `(n, *data_shape)`, with their variants; the first 10,000 are used, those
            of a `keras_vae.data.Source` are drawn from all of it.
        x_validation: validation images; of a source 2,000 are used.

    Raises:
        ValueError: if the model has no linear maps, or its decoder does not return the mean.
    """
    x, x_validation = sample(x, _ENOUGH), measured(x_validation)
    if not has_linear(model) or model.likelihood.mean_activation != "linear":
        raise ValueError(
            "fit_linear takes a conv_vae with linear=True and a likelihood whose mean is the "
            f'decoder\'s output, such as "learned_gaussian". Received: {model!r}'
        )
    latents, values = model.encoder.get_layer("linear").units, math.prod(model.data_shape)
    center, axes, variances, total = principal_components(
        model.likelihood.read, x[:_ENOUGH], latents
    )
    learned = isinstance(model.likelihood, likelihoods.LearnedGaussian)
    if learned:
        # Of a new image the components leave more than of the images that they were fitted to.
        residual = np.mean(_residual(model.likelihood.read(x_validation), center, axes) ** 2)
        used = np.sum(variances > 1e-9 * total)
        noise = max(residual * values, total - variances.sum()) / max(1, values - used)
        noise = max(noise, 1e-6)
        model.likelihood.tenth_of_log_var.assign(math.log(noise) / 10)
    else:
        noise = math.exp(float(model.likelihood.log_var))
    # Latents beyond the components of few images have none.
    more = ((0, 0), (0, latents - axes.shape[1]))
    axes, variances = np.pad(axes, more), np.pad(variances, more[1])
    # Tipping & Bishop, eq. 7, 6 and 8, for M = diag(variances).
    variances = np.maximum(variances, noise)  # a component below the noise is not used
    scales = np.sqrt(variances - noise)
    encode = axes * (scales / variances)
    model.encoder.get_layer("linear").set_weights([encode, -center @ encode])
    model.decoder.get_layer("linear").set_weights([(axes * scales).T, center])
    log_var = model.encoder.get_layer("log_var")
    log_var.bias.assign(np.log(noise / variances))


def has_linear(model):
    """Whether a model has the linear maps that `fit_linear` fits."""
    return bool(model.made_by) and bool(model.made_by["arguments"].get("linear"))


def measured(x_validation):
    """Returns the validation images that are measured at once: of a source, 2,000."""
    return sample(x_validation, _FEW) if isinstance(x_validation, Source) else x_validation


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
    center, axes, *_ = principal_components(read, sample(x, _ENOUGH), count, passes=4)
    return psnr(_residual(read(x_validation), center, axes)), count


def psnr(residual):
    """-10 log10 of the mean square, in dB."""
    error = float(np.mean(np.square(residual, dtype="float64")))
    return -10 * math.log10(error) if error else math.inf


def principal_components(read, x, count, passes=_PASSES):
    """Finds the principal components of data, in batches.

    Of up to 2,000 images or values exactly, else by power iteration (Halko, Martinsson & Tropp
    2011, arXiv 0909.4061, algorithm 4.4).

    Args:
        read: reads a batch of `x` as float32 values.
        x: data `(n, *shape)`.
        count: number of components.
        passes: power iterations.

    Returns:
        The mean `(values,)`, the components as columns `(values, count)` (fewer if there are fewer
        images or values), the variance along each, and that of the data in all.
    """
    parts = range(0, len(x), _BATCH)

    def batches():
        return (read(x[i : i + _BATCH]).reshape(len(x[i : i + _BATCH]), -1) for i in parts)

    center = sum(batch.sum(0, dtype="float64") for batch in batches()) / len(x)
    center = center.astype("float32")
    total = sum(float(np.sum(np.square(b - center), dtype="float64")) for b in batches()) / len(x)
    if len(x) <= min(_FEW, len(center)):
        centred = np.concatenate(list(batches())) - center
        codes, variances = _eigen(centred.astype("float64") @ centred.T / len(x), count)
        # Where there are no more components, the variance is 0, and so is the axis.
        scales = np.sqrt(len(x) * np.where(variances > 1e-12 * total, variances, np.inf))
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
    turn, variances = _eigen(inner / len(x), count)
    return center, axes @ turn.astype("float32"), variances, total


def _eigen(matrix, count):
    """The eigenvectors of the largest eigenvalues of a symmetric matrix, and these."""
    values, vectors = np.linalg.eigh(matrix)
    order = np.argsort(-values)[:count]
    return vectors[:, order], np.maximum(values[order], 0)


def _residual(x, center, axes):
    x = x.reshape(len(x), -1) - center
    return x - (x @ axes) @ axes.T
