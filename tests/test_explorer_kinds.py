"""The explorer of other kinds of models: what it shows as they declare, and what it refuses."""

import keras
import numpy as np
import pytest
from browser import agree, images, samples, scramble
from keras import layers
from own_kinds import Grid, SquashedGrid, of_map, plain_autoencoder

import keras_vae
from keras_vae import explorer
from keras_vae.explorer import NotExplorableError

RNG = np.random.default_rng(0)


def test_what_the_page_cannot_show_is_refused_by_a_rule(make, monkeypatch):
    def refused(model, message, x=None):
        with pytest.raises(NotExplorableError, match=message):
            explorer.render(model, x)

    def of_layers(*middle, likelihood="bernoulli"):
        encoder = keras.Sequential([keras.Input((4, 4, 1)), *middle])
        encoder.add(layers.Flatten())
        encoder.add(layers.Dense(4))
        decoder = keras.Sequential([keras.Input((2,)), layers.Dense(16)])
        decoder.add(layers.Reshape((4, 4, 1)))
        return keras_vae.VAE(encoder, decoder, likelihood=likelihood)

    class Other(keras_vae.likelihoods.Gaussian):
        mean_activation = None

    class Mixture(keras_vae.likelihoods.Gaussian):
        outputs_per_value = 2

        def output_shape(self, data_shape):
            return data_shape

    class Shares(keras_vae.likelihoods.Gaussian):
        mean_activation = "softmax"

    refused(make("mlp_vae", (6,)), r"images of shape .*1 or 3 channels.*have shape: \(6,\)")
    refused(make("mlp_vae", (4, 4, 2)), r"have shape: \(4, 4, 2\)")
    refused(make("vq_vae"), "without a prior generates no images.*give some, as x")
    for likelihood in (Other(), Mixture()):
        kind = type(likelihood).__name__
        message = f"of keras_vae but categorical, and not the mean of {kind}"
        refused(of_layers(likelihood=likelihood), message)
    refused(of_layers(likelihood=Shares()), "activation of the mean of Shares, 'softmax'")
    refused(of_layers(layers.LayerNormalization(name="norm")), "'norm', a LayerNormalization.*Conv")
    refused(of_layers(layers.Dense(4, "softmax", name="s")), "activation of the layer 's', 'softm")
    refused(of_layers(layers.Conv2D(2, 2, dilation_rate=2)), "only with dilation_rate = 1.*2, 2")
    refused(of_layers(layers.Conv2D(2, 2, name="c"), layers.Conv2D(4, 1, groups=2)), "groups = 1")
    inputs = keras.Input((4, 4, 1))
    sine = keras.Model(inputs, layers.Dense(4)(keras.ops.sin(layers.Flatten()(inputs))))
    decoder = of_layers().decoder
    refused(keras_vae.VAE(sine, decoder), "does not compute 'sin.*a Sin of keras.ops")
    monkeypatch.setattr("keras_vae.explorer.content._LARGEST", 1000)
    refused(make("mlp_vae"), "up to 1,000 parameters.*Received: 2,")
    monkeypatch.undo()
    broken = make("mlp_vae")
    broken.set_weights([np.full_like(w, np.nan) for w in broken.get_weights()])
    refused(broken, "not finite: its training diverged")
    with pytest.raises(ValueError, match="x must have shape") as refusal:
        explorer.render(make("mlp_vae"), np.zeros((2, 9, 9, 1)))
    assert not isinstance(refusal.value, NotExplorableError)


@pytest.mark.parametrize(
    "kind, likelihood",
    [
        ("plain", None),
        ("plain map", "gaussian"),
        ("grid", "bernoulli"),
        ("spatial", "poisson"),
        ("conv", "bernoulli"),
    ],
)
def test_other_kinds_of_latents_and_likelihoods_are_computed_as_they_declare(
    make, open_page, kind, likelihood
):
    x = RNG.integers(2, size=(5, 8, 8, 1)).astype("float32")
    point, gaussian = keras_vae.latents.PointLatent(), keras_vae.latents.GaussianLatent()
    if kind == "plain":
        model = plain_autoencoder()
    elif kind == "conv":
        model = make("conv_vae", latent_dim=None, latent_shape=(4, 4, 2))
    elif kind == "spatial":
        model = of_map(gaussian, 4, likelihood, decoder_channels=2)
    else:
        model = of_map(point if kind == "plain map" else Grid(), 2, likelihood)
    page = open_page(scramble(model), x)
    agree(page, model, x[1])
    notes = page.locator("#notes").inner_text()
    assert ("no random samples" in notes) == (kind[:5] == "plain")
    assert page.get_by_role("button", name="Random sample").is_visible() == model.latent.generates
    of_code = "variance of the code over the data; 5 images"
    sorting = dict.fromkeys(("spatial", "conv"), "(mean rate; 5 images)")
    sorting |= {"grid": "drawn from the prior", "plain": of_code, "plain map": of_code}
    assert sorting.get(kind, "variance of the posterior mean over the data; 5 images") in notes
    if kind == "grid":
        pool = model.latent.sample_prior(64, np.random.default_rng(0)).reshape(64, -1)
        assert {tuple(row) for row in samples(page, 5)} <= {tuple(row) for row in pool.tolist()}


def test_of_a_latent_that_adds_to_its_prior_the_page_holds_draws(open_page):
    class Shifted(keras_vae.latents.GaussianLatent):
        def sample_prior(self, n, rng, shape=None):
            return super().sample_prior(n, rng, shape) + 100

    model = of_map(Shifted(), 4, decoder_channels=2)
    got = samples(open_page(model, np.zeros((2, 8, 8, 1))), 3)
    assert got.min() > 90


def test_latents_that_the_page_would_compute_otherwise_are_refused():
    def refused(latent, message, channels=2, **options):
        model, x = scramble(of_map(latent, channels, **options)), images((8, 8, 1))
        with pytest.raises(NotExplorableError, match=message) as refusal:
            explorer.render(model, x)
        assert str(refusal.value).count(". ") <= 1

    class Doubled(keras_vae.latents.PointLatent):
        def decoder_input(self, code):
            return 2 * code

    class Normalised(keras_vae.latents.PointLatent):
        def code(self, h):
            return keras.ops.normalize(h)

    class Squashed(SquashedGrid):
        encodes_as = "nearest"

    class Placed(Grid):  # the vector of a code depends on where it stands
        def decoder_input(self, code):
            return super().decoder_input(code) + keras.ops.arange(4.0)[:, None, None]

    refused(SquashedGrid(), "cannot encode as SquashedGrid does, with encodes_as = None")
    refused(Doubled(), "decoder takes as they are, and Doubled converts them")
    refused(Normalised(), "codes of Normalised are not what its encodes_as, 'identity', says")
    refused(Squashed(), "codes of Squashed are not what its encodes_as, 'nearest', says")
    refused(Placed(), "same vector at every position, and those of Placed do not")
    size = {"size": None, "decoder_channels": 2}
    refused(keras_vae.latents.GaussianLatent(), "images of one size.*takes any", 4, **size)


@pytest.mark.parametrize(
    "likelihood", ["discretised_logistic", "logistic_mixture", "poisson", "negative_binomial"]
)
def test_the_page_begins_with_generated_images_of_levels_and_counts(make, likelihood):
    page = explorer.render(make("mlp_vae", (4, 4, 3), likelihood=likelihood))
    assert page.startswith("<!doctype html>")


def test_a_likelihood_that_inherits_a_mean_of_other_outputs_is_refused(make):
    class Squared(keras_vae.likelihoods.Laplace):
        def parts(self, outputs):
            location, log_scale = super().parts(outputs)
            return location**2, log_scale

    class Reversed(keras_vae.likelihoods.Bernoulli):
        def mean(self, outputs):
            return 1 - super().mean(outputs)

    for likelihood in (Squared(), Reversed()):
        with pytest.raises(NotExplorableError, match="not the mean of (Squared|Reversed)"):
            explorer.render(make("mlp_vae", (4, 4, 3), likelihood=likelihood))
