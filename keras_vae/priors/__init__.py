"""Priors p(z) over latents and codes: densities in nats per example, and draws."""

from keras_vae.checks import named
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
    rule = _RULE.format("RealNVP()", sorted(PRIORS))
    return named("Prior", "normal" if identifier is None else identifier, Prior, PRIORS, rule)


def get_code_prior(identifier):
    """Returns a prior over codes from its name, a plain description or itself.

    Args:
        identifier: `"transformer"`, a dict of the name and arguments such as
            `{"name": "transformer", "width": 64}`, a `CodeTransformer`, or None, which stands for
            the uniform prior.

    Raises:
        ValueError: if it is none of these.
    """
    if identifier is None:
        return None
    rule = _RULE.format("CodeTransformer()", sorted(CODE_PRIORS))
    return named("Prior", identifier, CodeTransformer, CODE_PRIORS, rule)


_RULE = (
    "prior must be an object of keras_vae.priors, such as {}, one of {} "
    "or a dict of such a name and arguments."
)
