"""Data a batch at a time: arrays in memory or in a file, and pipelines of batches."""

import dis
import itertools
import math
import numbers
import types

import keras
import numpy as np
from keras import ops

from keras_vae.checks import as_array, check_number, check_seed, check_whole, is_array

BYTES = (
    "These look like images of 8 bits, from 0 to 255 but not uint8, and are taken as they are: "
    "nats and errors are in those units. Pass uint8, or divide by 255, for the usual range of 0 to "
    "1."
)
READERS = 4  # batches that are read at the same time
_VALUES = 2**20  # at most so many in one pass: networks widen them a hundredfold


class Batches(keras.utils.PyDataset):
    """Batches `(x,)` of what is read by position, for `fit`, `evaluate` and the like.

    Args:
        x: a `keras_vae.data.Source`, an array, or an array in a file.
        batch_size: examples per batch; the last batch may be smaller. Defaults to 128.
        seed: of the order, which differs from epoch to epoch. Defaults to None: they come in order.
        **kwargs: of `keras.utils.PyDataset`, such as `workers`, the threads that read.

    Example:

    >>> images = keras_vae.data.read_shards("shards")
    >>> model.fit(keras_vae.data.Batches(images, seed=0, workers=4), epochs=10)
    """

    def __init__(self, x, batch_size=128, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.x, self.batch_size = x, check_whole("batch_size", batch_size, 1)
        self.seed, self.epoch, self.order = check_seed(seed), -1, None
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(len(self.x) / self.batch_size)

    def __getitem__(self, index):
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return (self.x[rows if self.order is None else self.order[rows]],)

    def on_epoch_end(self):
        if self.seed is not None:
            self.epoch += 1
            self.order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.x))


def orders_of_batches(batch_size, order, epochs):
    """Yields the positions of each batch of some epochs; `order(epoch)` gives those of an epoch."""
    for epoch in epochs:
        indices = order(epoch)
        for start in range(0, len(indices), batch_size):
            yield indices[start : start + batch_size]


def is_in_file(x):
    """Whether rows of `x` are read as they are needed: an `h5py.Dataset`, a `np.memmap`, ..."""
    if isinstance(x, np.ndarray):
        while isinstance(x, np.ndarray) and not isinstance(x, np.memmap):
            x = x.base
        return isinstance(x, np.memmap)
    has_rows = all(hasattr(x, name) for name in ("shape", "dtype", "__getitem__", "__len__"))
    return has_rows and not hasattr(x, "iloc") and not ops.is_tensor(x)  # iloc: a pandas table


def check_kind(x, name="x"):
    """Raises ValueError if `x` is a dict, a tuple of data and labels, or a sparse matrix."""
    if isinstance(x, dict) or (hasattr(x, "keys") and not hasattr(x, "shape")):
        keys = ", ".join(repr(key) for key in itertools.islice(x.keys(), 5))
        raise ValueError(
            f"{name} must be the data alone, an array. Received a dict with the keys {keys}: take "
            "the data out of it, as in x['image'], or dataset.map(lambda batch: batch['image'])."
        )
    if _is_sparse(x):
        raise ValueError(
            f"{name} must be a dense array. Received a sparse matrix, {type(x).__name__} of shape "
            f"{tuple(x.shape)}: convert it a part at a time, or as a whole with x.toarray() "
            "(SciPy), tf.sparse.to_dense(x) or x.to_dense() (torch)."
        )
    if isinstance(x, (tuple, list)) and len(x) in (2, 3) and _are_parts(x):
        parts = ", ".join("None" if part is None else str(tuple(part.shape)) for part in x)
        raise ValueError(
            f"{name} must be the data alone. Received a {type(x).__name__} of parts of shapes "
            f"{parts}: pass the first of them, x[0]; fit and evaluate also take labels and weights "
            "as arguments of their own."
        )


def parts(x, batch_size=None, name="x"):
    """Yields data in parts, each with its name for messages; what is in memory is one part.

    Args:
        x: an array, or a pipeline of batches.
        batch_size: examples of a part that is read from a file. Defaults to `rows_per_pass`.
        name: of the data.

    Raises:
        ValueError: if `x` is neither, or is a pipeline that is empty or has no end.
    """
    check_kind(x, name)
    if is_in_file(x):
        rows = rows_per_pass(math.prod(x.shape[1:]), batch_size)
        for start in range(0, len(x), rows):
            part = as_array(x[start : start + rows], name)
            yield f"{name} from example {start} on", part
    elif is_array(x) or isinstance(x, numbers.Number):
        yield name, x
    else:
        check_pipeline(x, name)
        check_end(x, name)
        number, batches = 0, x
        if isinstance(x, keras.utils.PyDataset):
            batches = (x[i] for i in range(x.num_batches))
        for number, batch in enumerate(batches, 1):
            yield f"batch {number} of {name}", data_of(batch, name)
        if not number:
            raise ValueError(
                f"{name} must hold at least one batch. Received an empty pipeline, or a generator "
                "that was used up: one can be read once."
            )


def check_pipeline(pipeline, name="x"):
    """Raises ValueError unless `pipeline` is a pipeline of batches."""
    is_pipeline = isinstance(pipeline, keras.utils.PyDataset) or hasattr(pipeline, "__iter__")
    if isinstance(pipeline, (str, bytes)) or not is_pipeline:
        raise ValueError(
            f"{name} must be an array of shape (n, *data_shape) or a pipeline of such batches "
            f"(tf.data, PyDataset, torch DataLoader, generator). Received: {pipeline!r}"
        )


def check_end(pipeline, name="x"):
    """Raises ValueError if a pipeline is known to have no end."""
    if is_endless(pipeline):
        raise ValueError(
            f"{name} must come to an end, and this {type(pipeline).__name__} repeats its data for "
            "ever. Pass one epoch of it, such as dataset.take(steps), or leave out repeat() or "
            "`while True`."
        )


def is_endless(pipeline):
    """Whether a pipeline is known to have no end."""
    if isinstance(pipeline, keras.utils.PyDataset):
        return pipeline.num_batches is None
    if hasattr(pipeline, "cardinality"):
        return int(pipeline.cardinality()) == -1  # tf.data.INFINITE_CARDINALITY
    if isinstance(pipeline, types.GeneratorType):
        # Python compiles no return into a function that loops for ever.
        opcodes = {instruction.opname for instruction in dis.get_instructions(pipeline.gi_code)}
        return not opcodes & {"RETURN_VALUE", "RETURN_CONST"}
    return isinstance(pipeline, (itertools.cycle, itertools.count, itertools.repeat))


def data_of(batch, name="x"):
    """The data of a pipeline's batch, which may be `(x,)`, `(x, y)` or `(x, y, sample_weight)`."""
    x = keras.utils.unpack_x_y_sample_weight(batch)[0]
    check_kind(x, f"each batch of {name}")
    if type(x).__name__ == "PerReplica":  # from a distributed tf.data pipeline
        return np.concatenate([as_array(value) for value in x.values])
    return x


def looks_like_bytes(x):
    """Whether an array holds the 256 levels of images unscaled, judging by its first examples."""
    some = x[:256]
    if (
        x.ndim != 4
        or x.dtype.kind not in "fiu"
        or x.dtype == np.uint8
        or not 100 < some.max() <= 255
    ):
        return False
    return bool(some.min() >= 0 and np.array_equal(some, np.rint(some)))


def split(arrays, share):
    """Splits off the last part of arrays, for validation. Some may be None.

    Raises:
        ValueError: if a part is empty.
    """
    n = len(arrays[0])
    cut = math.floor(n * (1 - check_number("validation_split", share, 0, 1)))
    if not 0 < cut < n:
        raise ValueError(f"validation_split={share} of {n} examples leaves one part empty.")
    halves = [(a[:cut], a[cut:]) if a is not None else (None, None) for a in arrays]
    return zip(*halves)


def rows_per_pass(values, batch_size=None):
    """The number of examples of so many values in a pass: 256 or fewer, unless it is given."""
    if batch_size is None:
        return int(max(1, min(256, _VALUES // max(1, values))))
    return check_whole("batch_size", batch_size, 1)


def joined(results):
    """The results of all batches as one array."""
    if len({result.shape[1:] for result in results}) > 1:
        sizes = sorted({result.shape[1:] for result in results})
        raise ValueError(
            "Batches of several sizes give no single array: pass those of each size by themselves. "
            f"Received results of shapes: {', '.join(map(str, sizes))}"
        )
    return results[0] if len(results) == 1 else np.concatenate(results)


def _is_sparse(x):
    kinds = ("nnz", "dense_shape", "n_sparse")  # of SciPy, TensorFlow and JAX
    return any(hasattr(x, kind) for kind in kinds) or getattr(x, "is_sparse", False) is True


def _are_parts(x):
    """Whether a list holds data with labels or weights, not examples of one shape."""
    shapes = [None if part is None else getattr(part, "shape", ()) for part in x]
    return shapes[0] is not None and len(shapes[0]) > 0 and any(s != shapes[0] for s in shapes)
