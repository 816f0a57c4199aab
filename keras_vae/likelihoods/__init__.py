"""Likelihoods p(x|z): one file for each family, and their names."""

from keras_vae.checks import check_whole, get_part, name_of_part
from keras_vae.likelihoods.base import OBSERVED as OBSERVED
from keras_vae.likelihoods.base import Likelihood as Likelihood
from keras_vae.likelihoods.base import sum_over_data as sum_over_data
from keras_vae.likelihoods.bernoulli import Bernoulli as Bernoulli
from keras_vae.likelihoods.gaussian import Gaussian as Gaussian
from keras_vae.likelihoods.gaussian import ImageGaussian as ImageGaussian
from keras_vae.likelihoods.gaussian import LearnedGaussian as LearnedGaussian

LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "learned_gaussian": LearnedGaussian,
    "image_gaussian": ImageGaussian,
}


def get(identifier) -> Likelihood:
    """Returns a likelihood from its name, a dict of its name and arguments, or itself.

    Args:
        identifier: `"bernoulli"`, `"gaussian"` (scale 1), `"learned_gaussian"`,
            `"image_gaussian"`, a dict such as `{"name": "gaussian", "scale": 0.1}`, or a
            `Likelihood`.

    Raises:
        ValueError: if it is none of these, or declares what there is not.
    """
    rule = (
        f"likelihood must be one of {sorted(LIKELIHOODS)} or an object of keras_vae.likelihoods, "
        "such as Gaussian(scale=0.1)."
    )
    likelihood = get_part("Likelihood", identifier, Likelihood, LIKELIHOODS, rule)
    if likelihood.observes not in OBSERVED:
        raise ValueError(
            f"{type(likelihood).__name__}.observes must be one of {OBSERVED}. "
            f"Received: {likelihood.observes!r}"
        )
    check_whole(f"{type(likelihood).__name__}.outputs_per_value", likelihood.outputs_per_value, 1)
    return likelihood


def name_of(likelihood) -> str:
    """The name of a likelihood, or its class's if it is not one of ours."""
    return name_of_part(likelihood, LIKELIHOODS)
