"""JSON files of a model's folder, which anyone may have written: small objects, or refused."""

from keras_vae.files import read_json
from keras_vae.hub.errors import WeightsError
from keras_vae.layouts import LARGEST_JSON


def read_small_json(path) -> dict:
    """Reads a file that holds a JSON object.

    Raises:
        WeightsError: if there is none, or it is larger than a model needs.
    """
    try:
        return read_json(path, LARGEST_JSON)
    except ValueError as error:
        raise WeightsError(str(error)) from error
