"""The latent explorer: the page computes what Python computes, and refuses what it cannot."""

import json
import re

import keras
import numpy as np
import pytest
from browser import agree, images, randomise, samples, scramble
from keras import layers

import keras_vae
from keras_vae import explorer
from keras_vae.explorer import activations, networks
from keras_vae.explorer.packing import Store

RNG = np.random.default_rng(0)
MODELS = [
    ("mlp_vae", (8, 8, 1), {}),
    ("mlp_vae", (6, 5, 3), {"activation": "glu", "hidden_units": (7, 6)}),
    ("mlp_vae", (3, 4, 1), {"hidden_units": (), "likelihood": "gaussian"}),
    ("conv_vae", (8, 8, 1), {"hidden_units": ()}),
    ("conv_vae", (9, 7, 3), {"filters": (4, 5), "kernel_size": 4, "activation": "silu"}),
    ("conv_vae", (7, 10, 1), {"filters": (5, 3), "blocks": 2, "kernel_size": 5}),
    ("conv_vae", (5, 6, 3), {"blocks": 1, "kernel_size": 2, "activation": "gelu"}),
    ("conv_vae", (9, 6, 1), {"blocks": 1, "stem": 3, "hidden_units": ()}),
    (
        "conv_vae",
        (6, 6, 1),
        {"kernel_size": 2, "likelihood": "learned_gaussian", "activation": None},
    ),
    ("mlp_vae", (5, 4, 3), {"likelihood": "laplace"}),
    ("mlp_vae", (5, 4, 3), {"likelihood": "discretised_logistic"}),
    ("mlp_vae", (5, 4, 1), {"likelihood": {"name": "logistic_mixture", "components": 1}}),
    ("conv_vae", (8, 6, 3), {"likelihood": {"name": "logistic_mixture", "components": 3}}),
    ("mlp_vae", (5, 4, 3), {"likelihood": "negative_binomial"}),
    ("vq_vae", (8, 8, 1), {}),
    ("vq_vae", (9, 7, 3), {"filters": (4, 5), "blocks": 0, "kernel_size": 3, "activation": "elu"}),
    ("vq_vae", (8, 4, 3), {"linear": True, "likelihood": "pixel_gaussian", "last_conv": False}),
]


def blots(shape=(28, 28, 1), n=8):
    """Images with coarse spots, for published models."""
    height, width, channels = shape
    spots = RNG.integers(0, 256, (n, height // 4, width // 4, channels), "uint8")
    return np.kron(spots, np.ones((1, 4, 4, 1), "uint8"))


@pytest.mark.parametrize("factory, shape, arguments", MODELS)
def test_the_page_encodes_and_decodes_as_python_does(open_page, make, factory, shape, arguments):
    model = scramble(make(factory, shape, **arguments))
    scale = {"levels": 255, "counts": 1}.get(model.likelihood.observes, 1000)
    x = np.rint(scale * images(shape)) / np.float32(scale)
    agree(open_page(model, x), model, x[1])


@pytest.mark.parametrize(
    "name",
    [
        name if name == "mlp-mnist" else pytest.param(name, marks=pytest.mark.long)
        for name in keras_vae.registry.entries()
    ],
)
def test_a_published_models_file_is_below_5_MB_and_computes_the_same(open_page, name, tmp_path):
    model = keras_vae.load(name, compile=False)
    x = blots(model.data_shape)
    agree(open_page(model, x), model, x[0] / np.float32(255))
    (page,) = tmp_path.glob("*.html")
    assert page.stat().st_size < 5e6


def test_a_model_of_ones_own_networks_is_explored(open_page):
    """Two outputs, a map as latent, networks within networks, one layer used twice."""
    inputs = keras.Input((6, 6, 3))
    shared = layers.Conv2D(4, 3, padding="same", activation="tanh")
    small = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(4, 2, strides=2)])
    h = small(shared(layers.Conv2D(3, 1)(shared(layers.Dense(3, "relu")(inputs)))))
    mean, log_var = layers.Dense(2, use_bias=False)(h), layers.Dense(2)(h)
    encoder = keras.Model(inputs, [mean, log_var])
    decoder = keras.Sequential(
        [keras.Input((3, 3, 2)), layers.Conv2DTranspose(3, 3, strides=2, padding="same")]
    )
    model, x = scramble(keras_vae.VAE(encoder, decoder)), images((6, 6, 3))
    page = open_page(model, x)
    agree(page, model, x[0])
    assert page.locator("#latents input").count() == 18


LAYERS = [
    *(
        kind(3, kernel_size, strides=strides, padding=padding, use_bias=bias)
        for kind in (layers.Conv2D, layers.Conv2DTranspose)
        for kernel_size, strides, bias in (
            *((3, 1, True), ((3, 2), (2, 1), False), (2, 3, True)),
            *(((1, 5), (1, 2), True), ((4, 3), 2, True)),
        )
        for padding in ("same", "valid")
    ),
    layers.Cropping2D(((1, 2), (2, 0))),
    layers.UpSampling2D((2, 3)),
    layers.EinsumDense("abcd,bcd->abcd", (7, 6, 2), bias_axes="bcd", activation="tanh"),
    layers.EinsumDense("abcd,d->abcd", (7, 6, 2)),
    layers.Dense(4, "softplus"),
]


def computed(page, network, shape, x):
    """What the page makes of x by a network."""
    store = Store()
    plain = json.loads(json.dumps(networks.describe(network, shape, store)))
    packed = store.pack() if store._arrays else {"sizes": [], "gzip": None}
    code = """async ([network, packed, x]) => {
        const bytes = packed.gzip ? await inflate(packed.gzip) : new Uint8Array(0);
        const weights = weightsOf(bytes, packed.sizes);
        return Array.from(run(network, weights, Float32Array.from(x))[0]);
    }"""
    return np.array(page.evaluate(code, [plain, packed, np.ravel(x).tolist()]))


def test_every_kernel_stride_and_padding_is_computed_as_keras_does_it(open_page, scrambled):
    page = open_page(scrambled("mlp_vae"))
    for layer in LAYERS:
        x = images((7, 6, 2), 1)
        layer.build((None, 7, 6, 2))
        randomise(layer.weights)
        expected = keras.ops.convert_to_numpy(layer(x)).ravel()
        got = computed(page, layer, (7, 6, 2), x)
        np.testing.assert_allclose(got, expected, atol=1e-3, err_msg=str(layer.get_config()))


def test_every_activation_is_that_of_keras(open_page, scrambled):
    page, x = open_page(scrambled("mlp_vae")), np.linspace(-30, 30, 241, dtype="float32")
    small = np.linspace(-4, 4, 81, dtype="float32")
    for name, activation in activations.ACTIVATIONS.items():
        values = small if name == "exponential" else x
        got = page.evaluate(
            "([name, x]) => Array.from(activate(Float32Array.from(x), name))",
            [name, values.tolist()],
        )
        expected = keras.ops.convert_to_numpy(activation(keras.ops.convert_to_tensor(values)))
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_weights_are_kept_to_a_32767th_of_the_largest_of_each_output(open_page, scrambled):
    arrays = [RNG.normal(0, [1, 100, 1e-4], (5, 3)), RNG.normal(size=7), np.zeros((2, 2))]
    store = Store()
    assert [store.add(array) for array in arrays] == [0, 1, 2]
    code = "async (p) => weightsOf(await inflate(p.gzip), p.sizes).map((w) => Array.from(w))"
    got = open_page(scrambled("mlp_vae")).evaluate(code, store.pack())
    for array, back in zip(arrays, got):
        largest = np.abs(array).max(axis=0)
        assert (np.abs(array - np.reshape(back, array.shape)) <= largest / 65000).all()


def test_a_flow_is_undone_as_python_undoes_it(open_page, make):
    prior = keras_vae.priors.RealNVP(3, (8, 5), activation="tanh")
    model = make("mlp_vae", prior=prior)
    randomise(prior.weights)
    u = RNG.normal(size=(6, 3)).astype("float32")
    code = """async (all) => {
        const { weights } = await unpack(content);
        return all.map((u) => Array.from(fromNormal(content.prior, weights, u)));
    }"""
    got = open_page(model).evaluate(code, u.tolist())
    expected = keras.ops.convert_to_numpy(prior.from_normal(u))
    assert np.abs(expected - u).max() > 0.5
    np.testing.assert_allclose(got, expected, atol=1e-3)


@pytest.mark.parametrize("name", ["normal", "mixture", "vamp"])
def test_random_samples_have_the_moments_of_the_prior(open_page, make, name):
    prior = {"name": name} if name == "normal" else {"name": name, "components": 4}
    model = scramble(make("mlp_vae", prior=prior))
    if name == "mixture":
        randomise(model.latent.prior.weights)
    got, expected = samples(open_page(model), 4000), model.latent.sample_prior(4000, RNG)
    spread = expected.std(axis=0)
    assert (np.abs(got.mean(axis=0) - expected.mean(axis=0)) < 0.12 * spread).all()
    np.testing.assert_allclose(got.std(axis=0), spread, rtol=0.12)


def test_of_a_prior_that_the_page_does_not_know_it_holds_draws_and_says_so(open_page, make):
    class Box(keras_vae.priors.Prior):
        def log_prob(self, z):
            return keras.ops.zeros(len(z))

        def sample(self, n, rng):
            return rng.uniform(2, 3, (n, *self.latent_shape)).astype("float32")

    page = open_page(make("mlp_vae", prior=Box()))
    got = samples(page, 20)
    assert got.min() >= 1.99 and got.max() <= 3.01
    assert "one of 256 that were drawn from the prior" in page.locator("#notes").inner_text()


def test_of_a_prior_over_codes_the_page_holds_draws_and_says_so(open_page, make):
    prior = {"name": "transformer", "width": 8, "blocks": 1, "heads": 1}
    model = make("vq_vae", prior=prior)
    page = open_page(model)
    pool = model.latent.sample_prior(64, np.random.default_rng(0)).reshape(64, -1)
    assert {tuple(row) for row in samples(page, 5)} <= {tuple(row) for row in pool.tolist()}
    assert "one of 64 that were drawn from the prior" in page.locator("#notes").inner_text()


def test_grey_values_beyond_0_and_1_are_encoded_as_they_are(open_page, make):
    model = scramble(make("mlp_vae", likelihood="gaussian"))
    x = RNG.normal(0, 2, (4, 8, 8, 1)).astype("float32")
    code = "async () => { const e = await ready; return Array.from(await e.codeOf(2)); }"
    step = np.ptp(x) / 255
    got = open_page(model, x).evaluate(code)
    np.testing.assert_allclose(got, model.encode(x[2:3])[0], atol=3 * step)


def test_the_same_model_and_images_make_the_same_file(make, grey):
    model = make("conv_vae")
    assert explorer.render(model, grey) == explorer.render(model, grey)


def test_no_name_of_a_model_runs_as_a_script(open_page, make):
    name = '</script><script>alert(1)</script></title><img src=x onerror="alert(2)">{{script}}'
    page = open_page(make("mlp_vae"), name=name)  # a dialog or an error would fail the test
    assert page.locator("h1").inner_text() == name
    assert page.title() == f"{name}: latent explorer"
    assert page.locator("script").count() == 3
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy


def test_the_page_names_nothing_that_it_would_have_to_fetch(make):
    page = explorer.render(make("mlp_vae"))
    own = re.sub(r'<script type="application/json".*?</script>', "", page, flags=re.DOTALL)
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttp|WebSocket|import\(", own)
