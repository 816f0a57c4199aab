"""Likelihoods p(x|z): one file for each family, and their names."""

from keras_vae.checks import check_whole, get_part, name_of_part
from keras_vae.likelihoods.base import OBSERVED as OBSERVED
from keras_vae.likelihoods.base import Likelihood as Likelihood
from keras_vae.likelihoods.base import sum_over_data as sum_over_data
from keras_vae.likelihoods.bernoulli import Bernoulli as Bernoulli
from keras_vae.likelihoods.categorical import Categorical as Categorical
from keras_vae.likelihoods.gaussian import Gaussian as Gaussian
from keras_vae.likelihoods.gaussian import ImageGaussian as ImageGaussian
from keras_vae.likelihoods.gaussian import LearnedGaussian as LearnedGaussian
from keras_vae.likelihoods.laplace import Laplace as Laplace
from keras_vae.likelihoods.logistic import DiscretisedLogistic as DiscretisedLogistic
from keras_vae.likelihoods.logistic_mixture import LogisticMixture as LogisticMixture
from keras_vae.likelihoods.negative_binomial import NegativeBinomial as NegativeBinomial
from keras_vae.likelihoods.pixel_gaussian import PixelGaussian as PixelGaussian
from keras_vae.likelihoods.poisson import Poisson as Poisson
from keras_vae.likelihoods.student_t import StudentT as StudentT

LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "learned_gaussian": LearnedGaussian,
    "image_gaussian": ImageGaussian,
    "pixel_gaussian": PixelGaussian,
    "laplace": Laplace,
    "student_t": StudentT,
    "discretised_logistic": DiscretisedLogistic,
    "logistic_mixture": LogisticMixture,
    "categorical": Categorical,
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
}


def get(identifier) -> Likelihood:
    """Returns a likelihood from its name, a dict of its name and arguments, or itself.

    Args:
        identifier: a name in `LIKELIHOODS`, such as `"bernoulli"`, a dict such as
            `{"name": "gaussian", "scale": 0.1}`, or a `Likelihood`.

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
