"""The parts of a data set: to train on, to validate on, to test on."""

from typing import NamedTuple

import numpy as np


class Data(NamedTuple):
    """Images `(n, height, width, channels)` and labels `(n,)`; None for parts that are missing.

    Images are arrays, or `keras_vae.data.Source`s that read them as they are needed. `pictures`
    says whether they were read from a folder of pictures, or may have been.
    """

    x_train: np.ndarray
    x_validation: np.ndarray
    x_test: np.ndarray | None = None
    y_train: np.ndarray | None = None
    y_validation: np.ndarray | None = None
    y_test: np.ndarray | None = None
    pictures: bool = False

    def __repr__(self):
        """The type and shape of each part: the values themselves would fill the screen."""
        parts = zip(self._fields, self)
        known = (
            f"{name}={part.dtype}{part.shape}" if hasattr(part, "shape") else f"{name}={part!r}"
            for name, part in parts
            if part is not None
        )
        return f"Data({', '.join(known)})"


ARRAYS = tuple(name for name in Data._fields if name != "pictures")


def complete(parts: dict) -> Data:
    """Returns the parts as `Data`. Without `x_validation`, the last sixth of `x_train` validates.

    Raises:
        ValueError: if there are fewer than two training images.
    """
    n = len(parts["x_train"])
    if n < 2:
        raise ValueError(f"x_train must hold at least two images. Received: {n}")
    if parts.get("x_validation") is None:
        parts = dict(parts)
        held_out = max(1, n // 6)
        for kind in ("x", "y"):
            whole = parts.get(f"{kind}_train")
            if whole is not None:
                parts[f"{kind}_train"] = whole[:-held_out]
                parts[f"{kind}_validation"] = whole[-held_out:]
    return Data(**parts)
