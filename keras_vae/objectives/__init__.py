"""What a VAE is trained on: objectives, and the arguments that stand for them."""

from keras_vae.objectives.base import Objective as Objective
from keras_vae.objectives.base import Terms as Terms
from keras_vae.objectives.elbo import ELBO as ELBO
from keras_vae.objectives.importance_weighted import ImportanceWeighted as ImportanceWeighted

# What `VAE` and the factories take in place of an object, with the defaults.
DEFAULTS = {
    "beta": 1.0,
    "num_samples": 1,
    "free_bits": 0.0,
    "capacity": None,
    "importance_weighted": False,
}
SETTINGS = ("objective", *DEFAULTS)


def get(objective=None, **settings) -> Objective:
    """Returns an objective from itself, or from the arguments that stand for one.

    Args:
        objective: an `Objective`. Defaults to None, what the settings say.
        **settings: any of `beta`, `num_samples`, `free_bits`, `capacity` and
            `importance_weighted`, as for `VAE`.

    Raises:
        ValueError: if both are given, or a setting is out of its range.
    """
    settings = {**DEFAULTS, **settings}
    if objective is not None:
        if not isinstance(objective, Objective):
            raise ValueError(
                "objective must be an object of keras_vae.objectives, such as ELBO(beta=4.0). "
                f"Received: {objective!r}"
            )
        changed = sorted(name for name, value in DEFAULTS.items() if settings[name] != value)
        if changed:
            raise ValueError(
                f"Give an objective or its settings, not both. Received objective and "
                f"{', '.join(changed)}."
            )
        return objective
    importance_weighted = settings.pop("importance_weighted")
    if not importance_weighted:
        return ELBO(**settings)
    if importance_weighted not in (True, "dreg"):
        raise ValueError(
            f'importance_weighted must be True, False or "dreg". Received: {importance_weighted!r}'
        )
    free_bits, capacity = settings.pop("free_bits"), settings.pop("capacity")
    if free_bits or capacity is not None:
        raise ValueError(
            "An importance-weighted loss has no rate of its own for free_bits or capacity to "
            f"change. Received: free_bits={free_bits}, capacity={capacity}"
        )
    gradient = "dreg" if importance_weighted == "dreg" else "reparameterised"
    return ImportanceWeighted(gradient=gradient, **settings)
