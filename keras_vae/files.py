"""Reading, writing and hashing files; writes are atomic, so no partial file is ever read."""

import contextlib
import errno
import hashlib
import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.lib import format


def write_bytes(path, content: bytes):
    """Writes a file atomically: under a temporary name in the same folder, then renamed.

    Raises:
        OSError: if it cannot be written, as on a full disk; the error names the file.
    """
    with replacing(path) as partial:
        partial.write_bytes(content)


@contextlib.contextmanager
def replacing(path):
    """Yields a temporary path beside `path`; what is written to it is then renamed to `path`.

    If that fails, nothing is left of it, and the OSError names `path`.
    """
    path = Path(path)
    path = path.resolve() if path.is_symlink() else path  # the link stays
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with naming(path):
            yield partial
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_weights(model, path, *, float16=False):
    """Writes the weights of a Keras model to a `.weights.h5` file, as `write_bytes` does.

    The file is made in memory, since HDF5 crashes the process if the disk is full.

    Args:
        float16: whether floats are stored in 16 bits, in which those beyond 65,504 are infinite.
            Defaults to False.
    """
    content = _WeightsInMemory()
    model.save_weights(content)
    if float16:
        content = _in_float16(content)
    write_bytes(path, content.getbuffer())


def write_rows(path, batches):
    """Writes arrays `(n, *shape)`, one after the other, as one array in an .npy file.

    Only one of them is in memory at a time. The file is written as `write_bytes` does.

    Returns:
        The shape of the whole array.

    Raises:
        ValueError: if there are no rows.
    """
    rows = 0
    with replacing(path) as partial, open(partial, "wb") as file:
        for batch in batches:
            if not rows:
                header = {"descr": batch.dtype.str, "fortran_order": False}
                shape = batch.shape[1:]
                format.write_array_header_1_0(file, {**header, "shape": (0, *shape)})
            file.write(np.ascontiguousarray(batch))
            rows += len(batch)
        if not rows:
            raise ValueError(f"There is nothing to write to {path}.")
        file.seek(0)  # NumPy leaves room in the header for a larger number
        format.write_array_header_1_0(file, {**header, "shape": (rows, *shape)})
    return (rows, *shape)


def write_json(path, content):
    """Writes indented JSON that ends with a newline."""
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


def read_json(path, largest: int | None = None) -> dict:
    """Reads a file that holds a JSON object.

    Args:
        path: the file.
        largest: how many bytes it may have. Defaults to None, any number.

    Raises:
        ValueError: if the file cannot be read, is too large or is not a JSON object.
    """
    if largest and Path(path).is_file() and Path(path).stat().st_size > largest:
        raise ValueError(f"{path} has more than the {largest} bytes allowed.")
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object.")
    return content


def megabytes(count: int) -> str:
    """A number of bytes as it is shown, in megabytes of 10^6 bytes: `"3.9 MB"`."""
    return f"{count / 1e6:.1f} MB"


def sha256(path) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(path):
    """Raises OSError unless a file can be written at `path`; folders above it may be missing.

    It leaves nothing behind. For use before long work whose result goes there.
    """
    absolute = Path(path).absolute()
    folder = next(parent for parent in absolute.parents if parent.exists())
    with naming(path):
        if absolute.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0" * 4096)  # a full disk may still have room for an empty file


@contextlib.contextmanager
def naming(path):
    """Names a file in an OSError; that of a write to an open file names none, or a temporary."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(error.errno, os.strerror(error.errno), str(path)) from error


def _in_float16(content):
    """A copy of an HDF5 file, in memory, whose floats have 16 bits."""
    import h5py  # takes a while, and most commands do not need it

    copy = io.BytesIO()
    with h5py.File(content, "r") as source, h5py.File(copy, "w") as target:

        def add(name, item):
            if isinstance(item, h5py.Group):
                new = target.create_group(name)
            else:
                is_float = np.issubdtype(item.dtype, np.floating)
                new = target.create_dataset(name, data=item[()], dtype="f2" if is_float else None)
            new.attrs.update(item.attrs)

        target.attrs.update(source.attrs)
        source.visititems(add)
    return copy


class _WeightsInMemory(io.BytesIO):
    """Keras takes it for a file of weights, by its name."""

    def __str__(self):
        return "memory.weights.h5"
