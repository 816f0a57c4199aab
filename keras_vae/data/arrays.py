"""Data of the user's own in an .npz file."""

import zipfile
from pathlib import Path

import numpy as np

from keras_vae.checks import as_array
from keras_vae.data.parts import ARRAYS, Data, complete


def read_npz(path) -> Data:
    """Reads `x_train` and, if there are any, the other parts of `Data` from an .npz file.

    Images without a channel axis are given one.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file does not hold such arrays.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"No such file: {path}. Expected an .npz with the array x_train.")
    try:
        with open(path, "rb") as opened:
            if not zipfile.is_zipfile(opened):
                raise ValueError("it is damaged or of another kind. np.savez writes .npz files")
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as file:
                found = list(file.files)
                parts = {name: file[name] for name in ARRAYS if name in file.files}
    except Exception as error:  # a damaged zip raises a dozen kinds
        raise ValueError(f"{path} cannot be read as an .npz of plain arrays: {error}") from error
    if "x_train" not in parts:
        raise ValueError(
            f"{path} must hold the array x_train, and may hold {', '.join(ARRAYS[1:])}. "
            f"Received: {', '.join(found) or 'nothing'}"
        )
    return complete({name: _checked(array, name, path) for name, array in parts.items()})


def _checked(array, name, path):
    images = name.startswith("x_")
    if images:
        as_array(array, f"{path}: {name}")
    if array.ndim < (2 if images else 1):
        shape = "(n, ...)" if images else "(n,)"
        raise ValueError(f"{path}: {name} must have shape {shape}. Received: {array.shape}")
    return array[..., None] if images and array.ndim == 3 else array
