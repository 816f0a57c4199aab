"""Folders of pictures: any kind and size, broken ones reported, nothing lost or bent."""

import warnings

import numpy as np
import pytest
from PIL import Image

from keras_vae import data
from keras_vae.data import pictures


def colours(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype="uint8")


def save(array, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Five good pictures and six files that are none, or broken."""
    save(colours(20, 30), tmp_path / "a.png")
    save(colours(31, 9, 1), tmp_path / "b.JPG")
    save(colours(8, 8, 2), tmp_path / "deeper" / "c.webp", lossless=True)
    save(np.zeros((5, 5), "uint8"), tmp_path / "deeper" / "d.gif")
    save(np.full((12, 12, 4), [10, 20, 30, 0], "uint8"), tmp_path / "e.png")
    save(np.full((8, 8), 40_000, "uint16"), tmp_path / "x-16-bit.png")
    (tmp_path / "x-empty.png").write_bytes(b"")
    (tmp_path / "x-page.png").write_text("<html>quota exceeded</html>")
    whole = (tmp_path / "b.JPG").read_bytes()
    (tmp_path / "x-cut.jpg").write_bytes(whole[: -len(whole) // 10])
    (tmp_path / "x-folder.png").mkdir()
    (tmp_path / "notes.txt").write_text("no picture, and not taken for one")
    return tmp_path


def test_a_folder_gives_what_can_be_read_and_says_what_can_not(folder):
    seen = []
    x, refused = pictures.read_folder(folder, (16, 12), 3, lambda *counts: seen.append(counts))
    assert x.shape == (5, 16, 12, 3) and x.dtype == np.uint8
    assert seen == [(i, 9) for i in range(1, 10)]
    assert {path.name for path in refused} == {
        *("x-16-bit.png", "x-empty.png", "x-page.png", "x-cut.jpg"),
    }
    reasons = {path.name: reason for path, reason in refused.items()}
    assert "must have 8 bits per channel. Received mode: I;16" in reasons["x-16-bit.png"]
    assert "x-page.png is not a picture" in reasons["x-page.png"]
    assert "x-cut.jpg cannot be read: " in reasons["x-cut.jpg"]
    assert x[4].min() == 255  # what is transparent is white


def test_a_picture_of_the_size_asked_for_keeps_every_pixel(tmp_path):
    array = colours(7, 5)
    save(array, tmp_path / "a.png")
    np.testing.assert_array_equal(pictures.read_folder(tmp_path)[0], array[None])
    with_opacity = pictures.read_picture(tmp_path / "a.png", (7, 5, 4))
    np.testing.assert_array_equal(with_opacity[..., :3], array)
    assert with_opacity[..., 3].min() == 255


def test_a_picture_is_cut_about_its_middle_and_not_bent(tmp_path):
    array = np.zeros((10, 30, 3), "uint8")
    array[:, 10:20] = 200  # the middle square
    save(array, tmp_path / "wide.png")
    save(array.transpose(1, 0, 2), tmp_path / "high.png")
    x, _ = pictures.read_folder(tmp_path, (10, 10), 3)
    np.testing.assert_array_equal(x, np.full((2, 10, 10, 3), 200))


def test_a_photograph_is_turned_as_its_exif_data_says(tmp_path):
    array = np.zeros((8, 8, 3), "uint8")
    array[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    save(array, tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(pictures.read_folder(tmp_path)[0][0], array[::-1])


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(9, 7), (9, 7)], (9, 7, 1)),
        ([(9, 7), (9, 7, 3)], (9, 7, 3)),
        ([(9, 7), (7, 9)], (64, 64, 1)),
        ([(65, 64, 3)], (64, 64, 3)),
    ],
)
def test_size_and_channels_are_the_pictures_own_where_they_agree(tmp_path, shapes, expected):
    for key, shape in enumerate(shapes):
        save(np.zeros(shape, "uint8"), tmp_path / f"{key}.png")
    assert pictures.read_folder(tmp_path)[0].shape == (len(shapes), *expected)


def test_folders_without_pictures_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such folder"):
        pictures.read_folder(tmp_path / "none")
    with pytest.raises(ValueError, match="holds no pictures .*png"):
        pictures.read_folder(tmp_path)
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(ValueError, match="None of the 1 pictures .* can be read: .*not a picture"):
        pictures.read_folder(tmp_path)


@pytest.mark.parametrize(("text", "size"), [("64", (64, 64)), ("48x64", (48, 64))])
def test_a_size_is_a_number_or_two(text, size):
    assert pictures.check_size(text) == size


@pytest.mark.parametrize("text", ["0", "64x", "x64", "64,64", "large", "99999", ""])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="one number or HEIGHTxWIDTH, in pixels. Received"):
        pictures.check_size(text)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 2), (64,)])
def test_data_that_are_no_pictures_are_refused_by_shape(tmp_path, shape):
    save(colours(8, 8), tmp_path / "a.png")
    with pytest.raises(ValueError, match="1, 3 or 4 channels.*Received shape"):
        pictures.read_picture(tmp_path / "a.png", shape)


def test_a_number_of_channels_that_no_picture_has_is_refused_at_the_door(tmp_path):
    save(colours(8, 8), tmp_path / "a.png")
    with pytest.raises(ValueError, match="^A picture has a height, a width and 1, 3 or 4"):
        pictures.read_folder(tmp_path, channels=2)


def test_a_folder_is_data_shuffled_always_alike_and_none_lost(tmp_path):
    for key in range(12):
        save(np.full((4, 4), 20 * key, "uint8"), tmp_path / f"{key:02d}.png")
    parts, refused = data.from_pictures(tmp_path)
    again, _ = data.from_pictures(tmp_path)
    np.testing.assert_array_equal(parts.x_train, again.x_train)
    greys = np.concatenate([parts.x_train, parts.x_validation])[:, 0, 0, 0]
    assert (len(parts.x_train), len(parts.x_validation), refused) == (10, 2, {})
    assert sorted(greys) == [20 * key for key in range(12)] != list(greys)


def test_loading_a_folder_warns_of_what_is_left_out(folder):
    with pytest.warns(UserWarning, match="Left out 4 files: .*x-16-bit.png must have"):
        parts = data.load(folder)
    assert parts.x_train.shape == (4, 64, 64, 3)
    for path in folder.glob("x-*.*"):
        if path.is_file():
            path.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.load(str(folder)).x_test is None
