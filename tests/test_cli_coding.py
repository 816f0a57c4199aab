"""Images to codes and back in files: encode, decode, generate --out-dir."""

import numpy as np
import pytest
from PIL import Image
from test_cli import ARGUMENTS, as_saved, picture, refused, run

import keras_vae
from keras_vae import plots
from keras_vae.cli import coding, writing

X = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1), dtype="uint8")


@pytest.fixture(params=["mlp_vae", "vq_vae"])
def model(request, tmp_path):
    """A model saved in the folder small."""
    made = keras_vae.FACTORIES[request.param](**ARGUMENTS[request.param], seed=0)
    keras_vae.save_to_folder(made, tmp_path / "small")
    return made


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(coding, "_BATCH", 5)
    monkeypatch.setattr(writing, "_BATCH", 5)
    return tmp_path


def test_codes_are_those_of_the_library_one_row_a_picture_and_decode_to_pictures(here, model):
    (here / "pictures").mkdir()
    for key, image in enumerate(X):
        Image.fromarray(image[..., 0]).save(here / "pictures" / f"{key:02d}.png")
    (here / "pictures" / "05.txt").write_text("no picture")
    result = run("encode", "small", "--images", "pictures", "--out", "codes.npy")
    expected = model.encode(X)
    assert result.stdout == (
        f"Wrote {here / 'codes.npy'}: 12 codes of shape {expected.shape[1:]}\n"
    )
    assert result.stderr == "Left out: pictures/05.txt is not a picture.\n"
    codes = np.load("codes.npy")
    assert codes.dtype == expected.dtype
    np.testing.assert_allclose(codes, expected, atol=1e-5)

    assert run("decode", "small", "codes.npy").stdout == f"Wrote {here / 'small-decoded.png'}\n"
    images = model.decode(codes)
    grid = as_saved(plots.image_grid(images), here)
    np.testing.assert_allclose(picture(here / "small-decoded.png"), grid, atol=1)

    result = run("decode", "small", "codes.npy", "--out-dir", "images")
    assert result.stdout == f"Wrote 12 images to {here / 'images'}\n"
    paths = sorted((here / "images").iterdir())
    assert [path.name for path in paths] == [f"{key:02d}.png" for key in range(12)]
    read = np.stack([np.asarray(Image.open(path)) for path in paths])
    np.testing.assert_allclose(read, np.clip(255 * images[..., 0], 0, 255), atol=0.51)


def test_arrays_are_encoded_too(here, model):
    np.save("x.npy", X[..., 0])
    assert run("encode", "small", "--data", "x.npy").exit_code == 0
    np.testing.assert_allclose(np.load("small-codes.npy"), model.encode(X), atol=1e-5)


def test_generate_writes_the_images_of_the_grid_to_files(here):
    model = keras_vae.mlp_vae((8, 8, 3), 2, (4,), seed=0)
    keras_vae.save_to_folder(model, here / "small")
    result = run("generate", "small", "--n", 7, "--seed", 3, "--out-dir", "images")
    assert result.stdout == f"Wrote 7 images to {here / 'images'}\n"
    read = np.stack([np.asarray(Image.open(here / "images" / f"{key}.png")) for key in range(7)])
    np.testing.assert_allclose(read, 255 * model.generate(7, seed=3), atol=0.51)


def test_codes_that_are_not_the_models_are_refused_and_nothing_is_written(here, model):
    np.save("codes.npy", np.zeros((3, 9)))
    for options in ([], ["--out-dir", "images"]):
        refused(run("decode", "small", "codes.npy", *options))
    np.savez("codes.npz", a=X)
    assert "as an .npy of codes" in refused(run("decode", "small", "codes.npz"))
    np.save("codes.npy", np.zeros(3))
    assert "Found shape: (3,)" in refused(run("decode", "small", "codes.npy"))
    (here / "codes.npy").write_bytes(b"damaged")
    assert "cannot be read as an .npy of codes" in refused(run("decode", "small", "codes.npy"))
    (here / "empty").mkdir()
    assert "no pictures" in refused(run("encode", "small", "--images", "empty"))
    assert run("decode", "small", "codes.npy", "--out", "a.png", "--out-dir", "b").exit_code == 2
    assert sorted(path.name for path in here.iterdir()) == [
        *("codes.npy", "codes.npz", "empty", "small"),
    ]
