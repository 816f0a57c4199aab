"""JSON files of a model's folder, which anyone may have written: small objects, or refused."""

from pathlib import Path

from keras_vae.files import read_json
from keras_vae.hub.errors import WeightsError

LARGEST_JSON = 2**20  # bytes; ours have less than a hundredth of it


def read_small_json(path) -> dict:
    """Reads a file that holds a JSON object.

    Raises:
        WeightsError: if there is none, or it is larger than a model needs.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size > LARGEST_JSON:
        raise WeightsError(f"{path} has more than the {LARGEST_JSON} bytes allowed.")
    try:
        return read_json(path)
    except ValueError as error:
        raise WeightsError(str(error)) from error
