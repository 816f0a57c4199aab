"""Pictures: what is on them is what was given, pixel by pixel."""

import importlib
import sys

import matplotlib.image
import numpy as np
import pytest

from keras_vae import plots
from keras_vae.plots import grids

GAP = grids._GAP
GREY = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype="uint8")


def saved(figure, folder):
    """The picture, written and read back: uint8 `(height, width, 4)`."""
    plots.save(figure, folder / "picture.png")
    return np.rint(255 * matplotlib.image.imread(folder / "picture.png")).astype("uint8")


def tile(picture, row, column, shape, zoom):
    """The tile of a grid, one pixel for each of the image's, after a check that none differ."""
    height, width = shape[0] * zoom, shape[1] * zoom
    top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
    enlarged = picture[top : top + height, left : left + width]
    small = enlarged[::zoom, ::zoom]
    np.testing.assert_array_equal(small.repeat(zoom, 0).repeat(zoom, 1), enlarged)
    return small


def rgba(image):
    """Any image as uint8 RGBA, by the words of image_grid's docstring."""
    image = image if image.ndim == 3 else image[..., None]
    image = image if image.shape[-1] == 3 else image.repeat(3, axis=-1)
    return np.concatenate([image, np.full_like(image[..., :1], 255)], axis=-1)


def test_every_image_of_a_grid_is_shown_pixel_by_pixel_and_the_rest_is_white(tmp_path):
    picture = saved(plots.image_grid(GREY), tmp_path)
    assert picture.shape == (2 * (140 + GAP) + GAP, 3 * (140 + GAP) + GAP, 4)
    for i, image in enumerate(GREY):
        np.testing.assert_array_equal(tile(picture, i // 3, i % 3, (28, 28), 5), rgba(image))
    assert (tile(picture, 1, 2, (28, 28), 5) == 255).all()
    assert (picture[:GAP] == 255).all() and (picture[-GAP:] == 255).all()
    assert (picture[:, 144 : 144 + GAP] == 255).all()


def test_a_colour_image_keeps_its_colours(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (2, 7, 9, 3), dtype="uint8")
    picture = saved(plots.image_grid(images, columns=1), tmp_path)
    for row in range(2):
        np.testing.assert_array_equal(tile(picture, row, 0, (7, 9), 150 // 9), rgba(images[row]))


def test_two_channels_are_shown_by_their_mean(tmp_path):
    images = np.stack([np.full((2, 10, 10), 20, "uint8"), np.full((2, 10, 10), 40, "uint8")], -1)
    picture = saved(plots.image_grid(images), tmp_path)
    np.testing.assert_array_equal(
        tile(picture, 0, 1, (10, 10), 15), rgba(np.full((10, 10), 30, "uint8"))
    )


def test_an_opaque_fourth_channel_shows_the_colours_and_a_clear_one_shows_white(tmp_path):
    images = np.zeros((2, 30, 30, 4), "uint8")
    images[0, ..., 3] = 255
    picture = saved(plots.image_grid(images), tmp_path)
    assert (tile(picture, 0, 0, (30, 30), 5) == [0, 0, 0, 255]).all()
    assert (tile(picture, 0, 1, (30, 30), 5) == 255).all()


def test_floats_are_clipped_to_0_and_1_and_0_is_black(tmp_path):
    values = np.array([-3.0, 0.0, 0.2, 1.0, 7.0], "float32").reshape(1, 1, 5)
    picture = saved(plots.image_grid(values), tmp_path)
    assert tile(picture, 0, 0, (1, 5), 30)[0, :, 0].tolist() == [0, 0, 51, 255, 255]


def test_uint8_and_the_same_images_as_floats_make_the_same_picture(tmp_path):
    as_floats = plots.image_grid((GREY / 255).astype("float32"))
    np.testing.assert_array_equal(
        saved(plots.image_grid(GREY), tmp_path), saved(as_floats, tmp_path)
    )


@pytest.mark.parametrize("n", [1, 2, 3, 17, 100])
@pytest.mark.parametrize("shape", [(1, 1), (33, 150), (200, 170), (3, 400)])
def test_a_picture_has_the_pixels_of_its_tiles_and_gaps_whatever_the_size(n, shape):
    picture = plots.image_grid(np.zeros((n, *shape)), columns=3)
    rows, columns = -(-n // 3), min(n, 3)
    height, width = picture.bbox.size[::-1]
    zoom = (height - GAP - rows * GAP) / (rows * shape[0])
    assert zoom == int(zoom) >= 1
    assert width == columns * (shape[1] * zoom + GAP) + GAP
    assert max(shape) * zoom <= max(150, *shape)


def test_many_images_are_enlarged_less():
    figure = plots.image_grid(np.zeros((1024, 28, 28), "uint8"))
    assert figure.bbox.size.tolist() == [32 * (4 * 28 + GAP) + GAP] * 2


def test_originals_are_above_their_reconstructions(tmp_path):
    darker = GREY // 2
    figure = plots.reconstruction_pairs(GREY, darker[..., None], columns=3)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["original", "reconstruction"] * 2
    picture = saved(figure, tmp_path)
    left = 110 + GAP
    tops = [4 * GAP, 5 * GAP + 140, 9 * GAP + 2 * 140, 10 * GAP + 3 * 140]
    for top, image in zip(tops, (GREY[1], darker[1], GREY[4], darker[4])):
        corner = picture[top : top + 140 : 5, left + 144 : left + 284 : 5]
        np.testing.assert_array_equal(corner, rgba(image))
    assert (picture[tops[2] :, left + 2 * 144 :] == 255).all()
    beside_a_row = picture[tops[0] : tops[0] + 140, : left - GAP]
    assert beside_a_row.min() < 150, "the label is missing"
    assert (beside_a_row[:, 0] == 255).all(), "the label is cut"


@pytest.mark.parametrize(
    "bad", [np.zeros((28, 28)), np.zeros((0, 28, 28)), np.zeros((1, 2, 3, 4, 5))]
)
def test_what_is_no_array_of_images_is_refused_with_the_rule_and_its_shape(bad):
    with pytest.raises(ValueError, match=r"images must have shape \(n, height, width\)") as error:
        plots.image_grid(bad)
    assert str(bad.shape) in str(error.value)


def test_whole_numbers_other_than_uint8_are_refused():
    with pytest.raises(ValueError, match="must be uint8 or float.*Received dtype: int64"):
        plots.image_grid(np.zeros((1, 28, 28), "int64"))


def test_nan_is_refused():
    with pytest.raises(ValueError, match="images must be finite"):
        plots.image_grid(np.full((1, 28, 28), np.nan))


def test_pairs_that_do_not_match_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"\(5, 28, 28\) and \(4, 28, 28\)"):
        plots.reconstruction_pairs(GREY, GREY[:4])


@pytest.mark.parametrize("columns", [0, -1, 2.5])
def test_columns_are_a_whole_number_of_at_least_one(columns):
    with pytest.raises(ValueError, match="columns must be a whole number >= 1"):
        plots.image_grid(GREY, columns=columns)


def test_a_picture_too_large_is_refused_before_it_takes_memory():
    images = np.broadcast_to(np.zeros((1, 1, 1), "uint8"), (1, 20_000, 20_000))
    with pytest.raises(ValueError, match="20,008 x 20,008"):
        grids._figure([np.broadcast_to(images[..., None], (1, 20_000, 20_000, 4))], [GAP])


def test_saving_replaces_a_file_and_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "picture.png").write_text("old")
    saved(plots.image_grid(GREY), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_a_missing_folder_is_named_and_not_made(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"No such folder: {tmp_path / 'none'}"):
        plots.save(plots.image_grid(GREY), tmp_path / "none" / "picture.png")
    assert not (tmp_path / "none").exists()


def test_only_png_is_written(tmp_path):
    with pytest.raises(ValueError, match="must end in .png. Received: .*picture.jpg"):
        plots.save(plots.image_grid(GREY), tmp_path / "picture.jpg")
    assert list(tmp_path.iterdir()) == []


def test_the_users_matplotlib_settings_are_neither_used_nor_changed(tmp_path):
    plain = saved(plots.image_grid(GREY), tmp_path)
    with matplotlib.rc_context(
        {"savefig.dpi": 50, "savefig.facecolor": "black", "image.cmap": "jet"}
    ):
        np.testing.assert_array_equal(saved(plots.image_grid(GREY), tmp_path), plain)
        assert matplotlib.rcParams["savefig.dpi"] == 50


def test_the_module_can_be_imported_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    importlib.reload(grids)
    with pytest.raises(ImportError):
        plots.image_grid(GREY)
