"""The latent explorer computes in a worker: its page answers, and shows what belongs together."""

import numpy as np
import pytest
from browser import SETTLED, page_code, shown
from test_explorer_page import shows, status

STROKES = 5


def draw(page, strokes=STROKES):
    box = page.locator("#paper").bounding_box()
    for stroke in range(strokes):
        x = box["x"] + (0.2 + 0.6 * stroke / strokes) * box["width"]
        page.mouse.move(x, box["y"] + 0.1 * box["height"])
        page.mouse.down()
        page.mouse.move(x + 10, box["y"] + 0.9 * box["height"], steps=8)
        page.mouse.up()


def of_plane(scrambled, grey, open_page):
    model = scrambled("mlp_vae", latent_dim=2)
    return model, open_page(model, np.rint(grey * 255).astype("uint8"))


def test_the_page_works_where_its_own_thread_can_compute_no_network(open_page, scrambled, grey):
    model, page = of_plane(scrambled, grey, open_page)
    page.evaluate("() => { run = unpack = fromNormal = () => { throw new Error('on the page') } }")
    x = np.rint(grey * 255).astype("uint8")
    page.get_by_role("button", name="Image 3", exact=True).click()
    shows(page, model, model.encode(x[2:3]))
    draw(page)
    drawing = page.evaluate(f"{SETTLED}.then((explorer) => Array.from(explorer.paper.read()))")
    shows(page, model, model.encode(np.reshape(drawing, (1, 8, 8, 1)).astype("float32")))
    page.get_by_role("button", name="Random sample").click()
    page.get_by_role("slider", name="Between two of them").fill("0.5")
    shows(page, model, model.encode(x[:2]).mean(axis=0))


def busy(devtools):
    """Seconds of processor time that the page's own thread spent in scripts."""
    metrics = devtools.send("Performance.getMetrics")["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "ScriptDuration")


def test_five_strokes_keep_the_page_busy_for_less_than_decoding_one_image(open_page, make):
    shape = (64, 64, 3)
    model = make("conv_vae", shape, filters=(64, 64), blocks=2, hidden_units=())
    page = open_page(model, np.zeros((2, *shape), "uint8"))
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    start = busy(devtools)
    draw(page)
    page.evaluate(SETTLED)
    assert status(page) == "Your drawing, encoded and decoded."
    drawing = busy(devtools) - start
    start = busy(devtools)
    page.evaluate("""async () => {
        const { weights } = await unpack(content);
        const [model, { code }] = [new NumberModel(content, weights), await ready];
        // Once on the page's own thread, as a task of its own.
        await new Promise((done) => setTimeout(() => done(model.decode(code))));
    }""")
    decoding = busy(devtools) - start
    assert drawing < decoding


@pytest.mark.parametrize("factory", ["mlp_vae", "vq_vae"])
def test_the_input_and_its_bars_follow_between_and_samples(open_page, scrambled, grey, factory):
    model = scrambled(factory)
    page = open_page(model, grey)
    bars = "[...document.querySelectorAll('.band')].map((band) => band.style.left)"
    seen = [page.evaluate(bars)]
    page.get_by_role("slider", name="Between two of them").fill("0.4")
    button = "Random sample" if model.latent.generates else "Change some codes"
    for caption in ("40 % of the way from image 1 to image 2", None):
        if caption is None:
            page.get_by_role("button", name=button).click()
            caption = "The random sample" if factory == "mlp_vae" else "What the changed codes"
        code, pixels = shown(page)
        assert page.locator("#input-is").inner_text().startswith(caption)
        drawing = page.evaluate("ready.then((explorer) => Array.from(explorer.paper.read()))")
        np.testing.assert_allclose(np.ravel(drawing), pixels[..., 0].ravel() / 255, atol=1e-5)
        spec = model.latent.code_spec
        decoded = model.decode(code.reshape(1, *spec.shape).astype(spec.dtype))
        own = page.evaluate("ready.then((explorer) => Array.from(explorer.read.code))")
        np.testing.assert_allclose(own, page_code(page, decoded), atol=1e-3)
        if factory == "mlp_vae":
            np.testing.assert_allclose(own, model.encode(decoded)[0], atol=1e-3)
            seen.append(page.evaluate(bars))
            assert len({tuple(lefts) for lefts in seen}) == len(seen)
        page.get_by_role("button", name="Reset").click()
        np.testing.assert_allclose(shown(page)[0], own)


def test_a_latent_moved_while_an_image_is_encoded_keeps_both(open_page, scrambled, grey):
    model = scrambled("mlp_vae")
    page = open_page(model, np.rint(grey * 255).astype("uint8"))
    own = page.evaluate("""async () => {
        const explorer = await ready;
        for (const hand of [[1, 2, 3], [-1, 0, 1]]) {
            explorer.pick(2); // waits for nothing
            explorer.pick(3);
            explorer.edit(Float32Array.from(hand), "by hand");
            explorer.edit(Float32Array.from(hand), "by hand");
        }
        await explorer.settled();
        return Array.from(explorer.read.code);
    }""")
    shows(page, model, [-1, 0, 1])
    np.testing.assert_allclose(own, model.encode(np.rint(grey[3:4] * 255) / 255)[0], atol=1e-3)


def test_what_the_worker_cannot_compute_is_said(open_page, scrambled, grey):
    page = open_page(scrambled("mlp_vae"), grey)
    said = page.evaluate("""async () => {
        const explorer = await ready;
        const error = await explorer.model.ask("encode", null).catch((error) => error.message);
        explorer.follow(() => explorer.model.ask("encode", null), "", "");
        await explorer.settled().catch(() => 0);
        return [error, byId("status").textContent];
    }""")
    assert said[1] == f"The model could not be computed: {said[0]}" and "null" in said[0]
