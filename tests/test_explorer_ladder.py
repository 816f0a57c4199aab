"""The explorer of a hierarchy: the page computes it, and shows its layers as groups."""

import keras
import numpy as np
import pytest
from browser import agree, images, randomise, samples, shown
from keras import ops
from test_explorer_page import shows, status

import keras_vae
from keras_vae import explorer
from keras_vae.explorer import NotExplorableError, encoding, networks
from keras_vae.explorer.packing import Store


def ladder(shape, filters, layers, **arguments):
    """A ladder with weights of its own, some of whose layers tell more than others."""
    options = {"latent_channels": 1, "blocks": 0, "seed": 0, **arguments}
    model = keras_vae.ladder_vae(shape, filters=filters, layers=layers, **options)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(ops.convert_to_numpy(weight) + rng.normal(0, 0.45, weight.shape))
    return model


@pytest.fixture(scope="module")
def of_maps():
    """Three layers on maps of 3 x 4 and 5 x 7: sizes that halves do not divide."""
    return ladder((5, 7, 1), (3, 4), (1, 2), latent_channels=2), images((5, 7, 1), 6)


@pytest.mark.parametrize(
    "shape, filters, layers, arguments",
    [
        ((5, 7, 1), (3, 4), (1, 2), {"latent_channels": 2}),
        ((8, 8, 3), (3, 4, 5), (0, 1, 1), {"blocks": 1, "prior": None, "likelihood": "gaussian"}),
        ((6, 6, 1), (4,), (1,), {"activation": "elu"}),
    ],
)
def test_the_page_encodes_and_decodes_a_ladder_as_python_does(
    open_page, shape, filters, layers, arguments
):
    model, x = ladder(shape, filters, layers, **arguments), images(shape)
    agree(open_page(model, x), model, x[1])


def test_networks_of_any_depth_are_described():
    x = inputs = keras.Input((1,))
    for _ in range(400):
        x = keras.layers.Activation("relu")(x)
    deep = keras.Model(inputs, x)
    assert len(networks.describe(deep, (1,), Store())["nodes"]) == 400


def test_what_is_shared_is_described_and_kept_once(of_maps):
    """A conditional has three outputs; both ways go down the ladder."""
    model, _ = of_maps
    store = Store()
    encoder, decoder = encoding.get_graphs(model)
    way_up = networks.describe(encoder, model.data_shape, store)
    way_down = networks.describe(decoder, model.latent.code_spec.shape, store)
    counts = [sum("kernel" in node for node in way["nodes"]) for way in (way_up, way_down)]
    own, latent = model.encoder, model.latent
    on_the_way = [*latent.conditionals, *latent.steps]
    kernels = [
        sum(w.path.endswith("kernel") for net in nets for w in net.weights)
        for nets in ([own, *latent.posteriors], on_the_way, [model.decoder])
    ]
    assert counts[1] == kernels[1] + kernels[2]
    assert counts[0] < kernels[0] + kernels[1]  # nothing follows the last layer's mean
    assert sum(a.size for a in store._arrays) <= model.count_params()


def test_layers_are_groups_with_their_rates_the_top_one_first(open_page, of_maps):
    model, x = of_maps
    page = open_page(model, x)
    rates = np.round(model.layer_rates(x).mean(axis=0), 3)
    titles = page.locator("details.layer > summary").all_inner_texts()
    sizes = ["3 × 4 × 2", "3 × 4 × 2", "5 × 7 × 2"]
    for i, (title, size) in enumerate(zip(titles, sizes, strict=True)):
        assert title.startswith(f"Layer {i + 1} of 3: {size} latents, ")
        assert float(title.split(", ")[1].removesuffix(" nats")) == pytest.approx(
            rates[i], abs=6e-3
        )
    assert "118 latents in 3 layers" in page.locator("#about").inner_text()
    assert "in units of its prior given the layers above" in page.locator("#notes").inner_text()
    groups = page.locator("details.layer")
    assert groups.evaluate_all("all => all.map((group) => group.open)") == [True, False, False]
    sliders = groups.nth(1).locator("input").first
    assert groups.nth(0).locator("input").first.is_visible() and not sliders.is_visible()
    groups.nth(1).locator("summary").first.press("Enter")
    assert sliders.is_visible()


def test_a_large_layer_has_sliders_for_the_latents_of_highest_rate(open_page, of_maps):
    model, x = of_maps
    page = open_page(model, x)
    rates, spread = model.latent_rates(x).mean(axis=0), model.encode(x).var(axis=0)
    order = np.lexsort((-rates, spread <= 0.01))
    for i, (first, end) in enumerate(((0, 24), (24, 48), (48, 118))):
        group = page.locator("details.layer").nth(i)
        ids = group.locator("input").evaluate_all("all => all.map((input) => input.id)")
        units = [int(one.removeprefix("latent-")) for one in ids]
        expected = [unit for unit in order if first <= unit < end][:32]
        np.testing.assert_allclose(rates[units], rates[expected], atol=1e-4)
        assert len(set(units)) == min(32, end - first)
    note = "other 38 latents are used less and have no sliders"
    assert note in group.evaluate("group => group.textContent")
    place = np.unravel_index(units[0] - 48, (5, 7, 2))
    label = group.locator("label").first
    names = zip(("row", "column", "channel"), place)
    assert label.get_attribute("title") == ", ".join(f"{name} {at + 1}" for name, at in names)
    assert label.evaluate("label => label.textContent").startswith(f"z{units[0] - 48} of layer 3 ")


def test_a_slider_of_a_layer_changes_its_latent_and_no_other(open_page, of_maps):
    model, x = of_maps
    x8 = np.rint(x * 255).astype("uint8")
    page = open_page(model, x8)
    own, _ = shown(page)
    page.locator("details.layer > summary").nth(1).press("Enter")
    slider = page.locator("details.layer").nth(1).locator("input").first
    unit = int(slider.get_attribute("id").removeprefix("latent-"))
    slider.fill("2")
    code, _ = shown(page)
    assert 24 <= unit < 48 and code[unit] == pytest.approx(2, abs=0.03)
    np.testing.assert_array_equal(np.delete(code, unit), np.delete(own, unit))
    shows(page, model, code.astype("float32"))


def test_the_layers_below_one_are_drawn_anew_and_reset_brings_them_back(open_page, of_maps):
    model, x = of_maps
    page = open_page(model, np.rint(x * 255).astype("uint8"))
    own, _ = shown(page)
    buttons = page.get_by_role("button", name="Draw the layers below anew")
    assert page.locator(".layer button").count() == 2  # none below the last
    below = []
    for _ in range(40):
        buttons.first.click()
        code, _ = shown(page)
        np.testing.assert_array_equal(code[:24], own[:24])
        below.append(code[24:])
    assert status(page) == "The layers below drawn anew from their prior."
    shows(page, model, code.astype("float32"))
    below = np.array(below)  # 40 x 94 numbers of N(0, 1)
    assert abs(below.mean()) < 0.1 and below.std() == pytest.approx(1, abs=0.06)
    page.get_by_role("button", name="Reset").click()
    np.testing.assert_array_equal(shown(page)[0], own)


def test_of_a_flow_over_the_top_layer_the_page_holds_draws(open_page):
    prior = {"name": "realnvp", "couplings": 2, "hidden_units": [4]}
    model = ladder((4, 4, 1), (3,), (2,), prior=prior)
    randomise(model.latent.prior.weights)
    page = open_page(model, images((4, 4, 1)))
    agree(page, model, images((4, 4, 1))[0])
    pool = model.latent.sample_prior(256, np.random.default_rng(0))
    for draw in samples(page, 3):
        assert np.abs(pool - draw).max(axis=1).min() < 1e-2
    assert "one of 256 that were drawn" in page.locator("#notes").inner_text()


def test_of_what_is_traced_the_page_computes_some_operations_and_refuses_others(open_page):
    class Own(keras_vae.latents.PointLatent):
        encodes_as = "traced"

        def code(self, h):
            return ops.exp(0.5 * h[..., 1:3]) - ops.clip(h[..., :2], -0.5, 0.25)

        def spec(self, h_shape):
            return super().spec((*h_shape[:-1], 2))

        def draw(self, h, noise=None, num_samples=1, training=False):
            draw = super().draw(h, noise, num_samples, training)
            return draw._replace(decoder_input=self.decoder_input(draw.code[0]))

        def decoder_input(self, code):
            return ops.concatenate([code, code * code, code + code], axis=-1)

    def of(latent, width):
        encoder = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(3, 1)])
        decoder = keras.Sequential([keras.Input((4, 4, width)), keras.layers.Conv2D(1, 1)])
        model = keras_vae.VAE(encoder, decoder, latent)
        randomise(model.trainable_weights)
        return model

    x = images((4, 4, 1))
    agree(open_page(of(Own(), 6), x), of(Own(), 6), x[0])

    def refused(change, message):
        kind = type("Other", (Own,), {"decoder_input": lambda self, code: change(code)})
        with pytest.raises(NotExplorableError, match=message):
            explorer.render(of(kind(), 2), x)

    refused(ops.sin, "does not compute 'sin.*', a Sin of keras.ops. It computes: Add, Broad")
    refused(lambda z: z + 1.0, "operation 'add.*', a Add, only with inputs of shapes = inputs of")
    refused(lambda z: z[..., ::-1], "a GetItem, only with key = a range of the last axis")
    refused(lambda z: ops.concatenate([z, z], 1)[:, :4], "only with axis = -1. Received: 1")
