"""Priors p(z) over latents and codes: log-densities in nats per example, and sampling."""

from keras_vae.checks import get_part, name_of_part, shown
from keras_vae.priors.base import Prior as Prior
from keras_vae.priors.base import StandardNormal as StandardNormal
from keras_vae.priors.channel_flow import ChannelFlow as ChannelFlow
from keras_vae.priors.codes import CodeTransformer as CodeTransformer
from keras_vae.priors.flow import RealNVP as RealNVP
from keras_vae.priors.low_rank import LowRankGaussian as LowRankGaussian
from keras_vae.priors.mixture import MixtureOfGaussians as MixtureOfGaussians
from keras_vae.priors.mixture import VampPrior as VampPrior
from keras_vae.priors.top import TopPrior as TopPrior

PRIORS = {
    "normal": StandardNormal,
    "mixture": MixtureOfGaussians,
    "vamp": VampPrior,
    "realnvp": RealNVP,
    "low_rank": LowRankGaussian,
    "channel_flow": ChannelFlow,
}
CODE_PRIORS = {"transformer": CodeTransformer}


def get(identifier) -> Prior:
    """Returns a prior over continuous latents, given its name, a dict or the prior itself.

    Args:
        identifier: a name in `PRIORS`, such as `"mixture"`, a dict with a name and arguments such
            as `{"name": "realnvp", "couplings": 8}`, or a `Prior`. None means the standard normal.

    Raises:
        ValueError: if `identifier` is anything else.
    """
    return _get("normal" if identifier is None else identifier, PRIORS, over_codes=False)


def get_code_prior(identifier) -> Prior | None:
    """Returns a prior over integer codes, given its name, a dict or the prior itself.

    Args:
        identifier: `"transformer"`, a dict with a name and arguments such as
            `{"name": "transformer", "width": 64}`, or a `Prior`. None means the uniform prior.

    Raises:
        ValueError: if `identifier` is anything else.
    """
    return None if identifier is None else _get(identifier, CODE_PRIORS, over_codes=True)


def name_of(prior) -> str:
    """The name of a prior: `"uniform"` for None, the class name if the prior is not built in."""
    return "uniform" if prior is None else name_of_part(prior, {**PRIORS, **CODE_PRIORS})


def _get(identifier, kinds, over_codes):
    example = "CodeTransformer" if over_codes else "RealNVP"
    rule = (
        f"prior must be an object of keras_vae.priors, such as {example}(), one of {sorted(kinds)} "
        "or a dict with such a name and arguments."
    )
    prior = get_part("Prior", identifier, Prior, kinds, rule)
    if prior.over_codes != over_codes:
        raise ValueError(f"{rule} Received: {shown(identifier)}")
    return prior
