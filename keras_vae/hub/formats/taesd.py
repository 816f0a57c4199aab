"""The authors' own files of TAESD: encoder and decoder apart, without a config.

The tensors have the numbers of the layers, and say by their shapes how the networks are made.
"""

import re

from keras_vae.hub.errors import WeightsError
from keras_vae.hub.formats import conversion
from keras_vae.hub.formats.tensor_files import TensorFiles
from keras_vae.layouts import TAESD_SIDES, taesd_files

_RULES = ((r"layer(\d+)", r"\1"), (r"_(conv|pool)(\d)", r".\1.\2"))


def read_entry(folder) -> dict:
    """Returns the factory and the arguments that make the model of a folder.

    Raises:
        WeightsError: if the tensors are not those of such networks.
    """
    shapes = _shapes(folder)
    # The convolutions outside of blocks: the first, the strided ones and the last.
    single = (re.fullmatch(r"encoder\.(\d{1,4})\.weight", name) for name in shapes)
    numbers = sorted(int(found[1]) for found in single if found)
    try:
        channels, colours = shapes["encoder.0.weight"][:2]
        latent_channels = shapes["decoder.1.weight"][1]
    except (KeyError, IndexError, ValueError) as error:
        names = " and ".join(path.name for path in taesd_files(folder))
        raise WeightsError(f"{names} in {folder} hold no tiny autoencoder (TAESD).") from error
    arguments = {
        "input_shape": [None, None, colours],
        "latent_channels": latent_channels,
        "channels": channels,
        "blocks": [after - before - 1 for before, after in zip(numbers, numbers[1:])],
        "norm": any(".pool." in name for name in shapes),
    }
    return {"factory": "tiny_autoencoder", "arguments": arguments, "class": "TAESD"}


def check(model, path):
    """Refuses a folder whose tensors are not exactly those of the model."""
    conversion.check(conversion.networks(model, _RULES), _shapes(path))


def read(model, path):
    """Puts the weights of a folder into a model that `check` accepted.

    Raises:
        WeightsError: if a number is not finite.
    """
    wanted = conversion.networks(model, _RULES)
    for side, file in zip(TAESD_SIDES, taesd_files(path)):
        tensors = ((f"{side}.{name}", tensor) for name, tensor in TensorFiles([file]))
        conversion.fill(wanted, tensors)


def _shapes(folder):
    return {
        f"{side}.{name}": shape
        for side, path in zip(TAESD_SIDES, taesd_files(folder))
        for name, shape in TensorFiles([path]).shapes.items()
    }
