"""The latent explorer's views: the plane by keyboard, folded latents, ranges, print, pictures."""

import numpy as np
import pytest
from browser import SETTLED, shown
from PIL import Image
from test_explorer_page import shows, status

from keras_vae import explorer


def test_the_point_in_the_plane_is_moved_by_keyboard_and_says_where_it_is(
    open_page, scrambled, grey
):
    model = scrambled("mlp_vae", latent_dim=2)
    page = open_page(model, grey)
    plane = page.get_by_role("slider", name="Point in the plane of z0 and z1")
    page.get_by_role("button", name="The second is image 2").focus()
    page.keyboard.press("Tab")
    assert plane.evaluate("plane => plane === document.activeElement")
    page.evaluate("ready.then((explorer) => explorer.edit(Float32Array.of(0, 1), ''))")
    for key in ("ArrowRight", "Shift+ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    ranges = page.evaluate("content.ranges")
    sizes = [high - low for low, high in ranges]
    expected = [(0.0125 + 0.1) * sizes[0], 1 - 0.0125 * sizes[1]]
    code, _ = shown(page)
    np.testing.assert_allclose(code, expected, atol=1e-5)
    shows(page, model, code.astype("float32"))
    assert plane.get_attribute("aria-valuetext") == f"z0 {code[0]:.2f}, z1 {code[1]:.2f}"
    for _ in range(10):
        page.keyboard.press("Shift+ArrowUp")
    assert shown(page)[0][1] == pytest.approx(ranges[1][1])  # and not beyond
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "range"


def test_the_plane_has_numbers_on_its_axes_and_a_colour_for_each_class(open_page, scrambled, grey):
    model = scrambled("mlp_vae", latent_dim=2)
    labels = np.arange(12) % 3 + 9
    page = open_page(model, grey, labels=labels)
    for j, side in enumerate(("left", "bottom")):
        axis = page.locator(".axis").nth(1 - j)
        low, high = page.evaluate(f"content.ranges[{j}]")
        ticks = axis.evaluate(
            "(axis, side) => [...axis.children].map((t) => [t.textContent, t.style[side]])", side
        )
        assert ticks.pop()[0] == f"z{j}" and len(ticks) >= 3
        for text, place in ticks:
            assert float(place.rstrip("%")) == pytest.approx(
                100 * (float(text) - low) / (high - low), abs=0.01
            )
    assert page.locator(".legend li").all_inner_texts() == ["9", "10", "11"]
    assert page.get_by_role("button", name="Image 2, class 10", exact=True).count() == 1
    got = page.evaluate("""() => {
        const canvas = document.querySelector(".dots");
        const { ranges, plane } = content;
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return plane.codes.map(([x, y]) => {
            const left = Math.round(placeIn(ranges[0], x) * canvas.width);
            const top = Math.round((1 - placeIn(ranges[1], y)) * canvas.height);
            const at = 4 * (top * canvas.width + left);
            const hex = [...data.slice(at, at + 3)].map((v) => v.toString(16).padStart(2, "0"));
            return "#" + hex.join("");
        });
    }""")
    colours = page.evaluate("COLOURS")
    agree = [colour == colours[label - 9] for colour, label in zip(got, labels)]
    assert np.mean(agree) >= 0.75  # a dot may hide another
    codes = page.evaluate("content.plane.codes")
    np.testing.assert_allclose(codes, model.encode(grey), atol=6e-4)


def test_labels_are_one_for_each_image(make, grey):
    for labels, x in ((np.zeros(3), grey), (np.zeros((12, 2)), grey), (np.zeros(12), None)):
        with pytest.raises(ValueError, match="labels must be one for each of x, .*shape: "):
            explorer.render(make("mlp_vae"), x, labels=labels)


def test_numbers_on_axes_are_round(open_page, scrambled):
    page = open_page(scrambled("mlp_vae"))
    for low, high in ((-3, 3), (-9, 9), (0.013, 0.021), (-4000, 100), (99.5, 100.5)):
        ticks = page.evaluate(f"roundNumbers({low}, {high})")
        assert 3 <= len(ticks) <= 9 and low <= ticks[0] and ticks[-1] <= high
        steps = np.diff(ticks)
        np.testing.assert_allclose(steps, steps[0], rtol=1e-3)
        assert f"{steps[0]:.1e}"[0] in "125"


def test_the_first_eight_latents_are_shown_with_their_ranges_and_the_rest_are_folded(
    open_page, scrambled, grey
):
    model = scrambled("mlp_vae", latent_dim=13)
    page = open_page(model, grey)
    rows = page.locator("#latents .slider")
    assert rows.count() == 13
    assert [rows.nth(i).is_visible() for i in (0, 7, 8, 12)] == [True, True, False, False]
    assert page.locator(".more summary").inner_text() == "5 more, used less"
    page.locator(".more summary").press("Enter")
    assert rows.nth(12).is_visible()
    for i in range(13):
        ends = [rows.nth(i).locator("input").get_attribute(end) for end in ("min", "max")]
        texts = rows.nth(i).locator(".ends small").all_inner_texts()
        assert [float(text) for text in texts] == [float(end) for end in ends]
    notes = page.locator("#notes").inner_text()
    assert "A nat is a unit of information, about 1.44 bits" in notes
    assert np.log(7) == pytest.approx(2, abs=0.06)  # "2 nats … a choice among 7"


def test_a_picture_is_saved_with_the_pixels_that_are_shown(open_page, scrambled, grey):
    page = open_page(scrambled("mlp_vae", (8, 5, 3)), name="a model/<of mine>")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save picture").click()
    assert download.value.suggested_filename == "a-model-of-mine-.png"
    saved = np.asarray(Image.open(download.value.path()).convert("RGB"))
    assert saved.shape == (1024, 640, 3)
    np.testing.assert_array_equal(saved[64::128, 64::128], shown(page)[1])
    assert status(page) == "The picture goes to your downloads."


def test_on_paper_there_are_all_latents_and_no_buttons(open_page, scrambled, grey):
    page = open_page(scrambled("mlp_vae", latent_dim=10), grey, color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".slider").last.is_visible()
    assert not page.locator("#sample").is_visible() and not page.locator("#save").is_visible()
    white = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert white == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.locator(".slider").last.is_visible()


def test_the_ends_of_the_way_between_say_which_images_they_are(open_page, scrambled, grey):
    page = open_page(scrambled("mlp_vae"), grey)
    assert page.locator("#way button").all_inner_texts() == ["Image 1", "Image 2"]
    page.locator("#second").click()
    page.evaluate(SETTLED)
    assert page.locator("#way button").all_inner_texts() == ["Image 1", "Image 3"]
    between = page.get_by_role("slider", name="Between two of them")
    between.fill("0.5")
    assert between.get_attribute("aria-valuetext") == "50 % of the way from image 1 to image 3"
