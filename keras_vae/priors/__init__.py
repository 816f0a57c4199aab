"""Priors p(z) over latents and codes: densities in nats per example, and draws."""

from keras_vae.priors.base import Prior as Prior
from keras_vae.priors.base import StandardNormal as StandardNormal
from keras_vae.priors.codes import CodeTransformer as CodeTransformer
from keras_vae.priors.flow import RealNVP as RealNVP
from keras_vae.priors.mixture import MixtureOfGaussians as MixtureOfGaussians
from keras_vae.priors.mixture import VampPrior as VampPrior

PRIORS = {
    "normal": StandardNormal,
    "mixture": MixtureOfGaussians,
    "vamp": VampPrior,
    "realnvp": RealNVP,
}
CODE_PRIORS = {"transformer": CodeTransformer}


def get(identifier) -> Prior:
    """Returns a prior over continuous latents from its name, a plain description or itself.

    Args:
        identifier: `"normal"`, `"mixture"`, `"vamp"`, `"realnvp"`, a dict of the name and arguments
            such as `{"name": "realnvp", "couplings": 8}`, a `Prior`, or None, the standard normal.

    Raises:
        ValueError: if it is none of these.
    """
    return _get("normal" if identifier is None else identifier, PRIORS, "RealNVP()")


def get_code_prior(identifier):
    """Returns a prior over codes from its name, a plain description or itself.

    Args:
        identifier: `"transformer"`, a dict of the name and arguments such as
            `{"name": "transformer", "width": 64}`, a `CodeTransformer`, or None, which stands for
            the uniform prior.

    Raises:
        ValueError: if it is none of these.
    """
    return None if identifier is None else _get(identifier, CODE_PRIORS, "CodeTransformer()")


def _get(identifier, kinds, example):
    if isinstance(identifier, (Prior, CodeTransformer)):
        if isinstance(identifier, CodeTransformer) == (kinds is CODE_PRIORS):
            return identifier
    else:
        arguments = dict(identifier) if isinstance(identifier, dict) else {"name": identifier}
        name = arguments.pop("name", None)
        if isinstance(name, str) and name in kinds:
            try:
                return kinds[name](**arguments)
            except TypeError as error:
                raise ValueError(f"Prior {name!r} does not take {arguments}: {error}") from error
    raise ValueError(
        f"prior must be an object of keras_vae.priors, such as {example}, one of {sorted(kinds)} "
        f"or a dict of such a name and arguments. Received: {identifier!r}"
    )
