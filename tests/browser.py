"""A real browser, headless, for tests of the latent explorer: one for a whole session."""

import functools
import shutil

import keras
import numpy as np
import pytest

from keras_vae import explorer

FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# The explorer, when all that it was asked for is shown.
SETTLED = "ready.then((explorer) => explorer.settled().then(() => explorer))"
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


@pytest.fixture(scope="session")
def browser():
    """Chromium, or the test is skipped."""
    reason = "needs playwright: pip install keras-vae[test]"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip(f"needs a browser, one of {', '.join(names)}")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def blank(browser):
    """A page that tests share: to open one takes longer than to use it."""
    return browser.new_page()


@pytest.fixture
def open_page(browser, blank, tmp_path):
    """A function of a model, images and a name that opens their explorer.

    At the end of the test nothing may have gone wrong in it, nor have left it.
    """
    pages, troubles = [], []
    listeners = {
        "console": lambda message: troubles.append(message.text),
        "pageerror": lambda error: troubles.append(str(error)),
        "dialog": lambda dialog: troubles.append(dialog.message),
        "request": lambda request: _note_if_outside(request.url, troubles),
    }

    def open_page(model, x=None, *, labels=None, name=None, **options):
        path = tmp_path / f"{len(pages)}.html"
        explorer.write(model, path, x, labels=labels, name=name)
        pages.append(browser.new_page(**options) if pages or options else blank)
        for event, listener in listeners.items():
            pages[-1].on(event, listener)
        pages[-1].goto(path.as_uri())
        pages[-1].evaluate("ready.then(() => 0)")
        pages[-1].evaluate(FRAMES)
        return pages[-1]

    yield open_page
    for page in pages:
        page.evaluate(FRAMES)
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
        if page is not blank:
            page.close()
    assert troubles == []


@pytest.fixture(scope="session")
def scrambled(make):
    """A function like `make` of scrambled models, which tests share and do not change."""
    return functools.cache(lambda *args, **kwargs: scramble(make(*args, **kwargs)))


def scramble(model):
    """Gives a model weights so large that its outputs differ from input to input."""
    randomise([*model.encoder.weights, *model.decoder.weights])
    randomise(model.latent.non_trainable_weights if model.latent.code_spec.num_codes else [])
    return model


def randomise(weights):
    rng = np.random.default_rng(1)
    for weight in weights:
        fan = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 4
        weight.assign(rng.normal(0, 1.5 / np.sqrt(fan), weight.shape))


def page_posterior(page, image):
    """Mean and log-variance of an image, as the page computes them."""
    code = """async (image) => {
        const { model } = await ready;
        const { code, logVar } = await model.encode(Float32Array.from(image));
        return [Array.from(code), Array.from(logVar)];
    }"""
    return np.array(page.evaluate(code, _plain(image)))


def page_code(page, image):
    """The codes of an image, as the page computes them."""
    code = """async (image) => {
        const { model } = await ready;
        return Array.from((await model.encode(Float32Array.from(image))).code);
    }"""
    return np.array(page.evaluate(code, _plain(image)))


def page_image(page, code):
    """The image of latents or codes, as the page computes it."""
    text = "async (code) => Array.from(await (await ready).model.decode(Float32Array.from(code)))"
    return np.array(page.evaluate(text, _plain(code)))


def shown(page):
    """The code that the page shows, and the pixels of its image, `(height, width, 3)` in 8 bits."""
    code = page.evaluate(f"{SETTLED}.then((explorer) => Array.from(explorer.code))")
    pixels, width = page.evaluate("""() => {
        const { width, height } = byId("output");
        const copy = make("canvas", { width, height }).getContext("2d");
        copy.drawImage(byId("output"), 0, 0);
        return [Array.from(copy.getImageData(0, 0, width, height).data), width];
    }""")
    return np.array(code), np.array(pixels).reshape(-1, width, 4)[..., :3]


def images(shape, n=5):
    """Random images of a shape, the same at every call."""
    return np.random.default_rng(0).random((n, *shape), dtype="float32")


def _posterior(model, x):
    h = model.encoder(keras.ops.convert_to_tensor(x))
    return [keras.ops.convert_to_numpy(t).ravel() for t in model.latent.posterior(h)]


def agree(page, model, x):
    """Holds the page's encoder and decoder against Python's, on one image."""
    z = model.encode(x[None])
    if model.latent.code_spec.num_codes:
        assert np.mean(page_code(page, x) == z.ravel()) >= 0.9  # two codes may be equally near
    elif model.latent.encodes_as == "mean":
        expected = _posterior(model, x[None])
        atol = max(1e-3, 5e-4 * np.abs(expected).max())  # the page's weights have 16 bits
        np.testing.assert_allclose(page_posterior(page, x), expected, atol=atol)
    else:
        np.testing.assert_allclose(page_code(page, x), z.ravel(), atol=1e-3)
    expected = model.decode(z).ravel()
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(page_image(page, z), expected, atol=1e-3)


def samples(page, n):
    """Codes that the page draws from the prior, a row each."""
    code = """async (n) => {
        const { model } = await ready;
        const draws = Array.from({ length: n }, () => model.sample());
        return (await Promise.all(draws)).map((code) => Array.from(code));
    }"""
    return np.array(page.evaluate(code, n))


def _note_if_outside(url, troubles):
    if not url.startswith(("file:", "data:", "blob:")):
        troubles.append(url)


def _plain(array):
    return np.ravel(array).tolist()
