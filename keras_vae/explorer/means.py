"""How the page takes a decoder's outputs to the mean of the data."""

from keras import activations

from keras_vae.explorer.activations import get_activation_name
from keras_vae.explorer.refusals import NotExplorableError
from keras_vae.likelihoods import DiscretisedLogistic, LogisticMixture
from keras_vae.likelihoods.location_scale import LocationScale
from keras_vae.likelihoods.logistic import bounds_of_log_scale


def describe(likelihood, channels) -> dict:
    """Returns the `kind` of a likelihood's mean, a function of means.js, and its settings.

    Args:
        likelihood: the model's likelihood.
        channels: channels of the data.

    Raises:
        NotExplorableError: if the page does not compute this mean.
    """
    # A class that inherits another's mean has it.
    mean = type(likelihood).mean
    if mean is LocationScale.mean:
        return {"kind": "location", "channels": channels}
    of_levels = {DiscretisedLogistic.mean: 0, LogisticMixture.mean: 1}
    if mean in of_levels:
        bounds = bounds_of_log_scale(likelihood.num_levels)
        components = likelihood.components if of_levels[mean] else 0
        return {
            "kind": "mixture" if components else "logistic",
            "channels": channels,
            "components": components,
            "bounds": bounds,
        }
    what, name = f"the mean of {type(likelihood).__name__}", likelihood.mean_activation
    if name is None or likelihood.outputs_per_value != 1:
        raise NotExplorableError(
            "The explorer computes means that are an activation of one decoder output for each "
            "value, those of discretised logistics and their mixtures, and those of likelihoods "
            f"with a scale for each value, but not {what}."
        )
    return {
        "kind": "activation",
        "activation": get_activation_name(activations.get(name), what),
    }
