"""Begins training where a linear model ends: at the principal components of the data.

Under a Gaussian likelihood the best linear VAE is known: probabilistic PCA (Tipping & Bishop 1999;
Lucas et al. 2019, arXiv 1911.02469). With few images, networks do not find it in training.
"""

import math
from functools import partial

import numpy as np

from keras_vae.checks import check_data
from keras_vae.data.sources import Source, sample, sample_positions
from keras_vae.training.components import (
    BATCH,
    ENOUGH,
    MOST_VECTORS,
    k_means,
    nearest,
    principal_components,
    residual,
)

_FEW = 2000  # images of a source that are measured at once
_LEAST_NOISE = 1e-6  # variance
_FEWEST = 100  # images that patches are drawn from, or codes made of
_MOST_NUMBERS = 100_000_000  # in the codes that a prior is fitted to


def fit_linear(model, x, x_validation):
    """Begins a model with `linear=True` at the principal components of the data.

    The linear maps of a `conv_vae` become those of probabilistic PCA; for latents on a map the
    components are those of patches, whose mean is the same at every place. Those of a `vq_vae` are
    the components of patches, and its codebook their k-means. A learned scale is set to what the
    validation images need.

    Args:
        model: the model; its networks have not been trained yet.
        x: training images `(n, *data_shape)`, with their variants. Components are found in the
            first 10,000, of a `keras_vae.data.Source` in 10,000 of all; k-means of 50,000 patches.
        x_validation: validation images; of a source 2,000 are used.

    Raises:
        ValueError: if the model has no linear maps, its likelihood does not define `begin_at`, or
            the images are not data of the model.
    """
    if not has_linear(model):
        raise ValueError(
            "fit_linear takes a model that a factory made with linear=True, and whose other "
            f"arguments are plain data. Received: {model!r}"
        )
    if not model.likelihood.linear_start:
        raise ValueError(
            'fit_linear takes a likelihood that defines begin_at, such as "learned_gaussian". '
            f"Received: {type(model.likelihood).__name__}"
        )
    images = {"x": sample(x, ENOUGH), "x_validation": measured(x_validation)}
    for name in images:
        images[name] = check_data(images[name], model.data_shape, model.likelihood, name)
        model.code_spec(images[name].shape[1:])  # refuses sizes that the strides do not divide
    begin = _begin_codes if model.latent.code_spec.num_codes else _begin_gaussian
    begin(model, *images.values())


def _begin_gaussian(model, x, x_validation):
    likelihood, encoder = model.likelihood, model.encoder.get_layer("linear")
    read, latents, channels = likelihood.read, encoder.bias.shape[0], model.data_shape[-1]
    on_map = hasattr(encoder, "kernel_size")
    if on_map:
        read = partial(_patches, read, encoder.kernel_size)
    found = principal_components(read, x, latents, channels=channels if on_map else None)
    center, axes, variances, total = found
    values = len(center)
    # Of a new image the components leave more than of the images that they were fitted to.
    covariance = _covariance(lambda x: residual(read(x), center, axes), x_validation, channels)
    used = np.sum(variances > 1e-9 * total)
    noise = max(np.trace(covariance) / channels * values, total - variances.sum())
    noise = max(noise / max(1, values - used), _LEAST_NOISE)
    left = noise * max(values - used, 0) / values
    covariance *= left * channels / max(np.trace(covariance), 1e-30)
    # Codes are drawn: along each component their error has the variance of the noise, too.
    errors = axes * np.sqrt(np.minimum(variances, noise))
    errors = errors.reshape(-1, channels, axes.shape[1])
    covariance += np.einsum("pci,pdi->cd", errors, errors) * channels / values
    noise = _begin_outputs(model, covariance)
    # Latents beyond the components of few images have none.
    axes, variances = _padded(axes, variances, latents)
    # Tipping & Bishop, eq. 7, 6 and 8, for M = diag(variances).
    variances = np.maximum(variances, noise)  # a component below the noise is not used
    scales = np.sqrt(variances - noise)
    encode = axes * (scales / variances)
    bias = -center @ encode
    _set_maps(model, encode, bias, axes * scales, center)
    log_var = model.encoder.get_layer("log_var")
    log_var.bias.assign(np.log(noise / variances))
    prior = model.latent.prior
    if prior.rank:
        size = math.prod(prior.latent_shape)
        chosen = sample_positions(len(x), max(_FEWEST, _MOST_NUMBERS // size))
        codes = (read(x[chosen[i : i + BATCH]]) for i in range(0, len(chosen), BATCH))
        codes = [part.reshape(-1, values) @ encode + bias for part in codes]
        codes = np.concatenate(codes).reshape(-1, size)
        _fit_prior(prior, codes, np.resize(noise / variances, codes.shape[1]))


def _begin_codes(model, x, x_validation):
    encoder, channels = model.encoder.get_layer("linear"), model.data_shape[-1]
    read, width = partial(_patches, model.likelihood.read, encoder.kernel_size), encoder.filters
    center, axes, variances, _ = principal_components(read, x, width, channels=channels)
    axes, variances = _padded(axes, variances, width)
    # Distances of codes are those of the patches; their variance is 1 on average.
    scale = 1 / math.sqrt(max(np.mean(variances), _LEAST_NOISE))
    _set_maps(model, scale * axes, -scale * center @ axes, axes / scale, center)
    of_network = model.encoder.get_layer("codes")
    of_network.set_weights([np.zeros(weight.shape) for weight in of_network.weights])

    def patches(images):
        return read(images).reshape(-1, len(center)) - center

    images = max(_FEWEST, math.ceil(MOST_VECTORS / len(patches(x[:1]))))
    vectors = scale * patches(x[sample_positions(len(x), images)]) @ axes
    means = k_means(vectors, model.latent.num_codes, np.random.default_rng(0))
    model.latent.codebook.assign(means)

    def left(images):
        values = patches(images)
        return values - means[nearest(scale * values @ axes, means)] @ axes.T / scale

    _begin_outputs(model, _covariance(left, x_validation, channels))


def _set_maps(model, encode, bias, decode, center):
    """Sets the linear maps: those from data `(values, latents)` and, transposed, to it."""
    encoder, decoder = (net.get_layer("linear") for net in (model.encoder, model.decoder))
    if hasattr(encoder, "kernel_size"):
        center = center[: model.data_shape[-1]]
    else:
        decode = decode.T
    encoder.set_weights([encode.reshape(encoder.kernel.shape), bias])
    decoder.set_weights([decode.reshape(decoder.kernel.shape), center])


def _begin_outputs(model, covariance):
    """Sets what the outputs are made of the data; returns the variance of the noise."""
    channels = len(covariance)
    matrix, offsets, noise = model.likelihood.begin_at(covariance + _LEAST_NOISE * np.eye(channels))
    if matrix.shape[1] != channels:
        outputs = model.decoder.get_layer("outputs")
        outputs.set_weights([matrix.reshape(outputs.kernel.shape), offsets])
    return noise


def _padded(axes, variances, count):
    """Components and their variances, with zeros where there are fewer than `count`."""
    more = ((0, 0), (0, count - axes.shape[1]))
    return np.pad(axes, more), np.pad(variances, more[1])


def _covariance(left, x, channels):
    """The covariance of the channels in what a function leaves of images."""
    total, count = 0.0, 0
    for i in range(0, len(x), BATCH):
        errors = left(x[i : i + BATCH]).reshape(-1, channels)
        total, count = total + (errors.T @ errors).astype("float64"), count + len(errors)
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


def _patches(read, size, x):
    """The patches of images, `(n * places, *size, channels)`, which `size` divides them into."""
    x = read(x)
    split, axes = [len(x)], range(1, len(size) + 1)
    for axis in axes:
        split += [x.shape[axis] // size[axis - 1], size[axis - 1]]
    places, inside = ([2 * axis - 1 + part for axis in axes] for part in (0, 1))
    x = x.reshape(*split, x.shape[-1]).transpose(0, *places, *inside, -1)
    return x.reshape(-1, *size, x.shape[-1])
