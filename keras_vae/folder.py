"""A model's folder: three files, read as what a stranger may have written."""

import re
from pathlib import Path

from keras_vae.files import read_json
from keras_vae.weights import WeightsError

FILES = ("config.json", "metadata.json", "model.weights.h5")
LARGEST_JSON = 2**20  # bytes; ours have less than a thousandth of it


def read_entry(folder) -> dict:
    """Returns a folder's factory and arguments, and what its metadata says of its weights.

    Raises:
        WeightsError: if config.json or metadata.json lacks something or is not what it should be.
    """
    path = Path(folder) / "config.json"
    config = _read(path)
    _require(isinstance(config.get("factory"), str), path, "factory", "the name of a factory")
    _require(isinstance(config.get("arguments"), dict), path, "arguments", "an object")
    return {"factory": config["factory"], "arguments": config["arguments"], **read_metadata(folder)}


def read_metadata(folder) -> dict:
    """Returns the size, sha256 and fingerprint of the weights, from a folder's metadata.json.

    Raises:
        WeightsError: if one is missing or is not what it should be.
    """
    path = Path(folder) / "metadata.json"
    content = _read(path)
    size, sha256, fingerprint = (content.get(key) for key in ("bytes", "sha256", "fingerprint"))
    _require(type(size) is int and size > 0, path, "bytes", "a positive whole number")
    hexadecimal = isinstance(sha256, str) and re.fullmatch("[0-9a-f]{64}", sha256)
    _require(hexadecimal, path, "sha256", "64 hexadecimal digits, in small letters")
    numbers = isinstance(fingerprint, list) and len(fingerprint) == 8
    # NaN compares false, and JSON's whole numbers may be too large to become a float.
    numbers = numbers and all(
        type(number) in (int, float) and abs(number) < 1e30 for number in fingerprint
    )
    _require(numbers, path, "fingerprint", "eight finite numbers")
    return {"bytes": size, "sha256": sha256, "fingerprint": fingerprint}


def _read(path):
    if path.is_file() and path.stat().st_size > LARGEST_JSON:
        raise WeightsError(f"{path} has more than the {LARGEST_JSON} bytes allowed.")
    try:
        return read_json(path)
    except ValueError as error:
        raise WeightsError(str(error)) from error
    except RecursionError as error:
        raise WeightsError(f"{path} cannot be read as JSON: it is nested too deep.") from error


def _require(good, path, key, what):
    if not good:
        raise WeightsError(f"{path}: {key!r} must be {what}.")
