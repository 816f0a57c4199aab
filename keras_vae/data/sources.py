"""Images that are read by position as they are needed, so that they may take more than memory."""

import numbers

import numpy as np

from keras_vae.batches import is_in_file
from keras_vae.checks import as_array, is_array


class Source:
    """Images of a source with random access, indexed like an array `(n, *shape)`.

    A slice, or an array of positions, gives an array of these images; nothing else is read. The
    methods of a model that read data in batches, such as `encode` and `elbo`, take it as they take
    an `h5py.Dataset`, and `keras_vae.training.train` trains on it.

    Args:
        source: an object with `len(source)` and `source[i]`, as a `RandomAccessDataSource` of
            Grain, `tfds.data_source` and a dataset of torch with positions have; `__getitems__` of
            a list of positions is called if there is one. Or an array in a file, such as an
            `h5py.Dataset` or `np.memmap`. An example is an image, or a dict that holds one. All
            have the shape and dtype of the first.
        key: the name of the image in a dict. Defaults to `"image"`.
        rows: positions in the source of the images to take, int `(n,)`. Defaults to None, all.

    Attributes:
        shape: `(n, *shape)`.
        dtype: of the images.

    Raises:
        ValueError: if `source` is no such object, is empty, or gives no images.
    """

    def __init__(self, source, key="image", rows=None):
        if not is_source(source):
            raise ValueError(
                "A source has a length, len(source), and examples by position, source[i]. "
                f"Received: {source!r}"
            )
        self.source, self.key, self.rows = source, key, rows
        n = len(source) if rows is None else len(rows)
        if not n:
            raise ValueError(f"A source must hold at least one example. Received: {source!r}")
        self.dtype, self.shape = None, (n,)
        first = self[:1]
        self.dtype, self.shape = first.dtype, (n, *first.shape[1:])

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        """Returns the images at a slice or an array of positions; of one position, the image."""
        if isinstance(index, numbers.Integral):
            if not -len(self) <= index < len(self):
                raise IndexError(f"position {index} of {len(self)}")  # ends a loop over them
            return self[np.array([index % len(self)])][0]
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        rows = np.asarray(index)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        if not len(rows):
            return np.empty((0, *self.shape[1:]), self.dtype)
        if rows.min() < -len(self) or rows.max() >= len(self):
            raise IndexError(f"positions from {rows.min()} to {rows.max()} of {len(self)}")
        rows = rows % len(self)
        rows = rows if self.rows is None else self.rows[rows]
        images = [self._image(example, row) for example, row in zip(self._read(rows), rows)]
        return np.stack(images)

    def take(self, rows):
        """Returns a `Source` of the images at an array of positions, which reads none of them."""
        rows = np.asarray(rows)
        return Source(self.source, self.key, rows if self.rows is None else self.rows[rows])

    def _read(self, rows):
        if hasattr(self.source, "__getitems__"):
            return self.source.__getitems__(rows.tolist())
        return (self.source[row] for row in rows.tolist())

    def _image(self, example, row):
        if isinstance(example, dict):
            if self.key not in example:
                raise ValueError(
                    f"Example {row} of the source has no {self.key!r}. It has: "
                    f"{', '.join(map(str, example))}."
                )
            example = example[self.key]
        image = as_array(example, f"example {row} of the source")
        if self.dtype is not None and (image.dtype, image.shape) != (self.dtype, self.shape[1:]):
            raise ValueError(
                f"Example {row} of the source is {image.dtype} of shape {image.shape}, and the "
                f"first one is {self.dtype} of shape {self.shape[1:]}: all must be alike."
            )
        return image


def is_source(x) -> bool:
    """Whether examples of `x` can be read by position: an array in a file, or a `Source`'s kind."""
    if is_in_file(x):
        return True
    has_positions = hasattr(x, "__getitem__") and hasattr(x, "__len__")
    is_pipeline = hasattr(x, "num_batches")  # `keras.utils.PyDataset`: its items are batches
    return has_positions and not is_pipeline and not isinstance(x, (str, dict)) and not is_array(x)


def sample(x, count):
    """Returns at most so many images: the first of an array, and of a `Source` of all parts of it.

    They are always the same ones, in the order of their positions.
    """
    if not isinstance(x, Source):
        return x[:count]
    return x[sample_positions(len(x), count)]


def sample_positions(n, count):
    """Returns at most so many of n positions, drawn from all of them, in order."""
    if n <= count:
        return np.arange(n)
    return np.sort(np.random.default_rng(0).choice(n, count, replace=False))
