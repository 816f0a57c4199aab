"""Begins training where a linear model ends: at the principal components of the data.

Under a Gaussian likelihood the best linear VAE is known: probabilistic PCA (Tipping & Bishop 1999;
Lucas et al. 2019, arXiv 1911.02469). With few images, networks do not find it in training.
"""

import math
from functools import partial

import numpy as np

from keras_vae.data.sources import Source, sample

_BATCH = 1000
_ENOUGH = 10_000  # images to find components in
_FEW = 2000  # images or values: the components are computed exactly
_LEAST_NOISE = 1e-6  # variance
_PASSES = 2  # power iterations; more change the last components only
_MORE = 32  # components beyond those that are kept, for the accuracy of these


def fit_linear(model, x, x_validation):
    """Makes the linear maps of a `conv_vae(linear=True)` those of probabilistic PCA.

    A learned scale is set to what the validation images need. For latents on a map the components
    are those of patches, whose mean is the same at every place.

    Args:
        model: the model; its networks have not been trained yet.
        x: training images `(n, *data_shape)`, with their variants; the first 10,000 are used, those
            of a `keras_vae.data.Source` are drawn from all of it.
        x_validation: validation images; of a source 2,000 are used.

    Raises:
        ValueError: if the model has no linear maps, or its likelihood does not define `begin_at`.
    """
    likelihood = model.likelihood
    if not (has_linear(model) and likelihood.linear_start):
        raise ValueError(
            "fit_linear takes a conv_vae with linear=True, made of named parts, and a likelihood "
            f'that defines begin_at, such as "learned_gaussian". Received: {model!r}'
        )
    x, x_validation = sample(x, _ENOUGH), measured(x_validation)
    encoder, decoder = (net.get_layer("linear") for net in (model.encoder, model.decoder))
    read, latents, channels = likelihood.read, encoder.bias.shape[0], model.data_shape[-1]
    on_map = hasattr(encoder, "kernel_size")
    if on_map:
        read = partial(_patches, read, encoder.kernel_size)
    found = principal_components(read, x, latents, channels=channels if on_map else None)
    center, axes, variances, total = found
    values = len(center)
    # Of a new image the components leave more than of the images that they were fitted to.
    covariance = _covariance_left(read, x_validation, center, axes, channels)
    used = np.sum(variances > 1e-9 * total)
    noise = max(np.trace(covariance) / channels * values, total - variances.sum())
    noise = max(noise / max(1, values - used), _LEAST_NOISE)
    left = noise * max(values - used, 0) / values
    covariance *= left * channels / max(np.trace(covariance), 1e-30)
    # A code is drawn: along each component it errs by the noise, as in what is left.
    errors = axes * np.sqrt(np.minimum(variances, noise))
    errors = errors.reshape(-1, channels, axes.shape[1])
    covariance += np.einsum("pci,pdi->cd", errors, errors) * channels / values
    matrix, offsets, noise = likelihood.begin_at(covariance)
    # Latents beyond the components of few images have none.
    more = ((0, 0), (0, latents - axes.shape[1]))
    axes, variances = np.pad(axes, more), np.pad(variances, more[1])
    # Tipping & Bishop, eq. 7, 6 and 8, for M = diag(variances).
    variances = np.maximum(variances, noise)  # a component below the noise is not used
    scales = np.sqrt(variances - noise)
    encode = axes * (scales / variances)
    decode, bias = axes * scales, -center @ encode
    center = center[:channels] if on_map else center
    decode = decode if on_map else decode.T
    encoder.set_weights([encode.reshape(encoder.kernel.shape), bias])
    decoder.set_weights([decode.reshape(decoder.kernel.shape), center])
    if matrix.shape[1] != channels:
        outputs = model.decoder.get_layer("outputs")
        outputs.set_weights([matrix.reshape(outputs.kernel.shape), offsets])
    log_var = model.encoder.get_layer("log_var")
    log_var.bias.assign(np.log(noise / variances))
    prior = model.latent.prior
    if prior.rank:
        codes = (read(x[i : i + _BATCH]) for i in range(0, len(x), _BATCH))
        codes = [part.reshape(-1, values) @ encode + bias for part in codes]
        codes = np.concatenate(codes).reshape(-1, math.prod(prior.latent_shape))
        _fit_prior(prior, codes, np.resize(noise / variances, codes.shape[1]))


def _covariance_left(read, x, center, axes, channels):
    """The covariance of the channels in what the components leave of images."""
    total, count = 0.0, 0
    for i in range(0, len(x), _BATCH):
        left = _residual(read(x[i : i + _BATCH]), center, axes).reshape(-1, channels)
        total, count = total + (left.T @ left).astype("float64"), count + len(left)
    return total / count


def _fit_prior(prior, codes, var):
    """Factors are the principal components of the codes; the rest, and `var`, is independent."""
    center, axes, variances, _ = principal_components(np.asarray, codes, prior.rank)
    factors = axes * np.sqrt(variances)
    rest = np.mean(np.square(codes - center), axis=0) - np.sum(np.square(factors), axis=1)
    factors = np.pad(factors, ((0, 0), (0, prior.rank - factors.shape[1])))
    prior.begin_at(center, factors, np.maximum(rest, 0) + var)


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
    parts = range(0, len(x), _BATCH)

    def batches():
        read_parts = (read(x[i : i + _BATCH]) for i in parts)
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


def _patches(read, size, x):
    """The patches of images, `(n * places, *size, channels)`, which `size` divides them into."""
    x = read(x)
    split, axes = [len(x)], range(1, len(size) + 1)
    for axis in axes:
        split += [x.shape[axis] // size[axis - 1], size[axis - 1]]
    places, inside = ([2 * axis - 1 + part for axis in axes] for part in (0, 1))
    x = x.reshape(*split, x.shape[-1]).transpose(0, *places, *inside, -1)
    return x.reshape(-1, *size, x.shape[-1])


def _eigen(matrix, count):
    """The eigenvectors of the largest eigenvalues of a symmetric matrix, and these."""
    values, vectors = np.linalg.eigh(matrix)
    order = np.argsort(-values)[:count]
    return vectors[:, order], np.maximum(values[order], 0)


def _residual(x, center, axes):
    x = x.reshape(len(x), -1) - center
    return x - (x @ axes) @ axes.T
