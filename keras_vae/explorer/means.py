"""How the page takes a decoder's outputs to the mean of the data."""

from keras import activations

from keras_vae import likelihoods
from keras_vae.explorer.activations import get_activation_name
from keras_vae.explorer.refusals import NotExplorableError
from keras_vae.likelihoods.logistic import bounds_of_log_scale
from keras_vae.likelihoods.poisson import BOUNDS

# Not those that inherit from them, whose outputs may mean something else.
_LOCATIONS = (likelihoods.PixelGaussian, likelihoods.Laplace, likelihoods.StudentT)


def describe(likelihood, channels) -> dict:
    """Returns the `kind` of a likelihood's mean, a function of means.js, and its settings.

    Args:
        likelihood: the model's likelihood.
        channels: channels of the data.

    Raises:
        NotExplorableError: if the page does not compute this mean.
    """
    kind, name = type(likelihood), likelihood.mean_activation
    if kind in _LOCATIONS:
        return {"kind": "location", "channels": channels}
    if kind in (likelihoods.DiscretisedLogistic, likelihoods.LogisticMixture):
        settings = {"channels": channels, "bounds": bounds_of_log_scale(likelihood.num_levels)}
        if kind is likelihoods.DiscretisedLogistic:
            return {"kind": "logistic", **settings}
        return {"kind": "mixture", "components": likelihood.components, **settings}
    if kind in (likelihoods.Poisson, likelihoods.NegativeBinomial):
        parts = likelihood.outputs_per_value
        return {"kind": "count", "channels": channels, "parts": parts, "bounds": BOUNDS}
    what = f"the mean of {kind.__name__}"
    is_activation = kind.mean is likelihoods.Likelihood.mean and likelihood.outputs_per_value == 1
    if name is None or not is_activation:
        raise NotExplorableError(
            "The explorer computes means that are an activation of one decoder output for each "
            "value, and those of the likelihoods of keras_vae but categorical, and not "
            f"{what}."
        )
    return {
        "kind": "activation",
        "activation": get_activation_name(activations.get(name), what),
    }
