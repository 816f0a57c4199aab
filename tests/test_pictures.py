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
    """Five good pictures, and files that are none, or broken."""
    save(colours(20, 30), tmp_path / "a.png")
    save(colours(31, 9, 1), tmp_path / "b.JPG")
    save(colours(8, 8, 2), tmp_path / "deeper" / "c.webp", lossless=True)
    save(np.zeros((5, 5), "uint8"), tmp_path / "deeper" / "d.gif")
    save(np.full((12, 12, 4), [10, 20, 30, 0], "uint8"), tmp_path / "e.png")
    save(np.full((8, 8), 7, "float32"), tmp_path / "x-float.tif")
    (tmp_path / "x-empty.png").write_bytes(b"")
    (tmp_path / "x-page.png").write_text("<html>quota exceeded</html>")
    whole = (tmp_path / "b.JPG").read_bytes()
    (tmp_path / "x-cut.jpg").write_bytes(whole[: -len(whole) // 10])
    (tmp_path / "x-folder.png").mkdir()
    (tmp_path / "notes.txt").write_text("no picture, and not taken for one")
    (tmp_path / "README").write_text("P5 neither")
    (tmp_path / "drawing.svg").write_text("<svg/>")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypnone")
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "gone.png")
    return tmp_path


def test_a_folder_gives_what_can_be_read_and_says_what_can_not(folder):
    seen = []
    x, refused = pictures.read_folder(folder, (16, 12), 3, lambda *counts: seen.append(counts))
    assert x.shape == (5, 16, 12, 3) and x.dtype == np.uint8
    assert seen == [(i, 13) for i in range(1, 14)]
    reasons = {path.name: reason for path, reason in refused.items()}
    assert set(reasons) == {
        *("x-float.tif", "x-empty.png", "x-page.png", "x-cut.jpg", "nowhere.png"),
        *("notes.txt", "README", "drawing.svg", "phone.heic", ".hidden"),
    }
    assert "its values must be floats from 0 to 1. Received: 7 to 7" in reasons["x-float.tif"]
    assert "x-page.png is not a picture" in reasons["x-page.png"]
    assert "x-cut.jpg cannot be read: " in reasons["x-cut.jpg"]
    assert "nowhere.png links to nothing" in reasons["nowhere.png"]
    *others, last = refused.lines()
    assert sorted(others) == sorted(
        reasons[name]
        for name in ("x-float.tif", "x-empty.png", "x-page.png", "x-cut.jpg", "nowhere.png")
    )
    assert last == (
        "5 files that are not pictures: 1 .heic (to read them: pip install pillow-heif), 1 .svg "
        "(a drawing without pixels), 1 .txt, 1 hidden, 1 without an extension."
    )
    assert x[4].min() == 255  # what is transparent is white


@pytest.mark.parametrize("name", ["a.jfif", "a.avif", "a.pgm", "a.ppm", "a.tga", "a.qoi", "a"])
def test_what_pillow_reads_is_read_whatever_its_name(tmp_path, name):
    grey = np.full((6, 6), 90, "uint8")
    picture = Image.fromarray(grey if name.endswith("pgm") else np.stack([grey] * 3, -1))
    kinds = {"a.jfif": "JPEG", "a": "PNG"}
    picture.save(tmp_path / name, kinds.get(name))
    x, left = pictures.read_folder(tmp_path, (6, 6), 1)
    assert not left and np.abs(x.astype(int) - 90).max() <= 2  # some formats lose a little


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        (np.uint16(40_000), "a.png", 156),  # 40,000 * 255 / 65,535 = 155.6
        (np.uint16(40_000), "a.tif", 156),
        (np.int32(40_000), "a.tif", 156),
        (np.float32(0.25), "a.tif", 64),
        (np.float32(1 + 1e-7), "a.tif", 255),
    ],
)
def test_pictures_of_16_bits_or_floats_are_scaled_and_not_clipped(tmp_path, values, name, expected):
    save(np.full((8, 8), values), tmp_path / name)
    np.testing.assert_array_equal(
        pictures.read_folder(tmp_path)[0], np.full((1, 8, 8, 1), expected)
    )


@pytest.mark.parametrize("values", [np.float32("nan"), np.float32(1.1), np.int32(-1)])
def test_a_picture_whose_values_have_no_known_scale_is_refused(tmp_path, values):
    array = np.zeros((8, 8), values.dtype)
    array[3, 3] = values
    save(array, tmp_path / "a.tif")
    with pytest.raises(ValueError, match="a.tif cannot be read: its values must be"):
        pictures.read_picture(tmp_path / "a.tif", (8, 8, 1))


def test_of_an_animation_the_first_frame_is_read_and_the_others_are_counted(tmp_path):
    frames = [Image.fromarray(colours(8, 8, seed)) for seed in range(4)]
    for name in ("a.png", "b.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
    x, left = pictures.read_folder(tmp_path)
    np.testing.assert_array_equal(x, [colours(8, 8)] * 2)
    assert not left and left.lines() == ["6 frames of 2 animations: the first was read."]


def test_linked_folders_are_read_once_and_a_circle_of_links_ends(tmp_path):
    save(colours(4, 4), tmp_path / "elsewhere" / "a.png")
    save(colours(4, 4, 1), tmp_path / "here" / "b.png")
    (tmp_path / "here" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "here" / "circle").symlink_to(tmp_path / "here")
    x, left = pictures.read_folder(tmp_path / "here")
    assert len(x) == 2
    assert left.lines() == [
        f"{tmp_path / 'here' / 'circle'} links to a folder that is read already."
    ]


def test_a_large_picture_is_read_without_a_warning_and_a_giant_one_is_named(tmp_path, monkeypatch):
    save(colours(20, 20), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pictures.read_folder(tmp_path, (8, 8), 3)[0].shape == (1, 8, 8, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="a.png cannot be read: Image size .400 pixels"):
        pictures.read_picture(tmp_path / "a.png", (8, 8, 3))


def test_a_few_pictures_are_drawn_from_the_whole_folder_and_the_others_are_not_read(tmp_path):
    for key in range(40):
        save(np.full((4, 4), key, "uint8"), tmp_path / f"{key:02d}.png")
    seen = []
    x, _ = pictures.read_folder(tmp_path, None, None, lambda *counts: seen.append(counts), 10)
    again, _ = pictures.read_folder(tmp_path, limit=10)
    np.testing.assert_array_equal(x, again)
    drawn = set(x[:, 0, 0, 0])
    assert len(drawn) == 10 == len(seen)
    assert min(drawn) < 10 and max(drawn) >= 20  # not the first ten


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
    with pytest.raises(ValueError, match="holds no pictures that can be read. It is empty."):
        pictures.read_folder(tmp_path)
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(ValueError, match="no pictures that can be read. .*a.png is not a picture"):
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
    with pytest.warns(UserWarning, match="Left out 10 files: .*x-float.tif cannot be read: its"):
        parts = data.load(folder)
    assert parts.x_train.shape == (4, 64, 64, 3)
    pictures = ("a.png", "b.JPG", "e.png")
    for path in folder.iterdir():
        if not path.is_dir() and path.name not in pictures:
            path.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.load(str(folder)).x_test is None
