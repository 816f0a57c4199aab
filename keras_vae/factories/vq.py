"""vq_vae: convolutions and a map of codes."""

import inspect

from keras_vae import likelihoods, networks
from keras_vae.backends import quick_initializers
from keras_vae.checks import check_flag, check_name, check_seed, check_sizes, check_whole
from keras_vae.factories.conv import check_convolutions, check_patches, check_shape
from keras_vae.factories.origin import list_arguments, record
from keras_vae.latents import VectorQuantizer
from keras_vae.likelihoods import Gaussian
from keras_vae.model import VAE

# What `vq_vae` passes on to its quantizer, except `code_dim`, which the networks take too.
_OF_QUANTIZER = ("num_codes", "commitment", "codebook_update", "decay", "revive_below", "prior")


@quick_initializers()
def vq_vae(
    input_shape,
    num_codes=512,
    code_dim=64,
    filters=(32, 64),
    *,
    blocks=2,
    kernel_size=4,
    last_conv=True,
    activation="relu",
    norm=None,
    attention=False,
    linear=False,
    commitment=0.25,
    codebook_update="ema",
    decay=0.99,
    revive_below=0.02,
    prior=None,
    quantizer=None,
    likelihood=None,
    seed=None,
    name="vq_vae",
    **settings,
) -> VAE:
    """A VQ-VAE (van den Oord et al. 2017, arXiv 1711.00937) for signals, images and volumes.

    Args:
        input_shape: as in `conv_vae`; sizes may be None, as in `(None, None, channels)`, for data
            of any size that the strides divide.
        num_codes: size of the codebook. Defaults to 512.
        code_dim: width of a code. Defaults to 64.
        filters: widths of the encoder's convolutions, each of stride 2: two make a 7 x 7 map of
            codes of a 28 x 28 image. The decoder mirrors them. Defaults to `(32, 64)`.
        blocks: residual blocks in the encoder and in the decoder. Defaults to 2.
        kernel_size: of the strided convolutions, along each axis, at least 2. Defaults to 4.
        last_conv: whether a convolution at full size computes the decoder's outputs. Defaults to
            True. With False the last transposed convolution does, as in the paper: the one at full
            size takes much of the time of a step.
        activation: name of a Keras activation, or None. Defaults to `"relu"`.
        norm: as in `conv_vae`. Defaults to None, no normalisation.
        attention: as in `conv_vae`. Defaults to False.
        linear: whether a linear map of patches stands beside the encoder, and one beside the
            decoder. They are zero, and not trained: `keras_vae.training.fit_linear`, called before
            training, makes them the principal components of patches, and their k-means the
            codebook. The strides must divide the sizes, and the likelihood must define `begin_at`.
            Defaults to False.
        commitment: weight of the commitment term. Defaults to 0.25.
        codebook_update: `"ema"`, `"gradient"` or `"fixed"`. Defaults to `"ema"`.
        decay: decay of the codebook's moving averages. Defaults to 0.99.
        revive_below: codes used less than this fraction of the uniform share are revived.
            Defaults to 0.02.
        prior: over the codes: `"transformer"`, a dict of such a name and arguments, or a
            `keras_vae.priors.CodeTransformer`. Defaults to None, the uniform prior: such a model
            does not generate.
        quantizer: any latent of `keras_vae.latents` that turns `(n, *positions, code_dim)` into
            codes. Defaults to None, a `VectorQuantizer` of the arguments above, of which only
            `code_dim` may be given with a quantizer, if it has no `code_dim` of its own.
        likelihood: as in `mlp_vae`. Defaults to None, `Gaussian(scale=0.1)`.
        seed: seed of training's random numbers, below 2^31. Defaults to None, a new one.
        name: name of the model: letters, digits, - and _.
        **settings: of the objective: `beta`, `num_samples`, `free_bits`, `capacity`,
            `importance_weighted` or `objective`, as `VAE` takes them.

    Returns:
        A built `keras_vae.VAE`.

    Raises:
        ValueError: if an argument is out of its range.
    """
    arguments, seed = list_arguments(locals()), check_seed(seed)
    input_shape = check_shape(input_shape, (2, 3, 4), any_size=True)
    if quantizer is not None and linear:
        raise ValueError(
            "linear=True is for the VectorQuantizer that the arguments make. "
            f"Received: quantizer={quantizer!r}"
        )
    if quantizer is not None:
        given = inspect.signature(vq_vae).parameters
        changed = [name for name in _OF_QUANTIZER if arguments[name] != given[name].default]
        if changed:
            raise ValueError(
                "Give a quantizer or its arguments, not both. Received quantizer and "
                f"{', '.join(changed)}."
            )
    else:
        quantizer = VectorQuantizer(
            num_codes,
            code_dim,
            commitment=commitment,
            codebook_update=codebook_update,
            decay=decay,
            revive_below=revive_below,
            prior=prior,
            seed=seed,
        )
    width = check_whole("code_dim", getattr(quantizer, "code_dim", code_dim), 1)
    if code_dim not in (width, inspect.signature(vq_vae).parameters["code_dim"].default):
        raise ValueError(f"The quantizer has code_dim={width}. Received code_dim={code_dim}")
    likelihood = Gaussian(scale=0.1) if likelihood is None else likelihoods.get(likelihood)
    net = check_convolutions(blocks, kernel_size, activation, norm, attention)
    net["filters"] = check_sizes("filters", filters)
    net["linear"] = check_flag("linear", linear)
    if linear:
        check_patches(input_shape, net["filters"])
    output_shape = likelihood.output_shape(input_shape)
    model = VAE(
        networks.code_encoder(input_shape, width, **net),
        networks.code_decoder(
            output_shape,
            width,
            input_shape[-1],
            last_conv=check_flag("last_conv", last_conv),
            **net,
        ),
        quantizer,
        likelihood=likelihood,
        seed=seed,
        name=check_name(name),
        **settings,
    )
    return record(model, "vq_vae", arguments)
