"""The data sets, and .npz files of the user's own."""

import numpy as np
import pytest

from keras_vae import data


def images(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 6, 5), dtype="uint8")


def test_an_npz_is_split_so_that_the_last_sixth_validates(tmp_path):
    x, y = images(60), np.arange(60)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=images(7, 1))
    parts = data.load(tmp_path / "mine.npz")
    np.testing.assert_array_equal(parts.x_train, x[:50, ..., None])
    np.testing.assert_array_equal(parts.x_validation, x[50:, ..., None])
    np.testing.assert_array_equal(parts.y_validation, y[50:])
    assert parts.x_test.shape == (7, 6, 5, 1)


def test_a_validation_part_in_the_npz_is_kept(tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=images(9), x_validation=images(4, 1))
    parts = data.load(str(tmp_path / "mine.npz"))
    assert (len(parts.x_train), len(parts.x_validation), parts.x_test) == (9, 4, None)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_bytes(b"<html>quota exceeded</html>"), "cannot be read"),
        (lambda path: np.savez(path, pictures=images(3)), "must hold the array x_train.*pictures"),
        (lambda path: np.savez(path, x_train=images(1)), "at least two images"),
        (lambda path: np.savez(path, x_train=np.array([{}], object)), "cannot be read"),
        (lambda path: np.savez(path, x_train=np.float32(3)), r"x_train must have shape .* \(\)"),
        (lambda path: np.savez(path, x_train=np.ones(9)), r"x_train must have shape .* \(9,\)"),
        (lambda path: np.savez(path, x_train=[["a"]] * 9), "x_train must be an array of numbers"),
        (
            lambda path: np.savez(path, x_train=images(9), y_train=3),
            r"y_train must have shape .* \(\)",
        ),
    ],
    ids=["html", "other-names", "one-image", "pickle", "number", "line", "words", "one-label"],
)
def test_a_file_that_is_no_such_npz_is_refused(tmp_path, write, message):
    path = tmp_path / "bad.npz"
    write(path)
    with pytest.raises(ValueError, match=message):
        data.load(path)


def test_a_missing_file_and_an_unknown_name_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file"):
        data.load(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="Unknown data 'minst'.*mnist, fashion-mnist"):
        data.load("minst")


def test_data_that_cannot_be_had_says_so_at_once_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setitem(data.HOSTS, "mnist", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"could not be downloaded.*TFDS_DATA_DIR.*\.npz"):
        data.load("mnist", data_dir=tmp_path)
    assert not list(tmp_path.rglob("*.gz*"))


def test_binarisation_draws_validation_first_from_the_legacy_generator():
    x = images(20)[..., None]
    parts = data.Data(x[:10], x[10:14], x[14:])
    validation, test = data.binarized_once(parts)
    np.random.seed(777)  # the way the published code does it
    np.testing.assert_array_equal(validation, np.random.binomial(1, x[10:14] / 255.0))
    np.testing.assert_array_equal(test, np.random.binomial(1, x[14:] / 255.0))
    floats = data.Data(*((part / 255).astype("float64") for part in (x[:10], x[10:14], x[14:])))
    np.testing.assert_array_equal(data.binarized_once(floats)[1], test)


@pytest.mark.parametrize("name", data.DATASETS)
def test_the_real_data_sets_have_their_known_size_and_mean(name, real_data):
    parts = real_data(name)
    shapes = [part.shape for part in (parts.x_train, parts.x_validation, parts.x_test)]
    assert shapes == [(n, 28, 28, 1) for n in (50000, 10000, 10000)]
    # Pixel mean of the 60,000 training images, known since LeCun's and Zalando's releases.
    mean = np.concatenate([parts.x_train, parts.x_validation]).mean() / 255
    assert mean == pytest.approx({"mnist": 0.1307, "fashion-mnist": 0.2860}[name], abs=1e-4)
    np.testing.assert_array_equal(np.bincount(parts.y_train, minlength=10) > 4000, True)
