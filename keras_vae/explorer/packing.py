"""Packs numbers into few characters: 16 bits each, gzipped, in base64."""

import base64
import gzip
import hashlib

import numpy as np

_LEVELS = 32767


class Store:
    """Arrays of numbers, collected one after the other and packed together.

    The last axis is that of a layer's outputs. Each output has its own scale, its largest magnitude
    divided by 32767, and its numbers are rounded to multiples of it. A vector has one scale. Equal
    arrays are kept once.
    """

    def __init__(self):
        self._arrays, self._numbers = [], {}

    def add(self, array) -> int:
        """Takes an array, and returns the number by which the page finds it."""
        array = np.asarray(array, "float32")
        key = array.shape, hashlib.sha256(array.tobytes()).digest()
        if key not in self._numbers:
            self._numbers[key] = len(self._arrays)
            self._arrays.append(array)
        return self._numbers[key]

    def pack(self) -> dict:
        """Returns `sizes`, each array's length and number of scales, and `gzip`, their content.

        In base64 that holds all scales as float32, then the high bytes of all numbers, which
        compress well beside each other, then their low bytes.
        """
        rows = [a.reshape(-1, a.shape[-1] if a.ndim > 1 else 1) for a in self._arrays]
        largest = [np.abs(part).max(axis=0) / _LEVELS for part in rows]
        scales = [np.where(part > 0, part, 1).astype("<f4") for part in largest]
        levels = [np.rint(part / scale).ravel() for part, scale in zip(rows, scales)]
        numbers = (np.concatenate(levels).astype("int32") + 1 + _LEVELS).astype("uint16")
        parts = (np.concatenate(scales), numbers >> 8, numbers & 255)
        content = parts[0].tobytes() + b"".join(p.astype("uint8").tobytes() for p in parts[1:])
        sizes = [[part.size, part.shape[1]] for part in rows]
        return {"sizes": sizes, "gzip": compress(content)}


def compress(content: bytes) -> str:
    """Gzips bytes and returns them in base64: the same text for the same bytes at any time."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
