"""Files of safetensors, from anyone: their tensors' names and shapes first, then their numbers.

The package safetensors refuses a file whose tensors do not fill it exactly. The size of the header
is limited here.
"""

import contextlib
import re
import reprlib
import struct
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from keras_vae.hub.errors import WeightsError
from keras_vae.hub.small_json import read_small_json

LARGEST_HEADER = 2**20  # bytes; that of a model of 250 tensors has 25,000
MOST_SHARDS = 64
_FLOATS = {"F16", "BF16", "F32", "F64"}
_NAME = re.compile(r"[\w.-]{1,200}", re.ASCII)  # shown in messages
_FILE = re.compile(r"\w[\w.-]{0,199}\.safetensors", re.ASCII)


class TensorFiles:
    """The tensors of one or more files, by name.

    Args:
        paths: the files.

    Raises:
        WeightsError: if a file is no safetensors file, or if a tensor does not hold floats, has a
            name that is not plain, or is in two files.
    """

    def __init__(self, paths):
        self.paths = [Path(path) for path in paths]
        self.shapes, self._places = {}, {}
        for path in self.paths:
            with _opened(path) as file:
                for name in list(file.keys()):
                    if not _NAME.fullmatch(name):
                        raise WeightsError(f"{path} holds a tensor named {reprlib.repr(name)}.")
                    if name in self._places:
                        raise WeightsError(f"{path} holds {name}, as {self._places[name]} does.")
                    part = file.get_slice(name)
                    if part.get_dtype() not in _FLOATS:
                        raise WeightsError(
                            f"{path}: {name} holds {part.get_dtype()}. Supported: "
                            f"{', '.join(sorted(_FLOATS))}."
                        )
                    self.shapes[name], self._places[name] = tuple(part.get_shape()), path

    def __iter__(self):
        """Each tensor's name and numbers, float32, one at a time."""
        for path in self.paths:
            with _opened(path) as file:
                for name in list(file.keys()):
                    with np.errstate(over="ignore"):
                        tensor = file.get_tensor(name).astype("float32")
                    if bad := tensor.size - int(np.isfinite(tensor).sum()):
                        raise WeightsError(f"{path}: {name} holds {bad} numbers not finite.")
                    yield name, tensor


def shards(index) -> list[Path]:
    """Returns the files that an index, `*.safetensors.index.json`, lists, in its folder.

    Raises:
        WeightsError: if the index is damaged or names anything but files beside it.
    """
    index = Path(index)
    try:
        names = sorted(set(read_small_json(index)["weight_map"].values()))
    except (TypeError, KeyError, AttributeError) as error:
        raise WeightsError(f"{index} is no index of safetensors files.") from error
    are_plain = all(isinstance(name, str) and _FILE.fullmatch(name) for name in names)
    if not are_plain or not 1 <= len(names) <= MOST_SHARDS:
        raise WeightsError(
            f"{index} must name 1 to {MOST_SHARDS} .safetensors files of its own folder."
        )
    return [index.parent / name for name in names]


@contextlib.contextmanager
def _opened(path):
    if not path.is_file():
        raise WeightsError(f"The weights are missing: there is no file {path}.")
    with open(path, "rb") as file:
        start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 2 <= length <= LARGEST_HEADER:
        raise WeightsError(
            f"{path} is no safetensors file, or its header has more than {LARGEST_HEADER} bytes."
        )
    try:
        with safe_open(path, "numpy") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path} cannot be read: {reprlib.repr(str(error))}") from error
