"""The latent explorer's page in a browser: every control, by mouse and by keyboard."""

import numpy as np
import pytest
from browser import FRAMES, shown
from own_kinds import plain_autoencoder

CODE_PRIOR = {"name": "transformer", "width": 8, "blocks": 1, "heads": 1}


def shows(page, model, code):
    """Holds the code that is shown, and the pixels of its image, against Python's."""
    got, pixels = shown(page)
    np.testing.assert_allclose(got, np.ravel(code), atol=2e-3)
    expected = 255 * model.decode(np.reshape(code, (1, *model.latent.code_spec.shape)))[0]
    expected = np.clip(expected, 0, 255)
    np.testing.assert_allclose(pixels, np.broadcast_to(expected, pixels.shape), atol=1)


def status(page):
    return page.locator("#status").inner_text()


@pytest.mark.parametrize("shape", [(8, 8, 1), (6, 5, 3)])
def test_an_image_is_chosen_by_mouse_or_keyboard_and_its_latents_are_shown(
    open_page, scrambled, shape
):
    x = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype="uint8")
    model = scrambled("mlp_vae", shape)
    page = open_page(model, x)
    shows(page, model, model.encode(x[:1]))
    assert page.locator("#strip button").count() == 16
    page.get_by_role("button", name="Image 3", exact=True).click()
    shows(page, model, model.encode(x[2:3]))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    shows(page, model, model.encode(x[3:4]))
    assert status(page) == "Image 4, encoded and decoded."


def test_a_slider_moved_by_keyboard_changes_the_picture_and_reset_takes_it_back(
    open_page, scrambled, grey
):
    model = scrambled("mlp_vae")
    page = open_page(model, np.rint(grey * 255).astype("uint8"))
    own, before = shown(page)
    slider = page.locator("#latents input").first
    unit = int(slider.get_attribute("id").removeprefix("latent-"))
    slider.focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    code, after = shown(page)
    assert code[unit] == pytest.approx(own[unit] + 0.4, abs=0.06)
    np.testing.assert_array_equal(np.delete(code, unit), np.delete(own, unit))
    assert np.abs(after.astype(int) - before).max() > 5
    shows(page, model, code.astype("float32"))
    assert status(page) == "Latents moved by hand."
    page.get_by_role("button", name="Reset").press("Enter")
    np.testing.assert_array_equal(shown(page)[1], before)


def test_a_random_sample_is_another_one_each_time(open_page, scrambled, grey):
    page = open_page(scrambled("conv_vae"), grey)
    seen = [shown(page)[0]]
    for _ in range(3):
        page.get_by_role("button", name="Random sample").click()
        seen.append(shown(page)[0])
    assert len({tuple(code) for code in seen}) == 4
    assert "N(0, I), at temperature 1" in page.locator("#notes").inner_text()


def test_what_is_drawn_is_encoded_while_it_is_drawn(open_page, scrambled, grey):
    model = scrambled("conv_vae")
    page = open_page(model, grey)
    page.get_by_role("button", name="Clear").click()
    shows(page, model, model.encode(np.zeros((1, 8, 8, 1))))
    box = page.locator("#paper").bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.1 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.9 * box["height"], steps=6)
    drawing = np.reshape(
        page.evaluate("async () => Array.from((await ready).paper.read())"), (1, 8, 8, 1)
    )
    # A stroke 0.68 pixels wide down the middle, between the columns 3 and 4.
    np.testing.assert_allclose(drawing[0, 2:6, 3:5, 0], 0.34, atol=0.08)
    assert drawing[..., :2, :].max() == drawing[..., 6:, :].max() == 0
    shows(page, model, model.encode(drawing.astype("float32")))
    assert status(page) == "Your drawing, encoded and decoded."
    page.mouse.up()
    page.mouse.move(box["x"] + 5, box["y"] + 5)  # no button is down
    shows(page, model, model.encode(drawing.astype("float32")))
    page.get_by_label("Erase").check()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.9 * box["height"], steps=4)
    page.mouse.up()
    erased = page.evaluate("async () => (await ready).paper.read().reduce((a, b) => a + b)")
    assert erased < drawing.sum() - 0.1


def test_a_finger_draws_in_the_colour_that_is_chosen(open_page, make):
    model = make("mlp_vae", (8, 8, 3))
    page = open_page(model, has_touch=True, viewport={"width": 390, "height": 844})
    # A tap returns before the page has heard of it: what it does is waited for.
    page.get_by_role("button", name="Clear").tap()
    page.get_by_text("Your drawing, encoded and decoded.").wait_for()
    page.get_by_label("Colour of the brush").fill("#ff0000")
    box = page.locator("#paper").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("""() => {
        const { width, height } = byId("paper");
        const context = byId("paper").getContext("2d");
        return context.getImageData(width / 2, height / 2, 1, 1).data[0] > 0;
    }""")
    drawing = page.evaluate("async () => Array.from((await ready).paper.read())")
    red, green, blue = np.reshape(drawing, (-1, 3)).sum(axis=0)
    assert red > 0.1 and green == blue == 0


def test_collapsed_latents_are_folded_and_the_others_sorted_by_rate(open_page, make, grey):
    model = make("mlp_vae", latent_dim=4, hidden_units=())
    kernel, bias = model.encoder.layers[-1].weights
    scales = np.array([0.5, 0.0, 2.0, 1.0, 0, 0, 0, 0])
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape) * scales / 4)
    rates = model.latent_rates(grey).mean(axis=0)
    order = np.argsort(-rates)
    page = open_page(model, grey)
    names = page.locator("#latents .slider label").all_inner_texts()
    assert [name.split()[0] for name in names if name] == ["z2", "z3", "z0"]
    assert order.tolist() == [2, 3, 0, 1]
    assert f"{rates[2]:.2f} nats" in names[0]
    folded = page.locator(".collapsed input")
    assert folded.count() == 1 and not folded.is_visible()
    page.locator(".collapsed summary").press("Enter")
    assert folded.is_visible() and folded.get_attribute("id") == "latent-1"


def test_the_bar_under_a_slider_covers_95_percent_of_the_inputs_posterior(open_page, make, grey):
    model = make("mlp_vae", latent_dim=1, hidden_units=())
    kernel, bias = model.encoder.layers[-1].weights
    kernel.assign(np.zeros(kernel.shape))
    bias.assign([1.0, 2 * np.log(0.5)])
    page = open_page(model, grey)
    page.locator("summary").click()  # it has collapsed
    left, width = page.evaluate("""() => {
        const { left, width } = document.querySelector(".band").style;
        return [parseFloat(left), parseFloat(width)];
    }""")
    assert left == pytest.approx(100 * (1 - 0.98 + 3) / 6, abs=0.1)
    assert width == pytest.approx(100 * 2 * 0.98 / 6, abs=0.1)


def test_the_way_between_two_images_is_a_line_between_their_latents(open_page, scrambled, grey):
    model, x = scrambled("mlp_vae"), np.rint(grey * 255).astype("uint8")
    page, z = open_page(model, x), model.encode(x)
    between = page.get_by_role("slider", name="Between two of them")
    between.fill("0.5")
    shows(page, model, (z[0] + z[1]) / 2)
    between.press("End")
    shows(page, model, z[1])
    page.locator("#second").press("Enter")
    shows(page, model, z[2])
    assert status(page) == "100 % of the way from image 1 to image 3."


def test_two_latents_are_a_plane_in_which_a_point_is_dragged(open_page, scrambled, grey):
    model = scrambled("mlp_vae", latent_dim=2)
    page = open_page(model, grey)
    page.locator(".plane").scroll_into_view_if_needed()
    box = page.locator(".plane").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"], steps=3)
    page.mouse.up()
    code, _ = shown(page)
    np.testing.assert_allclose(code, [1.5, 0], atol=0.03)
    shows(page, model, code.astype("float32"))
    assert page.locator("#latent-0").input_value() == "1.5"


def test_without_a_prior_the_plane_and_sliders_span_the_codes_of_the_images(open_page, grey):
    model = plain_autoencoder(2)
    model.encoder.layers[-1].bias.assign([100.0, 0.0])
    page, codes = open_page(model, grey), model.encode(grey)
    low, high = np.quantile(codes, (0.001, 0.999), axis=0)
    for unit in range(2):
        slider = page.locator(f"#latent-{unit}")
        ends = [float(slider.get_attribute(end)) for end in ("min", "max")]
        np.testing.assert_allclose(ends, [low[unit], high[unit]], rtol=1e-5)
    assert page.locator(".band").count() == 0
    page.locator(".plane").scroll_into_view_if_needed()
    box = page.locator(".plane").bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.25 * box["height"])
    code, _ = shown(page)
    expected = [0.75 * low[0] + 0.25 * high[0], 0.25 * low[1] + 0.75 * high[1]]
    np.testing.assert_allclose(code, expected, atol=0.01 * np.max(high - low))
    shows(page, model, code.astype("float32"))
    assert not page.get_by_role("button", name="Random sample").is_visible()


def test_a_code_is_chosen_and_exchanged_by_mouse_and_by_keyboard(open_page, scrambled, grey):
    model = scrambled("vq_vae")
    page, codes = open_page(model, grey), model.encode(grey[:1])
    got, before = shown(page)
    codes = got.astype(int).reshape(codes.shape)
    cells = page.locator(".map button")
    assert cells.count() == codes.size
    cells.nth(5).click()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    row, column = divmod(5 + 4 + 1, 4)
    assert cells.nth(10).evaluate("cell => cell === document.activeElement")
    title = page.locator(".editor label").inner_text()
    assert title == f"Code {codes.flat[10]} at row {row + 1}, column {column + 1}"

    used = np.bincount(model.encode(grey).ravel(), minlength=8)
    order = np.argsort(-used, kind="stable")
    slider = page.locator("#code")
    slider.press("Home")
    slider.press("ArrowRight")
    codes.flat[10] = order[1]
    shows(page, model, codes)
    share = f"{100 * used[order[1]] / used.sum():.2f} % of all positions of 12 images"
    assert share in page.locator("#use").inner_text()
    page.get_by_title("code 7", exact=True).click()
    codes.flat[10] = 7
    shows(page, model, codes)
    assert page.locator("[aria-pressed=true][title='code 7']").count() == 1
    page.get_by_role("button", name="Reset").click()
    np.testing.assert_array_equal(shown(page)[1], before)


def test_without_a_prior_the_button_changes_some_codes_and_with_one_it_draws(open_page, make, grey):
    page = open_page(make("vq_vae"), grey)
    before = shown(page)[0]
    for _ in range(8):  # a code may be replaced by itself
        page.get_by_role("button", name="Change some codes").click()
    changed = np.sum(shown(page)[0] != before)
    assert 0 < changed <= 16
    model = make("vq_vae", prior=CODE_PRIOR)
    page = open_page(model, grey)
    page.get_by_role("button", name="Random sample").click()
    pool = model.latent.sample_prior(64, np.random.default_rng(0)).reshape(64, -1).tolist()
    assert shown(page)[0].tolist() in pool


@pytest.mark.parametrize("factory, arguments", [("mlp_vae", {"latent_dim": 2}), ("vq_vae", {})])
def test_it_fits_a_phone_and_every_control_has_a_name(open_page, make, grey, factory, arguments):
    model = make(factory, **arguments)
    page = open_page(model, grey, viewport={"width": 390, "height": 844}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    nameless = page.evaluate("""() => [...document.querySelectorAll("input, button")].filter(
        (control) => !(control.labels?.length || control.ariaLabel || control.title
            || control.getAttribute("aria-labelledby") || control.textContent.trim())
    ).map((control) => control.outerHTML)""")
    assert nameless == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="light")
    page.evaluate(FRAMES)
    assert dark != page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_without_images_those_that_the_model_makes_are_shown_and_said_to_be(open_page, make):
    model = make("mlp_vae")
    page = open_page(model)
    assert page.locator("#strip-title").inner_text() == "Images that the model made"
    first = np.rint(model.generate(64, seed=0)[:1] * 255).astype("uint8")
    shows(page, model, model.encode(first))
