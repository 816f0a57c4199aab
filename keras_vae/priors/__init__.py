"""Priors p(z) over continuous latents: densities in nats per example, and draws."""

from keras_vae.priors.base import Prior as Prior
from keras_vae.priors.base import StandardNormal as StandardNormal
from keras_vae.priors.flow import RealNVP as RealNVP
from keras_vae.priors.mixture import MixtureOfGaussians as MixtureOfGaussians

PRIORS = {"normal": StandardNormal, "mixture": MixtureOfGaussians, "realnvp": RealNVP}


def get(identifier) -> Prior:
    """Returns a prior from its name, a plain description or itself.

    Args:
        identifier: `"normal"`, `"mixture"`, `"realnvp"`, a dict of the name and arguments such as
            `{"name": "realnvp", "couplings": 8}`, a `Prior`, or None, the standard normal.

    Raises:
        ValueError: if it is none of these.
    """
    if isinstance(identifier, Prior):
        return identifier
    arguments = dict(identifier) if isinstance(identifier, dict) else {"name": identifier}
    name = arguments.pop("name", None)
    name = "normal" if name is None and not arguments else name
    if isinstance(name, str) and name in PRIORS:
        try:
            return PRIORS[name](**arguments)
        except TypeError as error:
            raise ValueError(f"Prior {name!r} does not take {arguments}: {error}") from error
    raise ValueError(
        f"prior must be an object of keras_vae.priors, such as RealNVP(), one of {sorted(PRIORS)} "
        f"or a dict of such a name and arguments. Received: {identifier!r}"
    )
