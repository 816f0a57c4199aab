"""Data that is not in memory: arrays in files and pipelines, read a batch at a time."""

import itertools
import tracemalloc

import h5py
import keras
import numpy as np
import pytest
from conftest import on_default_backend

import keras_vae
from keras_vae import batches

N = 10
LABELS, WEIGHTS = np.arange(N), np.ones(N, "float32")


class Batches(keras.utils.PyDataset):
    """Batches of 4 with labels; counts how many of them were asked for."""

    def __init__(self, x, endless=False):
        super().__init__()
        self.x, self.asked, self.endless = x, [], endless

    @property
    def num_batches(self):
        return None if self.endless else -(-len(self.x) // 4)

    def __getitem__(self, i):
        self.asked.append(i)
        return self.x[4 * i : 4 * i + 4], LABELS[4 * i : 4 * i + 4]


class Rows:
    """An array elsewhere, as HDF5's and zarr's are: it notes the most rows read at once."""

    def __init__(self, x):
        self.x, self.shape, self.dtype, self.most = x, x.shape, x.dtype, 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        rows = self.x[index]
        self.most = max(self.most, len(rows))
        return rows


def generator(x):
    for i in range(0, len(x), 3):
        yield x[i : i + 3], LABELS[i : i + 3], WEIGHTS[i : i + 3]


def dataset(x):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices((x, LABELS)).batch(4)


def loader(x):
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(LABELS))
    return torch.utils.data.DataLoader(data, batch_size=4)


def plain(x):
    """Without labels."""
    return iter([x[:7], x[7:]])


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).random((N, 8, 8, 1), dtype="float32")


@pytest.fixture(scope="module")
def model(make):
    keras.utils.set_random_seed(0)
    return make("mlp_vae")


@pytest.fixture(scope="module")
def of_codes(make):
    keras.utils.set_random_seed(0)
    return make("vq_vae")


@pytest.fixture(params=[Batches, Rows, generator, dataset, loader, plain])
def pipeline(request):
    return request.param


def same(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_a_pipeline_gives_the_numbers_of_its_array(model, x, pipeline):
    same(model.encode(pipeline(x)), model.encode(x))
    same(model.reconstruct(pipeline(x)), model.reconstruct(x))
    same(model.sample_posterior(pipeline(x), seed=1), model.sample_posterior(x, seed=1))
    same(model.latent_rates(pipeline(x)), model.latent_rates(x))
    same(model.elbo(pipeline(x), seed=1), model.elbo(x, seed=1))
    same(model.log_likelihood(pipeline(x), 3, seed=1), model.log_likelihood(x, 3, seed=1))
    got, expected = (keras_vae.evaluate(model, data, num_samples=3) for data in (pipeline(x), x))
    assert got.keys() == expected.keys()
    for name in got:
        assert got[name] == pytest.approx(expected[name], rel=1e-4, abs=1e-5), name


def test_codes_of_a_pipeline(of_codes, x, pipeline):
    model = of_codes
    np.testing.assert_array_equal(model.encode(pipeline(x)), model.encode(x))
    got, expected = (keras_vae.evaluate(model, data) for data in (pipeline(x), x))
    assert got == pytest.approx(expected, rel=1e-4)


def test_no_more_than_a_batch_is_read_at_once(model, x, tmp_path):
    rows = Rows(x)
    same(model.elbo(rows, seed=0, batch_size=3), model.elbo(x, seed=0))
    keras_vae.evaluate(model, rows, num_samples=2, batch_size=3)
    assert rows.most == 3
    asked = Batches(x)
    keras_vae.evaluate(model, asked, num_samples=2)
    assert asked.asked == [0, 1, 2]  # once


@pytest.mark.long
def test_evaluation_holds_no_copy_of_the_data(make, tmp_path, collecting):
    model = make("mlp_vae", (64, 64, 1))
    stored = np.memmap(tmp_path / "x", "uint8", "w+", shape=(512, 64, 64, 1))
    stored[:] = np.random.default_rng(0).integers(0, 256, stored.shape)
    keras_vae.evaluate(model, stored[:12], num_samples=1)  # to compile
    tracemalloc.start()
    keras_vae.evaluate(model, stored, num_samples=1, batch_size=12)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < stored.size  # of the 4 bytes a value takes as float32


def test_arrays_in_files(model, x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert batches.is_in_file(stored) and batches.is_in_file(stored[2:, ...])
    same(model.encode(stored, batch_size=4), model.encode(x))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = x
        assert batches.is_in_file(file["x"])
        same(model.reconstruct(file["x"], batch_size=4), model.reconstruct(x))
    assert not any(map(batches.is_in_file, (x, x[1:], x.tolist(), keras.ops.convert_to_tensor(x))))


def test_a_batch_larger_than_a_pass_is_split(model, x):
    passes = [len(batch) for _, batch in model._batches(iter([x[:7], x[7:]]), 4)]
    assert passes == [4, 3, 3]
    # A pass of 256 large images would take gigabytes.
    assert [batches.rows_per_pass(values) for values in (784, 12288, 10**9)] == [256, 85, 1]


def endless(x):
    while True:
        yield from (x[:4], x[4:])


def endless_dataset(x):
    return dataset(x).repeat()


def endless_batches(x):
    return Batches(x, endless=True)


@pytest.mark.parametrize(
    "kind", [endless, endless_dataset, endless_batches, lambda x: itertools.cycle([x])]
)
def test_data_without_an_end_is_refused(model, x, kind):
    calls = [model.encode, model.elbo, lambda x: keras_vae.evaluate(model, x)]
    for call in [*calls, keras_vae.callbacks.CollapseWatch]:
        with pytest.raises(ValueError, match="x must come to an end"):
            call(kind(x))


def test_a_generator_that_was_used_up_is_refused(model, x):
    used = generator(x)
    model.encode(used)
    for call in (model.encode, lambda x: keras_vae.evaluate(model, x)):
        with pytest.raises(ValueError, match="a generator that was used up"):
            call(used)
    with pytest.raises(ValueError, match="read at every epoch, and a generator can be read once"):
        keras_vae.callbacks.CollapseWatch(generator(x))


def test_every_batch_is_checked_and_named(model, x):
    bad = x.copy()
    bad[9] = np.nan
    with pytest.raises(ValueError, match="batch 3 of x must be finite"):
        model.encode(Batches(bad))
    with pytest.raises(ValueError, match="x from example 8 on must be finite"):
        model.encode(Rows(bad), batch_size=4)
    with pytest.raises(ValueError, match="several sizes"):
        batches.joined([np.zeros((2, 3)), np.zeros((2, 4))])
    # A later batch may be black: only the first one shows how uint8 is meant.
    pixels = (255 * x).astype("uint8")
    pixels[8:] = 1
    assert model.encode(Batches(pixels)).shape == (N, 3)


def test_use_is_watched_on_a_pipeline(model, x):
    logs = [{}, {}]
    for data, entry in zip((x, Batches(x)), logs):
        watch = keras_vae.callbacks.CollapseWatch(data, warn_below=0)
        watch.set_model(model)
        watch.on_epoch_end(0, entry)
        watch.on_epoch_end(1, entry)  # a pipeline is read again
    assert logs[0] == logs[1] and "active_units" in logs[0]


@pytest.mark.parametrize("method", ["encode", "elbo", "reconstruct", "fit", "evaluate", "predict"])
@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda x: {"image": x}, "a dict with the keys 'image'"),
        (lambda x: iter([{"image": x}]), "a dict with the keys 'image'"),
        (lambda x: (x, LABELS), r"a tuple of parts of shapes \(10, 8, 8, 1\), \(10,\): .*x\[0\]"),
        (lambda x: (x, None), r"a tuple of parts of shapes \(10, 8, 8, 1\), None"),
        (lambda x: "pictures", r"array of shape \(n, "),
    ],
)
def test_what_is_not_the_data_alone_is_refused(model, x, method, wrap, message):
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(wrap(x))


@on_default_backend
def test_a_sparse_matrix_is_refused(make):
    import tensorflow as tf

    scipy = pytest.importorskip("scipy.sparse")
    model = make("mlp_vae", (6,))
    for matrix in (scipy.csr_matrix(np.eye(6)), tf.sparse.from_dense(np.eye(6))):
        for method in (model.encode, model.fit):
            with pytest.raises(ValueError, match="must be a dense array. Received a sparse matrix"):
                method(matrix)
