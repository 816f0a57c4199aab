"""The data sets known by name, the protocols, and .npz files of your own."""

import keras
import numpy as np
import pytest
from PIL import Image

import keras_vae
from keras_vae import data
from keras_vae.data import datasets

# Mean of the training and validation images, in [0, 1], as known for LeCun's, Zalando's and
# Krizhevsky's releases. Larochelle drew his pixels with the grey values as probabilities.
MEANS = {"mnist": 0.1307, "fashion-mnist": 0.2860, "cifar10": 0.4734, "binarized-mnist": 0.1307}
SIZES = {"cifar10": (45000, 5000, 10000)}


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
    assert not parts.pictures


def test_data_are_printed_by_type_and_shape():
    parts = data.Data(*np.zeros((2, 4, 8, 8, 3), "uint8"), pictures=True)
    expected = "Data(x_train=uint8(4, 8, 8, 3), x_validation=uint8(4, 8, 8, 3), pictures=True)"
    assert repr(parts) == expected


def test_the_suffix_may_be_in_capitals(tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=images(9))
    (tmp_path / "mine.npz").rename(tmp_path / "MINE.NPZ")
    assert len(data.load(tmp_path / "MINE.NPZ").x_train) == 8


def test_an_npy_file_is_told_how_to_become_an_npz(tmp_path):
    np.save(tmp_path / "mine.npy", images(9))
    with pytest.raises(ValueError, match=r"np.savez\('x.npz', x_train=np.load\("):
        data.load(tmp_path / "mine.npy")
    (tmp_path / "mine.npy").rename(tmp_path / "mine.npz")
    with pytest.raises(
        ValueError, match="it is damaged or of another kind. np.savez writes .npz files"
    ):
        data.load(tmp_path / "mine.npz")


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


@pytest.mark.parametrize("name", data.DATASETS)
def test_data_that_cannot_be_downloaded_fails_at_once_and_says_what_to_do(
    name, tmp_path, monkeypatch
):
    unreachable = data.DATASETS[name]._replace(host="http://127.0.0.1:9")
    monkeypatch.setattr(datasets, "DATASETS", {name: unreachable})
    with pytest.raises(ConnectionError, match=r"could not be downloaded.*TFDS_DATA_DIR.*\.npz"):
        data.load(name, data_dir=tmp_path)
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
def test_a_record_agrees_with_tensorflow_datasets(name):
    import tensorflow_datasets as tfds

    record = data.DATASETS[name]
    builder = tfds.builder_cls(record.tfds)
    assert record.version in {str(builder.VERSION), *map(str, builder.SUPPORTED_VERSIONS or ())}
    assert record.protocol is None or data.PROTOCOLS[record.protocol].dataset == name
    assert record.values in ("levels", "binary")


def fake(feature, rng):
    """An example of a feature of tensorflow-datasets."""
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.FeaturesDict):
        return {key: fake(part, rng) for key, part in feature.items()}
    if isinstance(feature, tfds.features.Image):
        # Smooth, as JPEG loses what is not; of one colour if it will be grey.
        height, width, channels = feature.shape
        rows, columns = np.linspace(0, 3, height)[:, None], np.linspace(0, 3, width)
        waves = [np.sin(rows + 6 * rng.random()) * np.cos(columns + 6 * rng.random())]
        return np.rint(127 + 100 * np.stack(waves * channels, -1)).astype("uint8")
    is_text = isinstance(feature, tfds.features.Text)
    return f"id {rng.integers(10**6)}" if is_text else int(rng.integers(2))


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A function of a data set's name that prepares a small one of the same builder, and reads it.

    It returns what was put into each part, in the order of its files, and the data.
    """
    import tensorflow_datasets as tfds

    def prepare(name):
        record, rng = data.DATASETS[name], np.random.default_rng(0)
        builder = tfds.builder(f"{record.tfds}:{record.version}", data_dir=tmp_path)
        splits = {split.partition("[")[0] for split in record[5:8]}
        examples = {
            split: [(i, fake(builder.info.features, rng)) for i in range(9)]
            for split in sorted(splits)
        }
        monkeypatch.setattr(
            type(builder), "_split_generators", lambda self, manager: dict(examples)
        )
        builder.download_and_prepare(file_format="tfrecord")
        few = {"train": "train[:6]", "validation": "train[6:]"} if "[" in record.train else {}
        monkeypatch.setattr(datasets, "DATASETS", {name: record._replace(**few)})
        stored = {
            split: list(builder.as_dataset(split=split, shuffle_files=False).as_numpy_iterator())
            for split in splits
        }
        return stored, data.load(name, data_dir=tmp_path)

    return prepare


def as_shown_by_pillow(image, record):
    """An image cut, made grey and resized by Pillow, whose bilinear filter is the same."""
    image = Image.fromarray(image.squeeze())
    if record.crop:
        top, left, height, width = record.crop
        image = image.crop((left, top, left + width, top + height))
    if record.shape[-1] == 1:
        image = image.convert("L")
    image = image.resize(record.shape[1::-1], Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(record.shape)


@pytest.mark.parametrize("name", [name for name in data.DATASETS if name not in MEANS])
def test_prepared_data_is_read_cut_and_resized_as_its_record_says(name, prepared):
    record, (stored, parts) = data.DATASETS[name], prepared(name)
    is_binary = record.values == "binary"
    if "[" in record.train:
        train, validation = stored["train"][:6], stored["train"][6:]
    else:
        train, validation = stored["train"], stored["validation"]
    expected = {"train": train, "validation": validation, "test": stored["test"]}
    for part, examples in expected.items():
        x, y = getattr(parts, f"x_{part}"), getattr(parts, f"y_{part}")
        assert x.shape == (len(examples), *record.shape)
        assert x.dtype == ("float32" if is_binary else "uint8")
        for image, example in zip(x, examples):
            shown = as_shown_by_pillow(example["image"], record).astype(int)
            assert np.abs(image - shown).max() <= (
                1 if example["image"].shape != record.shape else 0
            )
        has_labels = "label" in examples[0]
        assert (y is not None) == has_labels
        if has_labels:
            np.testing.assert_array_equal(y, [example["label"] for example in examples])


def test_every_protocol_measures_a_data_set_that_is_known():
    assert {protocol.dataset for protocol in data.PROTOCOLS.values()} <= set(data.DATASETS)


def test_a_data_set_is_found_by_its_name_in_tensorflow_datasets_too():
    assert data.find("fashion_mnist") == data.find("fashion-mnist") == "fashion-mnist"
    assert data.find("pictures") is None


@pytest.mark.parametrize(
    "name",
    [name if name == "mnist" else pytest.param(name, marks=pytest.mark.long) for name in MEANS],
)
def test_a_real_data_set_has_its_known_size_and_mean(name, real_data):
    record, parts = data.DATASETS[name], real_data(name)
    images = parts.x_train, parts.x_validation, parts.x_test
    sizes = SIZES.get(name, (50000, 10000, 10000))
    assert [x.shape for x in images] == [(n, *record.shape) for n in sizes]
    top = 1 if record.values == "binary" else 255
    assert all((x.min(), x.max()) == (0, top) for x in images)
    total = sum(x.sum(dtype="float64") for x in images[:2])
    mean = total / sum(x.size for x in images[:2]) / top
    assert mean == pytest.approx(MEANS[name], abs=1e-4)
    assert {x.dtype for x in images} == {np.dtype("float32" if top == 1 else "uint8")}


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_labels_belong_to_the_images(name, real_data):
    parts = real_data(name)
    for x, y in ((parts.x_train, parts.y_train), (parts.x_validation, parts.y_validation)):
        assert len(x) == len(y) and set(np.unique(y)) == set(range(10))
    # In both, each class has a mean image of its own: labels of other images would have one mean.
    means = [parts.x_train[parts.y_train == label].mean(axis=0) for label in range(10)]
    assert np.min([np.abs(a - b).max() for i, a in enumerate(means) for b in means[:i]]) > 15


def test_binary_images_are_read_as_zeros_and_ones_and_trained_on(real_data):
    parts = real_data("binarized-mnist")
    assert (parts.y_train, parts.y_validation, parts.y_test) == (None, None, None)
    assert set(np.unique(parts.x_test)) == {0, 1}
    model = keras_vae.mlp_vae((28, 28, 1), 2, (8,), seed=0)
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit(parts.x_train[:2000], epochs=3, verbose=0).history
    assert 100 < history["loss"][-1] < 300  # nats: divided by 255, they would cost next to none
    assert model.reconstruct(parts.x_test[:50]).max() > 0.5
