"""Sharded TFRecord files: read by position, written whole or not at all, refused if damaged."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from keras_vae import data
from keras_vae.data import tfrecords
from keras_vae.data.crc32c import crc32c
from keras_vae.data.examples import read_image
from keras_vae.data.shards import find_shards

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (23, 6, 5, 3), dtype="uint8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of five files of five images each, or three."""
    folder = tmp_path_factory.mktemp("shards")
    data.write_shards(iter(X), folder, shard_bytes=5 * 150)
    return folder


def slow_crc32c(content):
    remainder = 0xFFFFFFFF
    for byte in content:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF


def test_checksums_are_those_of_the_standard():
    """RFC 3720, appendix B.4, and the check value of the catalogue of CRCs."""
    contents = [bytes(32), b"\xff" * 32, bytes(range(32)), bytes(range(31, -1, -1)), b"123456789"]
    wanted = [0x8A9136AA, 0x62A8AB43, 0x46DD794E, 0x113FDB5C, 0xE3069283]
    assert crc32c(contents).tolist() == wanted
    assert crc32c(np.zeros((2, 32), "uint8")).tolist() == wanted[:1] * 2


def test_checksums_of_any_lengths_are_those_of_the_definition():
    contents = [RNG.bytes(n) for n in (4, 5, 127, 128, 129, 255, 256, 700, 1025)]
    assert crc32c(contents).tolist() == list(map(slow_crc32c, contents))
    for content in contents:
        assert crc32c([content]).tolist() == [slow_crc32c(content)]
        rows = np.frombuffer(content, "uint8")[None]
        assert crc32c(rows).tolist() == [slow_crc32c(content)]


def test_images_are_read_by_position_as_they_were_written(folder):
    names = [path.name for path in sorted(folder.iterdir())]
    assert names == [f"images.tfrecord-{i:05d}-of-00005" for i in range(5)]
    x = data.read_shards(folder)
    assert (x.shape, x.dtype, len(x)) == (X.shape, np.uint8, 23)
    order = RNG.permutation(23)
    np.testing.assert_array_equal(x[order], X[order])
    np.testing.assert_array_equal(x[3:17:2], X[3:17:2])
    np.testing.assert_array_equal(x[-1], X[-1])
    np.testing.assert_array_equal(np.stack(list(x)), X)
    part = x.take(order[:7])
    np.testing.assert_array_equal(part[2:5], X[order[2:5]])
    assert x[:0].shape == (0, 6, 5, 3)
    np.testing.assert_array_equal(x[[-2, 3]], X[[-2, 3]])
    np.testing.assert_array_equal(x[np.arange(23) > 20], X[21:])
    for outside in (23, [22, 23], [-24]):
        with pytest.raises(IndexError, match="of 23"):
            x[outside]


def test_tensorflow_reads_what_is_written(folder):
    import tensorflow as tf

    paths = sorted(map(str, folder.iterdir()))
    spec = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "shape": tf.io.FixedLenFeature([3], tf.int64),
    }
    parsed = [tf.io.parse_single_example(record, spec) for record in tf.data.TFRecordDataset(paths)]
    images = [tf.reshape(tf.io.decode_raw(one["image"], "uint8"), one["shape"]) for one in parsed]
    np.testing.assert_array_equal(np.stack(images), X)


def tf_example(**features):
    import tensorflow as tf

    def feature(value):
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        kind = "float" if isinstance(value[0], float) else "int64"
        lists = {"float": tf.train.FloatList, "int64": tf.train.Int64List}
        return tf.train.Feature(**{f"{kind}_list": lists[kind](value=value)})

    features = {name: feature(value) for name, value in features.items()}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString()


def tf_write(path, *records, **options):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path), **options) as file:
        for record in records:
            file.write(record)


def encoded(image, kind="PNG", mode=None):
    file = io.BytesIO()
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    (picture if mode is None else picture.convert(mode)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_that_tensorflow_wrote_are_read(tmp_path, channels):
    x = RNG.integers(0, 256, (4, 9, 7, channels), dtype="uint8")
    records = [tf_example(image=encoded(one), label=[2], more=[0.5, 1.5]) for one in x]
    tf_write(tmp_path / "set-train.tfrecord-00000-of-00001", *records)
    np.testing.assert_array_equal(data.read_shards(tmp_path)[:], x)


def test_a_jpeg_and_a_palette_are_read_as_pillow_decodes_them():
    for kind, mode in (("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "P")):
        content = encoded(X[0], kind, mode)
        with Image.open(io.BytesIO(content)) as picture:
            wanted = np.asarray(picture.convert("RGB") if mode == "P" else picture)
        got = read_image(tf_example(photo=content), "photo")
        np.testing.assert_array_equal(got, wanted.reshape(got.shape))


@pytest.mark.long
def test_the_records_of_tensorflow_datasets_are_the_images_that_it_reads(real_data):
    wanted = real_data("mnist").x_test
    if "TFDS_DATA_DIR" not in os.environ:
        pytest.skip("set TFDS_DATA_DIR")
    parts = data.load(f"{os.environ['TFDS_DATA_DIR']}/mnist/3.0.1")
    assert (len(parts.x_train), len(parts.x_validation)) == (50_000, 10_000)
    assert parts.x_test.shape == (10_000, 28, 28, 1)
    # TFDS numbers records across files as we do.
    rows = np.arange(0, 10_000, 97)
    np.testing.assert_array_equal(parts.x_test[rows], wanted[rows])


def first_file(folder, tmp_path):
    path = tmp_path / "images.tfrecord-00000-of-00001"
    path.write_bytes((folder / "images.tfrecord-00000-of-00005").read_bytes())
    return path


def test_a_file_that_is_cut_off_is_refused_by_name(folder, tmp_path):
    path = first_file(folder, tmp_path)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) - 140, 5):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"images.tfrecord-00000-of-00001 is cut off"):
            data.read_shards(tmp_path)


def test_a_damaged_record_is_named_when_it_is_read(folder, tmp_path):
    path = first_file(folder, tmp_path)
    whole = bytearray(path.read_bytes())
    size = len(whole) // 5
    whole[2 * size + 40] ^= 1
    path.write_bytes(whole)
    x = data.read_shards(tmp_path)
    np.testing.assert_array_equal(x[:2], X[:2])
    with pytest.raises(ValueError, match=r"-00000-of-00001 is damaged: record 2, counted from 0"):
        x[1:4]
    path.write_bytes(whole[: size + 3])
    whole[size + 1] ^= 64  # a length
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="is damaged: record 1, counted from 0"):
        data.read_shards(tmp_path)


def test_of_records_of_one_length_a_few_are_looked_at_and_another_length_is_not_missed(
    tmp_path, monkeypatch
):
    def write(sizes):
        contents = [RNG.integers(0, 256, (1, size), dtype="uint8") for size in sizes]
        path.write_bytes(b"".join(tfrecords.framed(one).tobytes() for one in contents))
        return [one.tobytes() for one in contents]

    def read(numbers):
        return tfrecords.read_records(path, found[numbers], found[numbers + 1], numbers)

    path, numbers = tmp_path / "records", np.arange(1000)
    contents = write([20] * 1000)
    found = tfrecords.find_records(path)
    assert found.tolist() == list(range(0, 36_001, 36)) and read(numbers) == contents
    contents = write([20] * 500 + [29, 10] + [20] * 499)  # 36 bytes more, but not alike
    found = tfrecords.find_records(path)
    assert len(found) == 1002 and read(np.arange(1001)) == contents
    # Between the places: what is there is named when it is read.
    contents = write([20] * 501 + [22, 18] + [20] * 497)
    found = tfrecords.find_records(path)
    assert read(numbers[:501]) == contents[:501]
    with pytest.raises(ValueError, match="record 501, counted from 0, is not what was written"):
        read(numbers[500:510])
    assert read(numbers[503:]) == contents[503:]


def test_a_file_that_changes_after_it_was_opened_is_noticed(folder, tmp_path):
    path = first_file(folder, tmp_path)
    x = data.read_shards(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="is damaged: record 4"):
        x[4:5]


def test_what_is_no_set_of_images_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="holds these sets of TFRecord files: none. Wanted: None"):
        data.read_shards(tmp_path)
    path = tmp_path / "a.tfrecord-00000-of-00001"
    for content, message in (
        (b"no records at all, but text", "a.tfrecord-00000-of-00001 is not a TFRecord file"),
        (b"", "must hold at least one example"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            data.read_shards(tmp_path)
    for record, message in (
        (b"some text", "record 0, counted from 0, holds no image: it is not a tf.train.Example"),
        (tf_example(label=[1]), "it has no feature 'image'. It has: label."),
        (tf_example(image=b"raw"), "neither a PNG nor a JPEG file, nor raw uint8 values"),
        (tf_example(image=b"raw", shape=[2, 2]), "Received 3 bytes and shape"),
        (tf_example(image=encoded(X[0])[:60]), "its image cannot be decoded"),
        (tf_example(image=encoded(X[0, ..., :1], mode="I;16")), "not of 8 bits"),
    ):
        tf_write(path, record)
        with pytest.raises(ValueError, match=message):
            data.read_shards(tmp_path)
    tf_write(path, tf_example(image=encoded(X[0])), options="GZIP")
    with pytest.raises(ValueError, match="Compressed files are not read by position"):
        data.read_shards(tmp_path)
    tf_write(path, *(tf_example(image=encoded(one)) for one in (X[0], X[0], X[0, 1:])))
    with pytest.raises(ValueError, match=r"Example 2 of the source is uint8 of shape \(5, 5, 3\)"):
        data.read_shards(tmp_path)[1:]


def test_a_set_with_files_missing_is_refused_by_the_first_of_them(folder, tmp_path):
    first_file(folder, tmp_path).rename(tmp_path / "images.tfrecord-00001-of-00003")
    with pytest.raises(ValueError, match="lacks 2 of 3 files .* images.tfrecord-00000-of-00003"):
        data.load(tmp_path)


def test_of_several_sets_one_must_be_named(tmp_path):
    for name, count in (("a-train", 4), ("a-test", 2)):
        data.write_shards(X[:count], tmp_path, name)
    assert len(data.read_shards(tmp_path, "a-test")) == 2
    with pytest.raises(ValueError, match="sets of TFRecord files: a-test, a-train. Wanted: a name"):
        data.read_shards(tmp_path)
    parts = data.load(tmp_path)
    assert len(parts.x_test) == 2 and len(parts.x_train) == 4 - len(parts.x_validation) == 3
    data.write_shards(X[:3], tmp_path, "other")
    with pytest.raises(
        ValueError, match="must hold one set of TFRecord files, or sets whose names"
    ):
        data.load(tmp_path)


def test_a_sixth_of_the_images_validates_drawn_from_all_of_them(folder):
    parts = data.load(folder)
    assert (len(parts.x_train), len(parts.x_validation), parts.pictures) == (20, 3, True)
    both = np.concatenate([parts.x_train[:], parts.x_validation[:]])
    assert sorted(map(bytes, both)) == sorted(map(bytes, X))
    np.testing.assert_array_equal(data.load(folder).x_validation[:], parts.x_validation[:])


def test_what_is_interrupted_leaves_nothing_that_looks_whole(tmp_path):
    def images():
        yield from X[:12]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.write_shards(images(), tmp_path / "new", shard_bytes=700)
    assert not (tmp_path / "new").exists()
    # A process that is killed removes nothing.
    (tmp_path / ".images.tfrecord-00007.partial").write_bytes(b"some")
    assert find_shards(tmp_path) == {}
    data.write_shards(X[:3], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["images.tfrecord-00000-of-00001"]


def test_what_cannot_be_written_is_refused(tmp_path, folder):
    for images, message in (
        ([], "There are no images to write"),
        ([X[0] / 255], "uint8 arrays. Received, as image 0: float64"),
        ([X[0], X[1, 1:]], r"Image 1 has shape \(5, 5, 3\), and the first one \(6, 5, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            data.write_shards(images, tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="holds images already"):
        data.write_shards(X, folder)
    assert len(list(folder.iterdir())) == 5


def test_a_record_longer_than_the_file_is_not_read_into_memory(tmp_path):
    """A damaged length must not make the reader ask for exabytes."""
    path = tmp_path / "a.tfrecord-00000-of-00001"
    record = bytearray(tfrecords.framed(np.zeros((1, 8), "uint8")).tobytes())
    record[6] = 255
    path.write_bytes(record)
    with pytest.raises(ValueError, match="is not a TFRecord file"):
        data.read_shards(tmp_path)
