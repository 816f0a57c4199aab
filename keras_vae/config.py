"""Factory and arguments that were read from a file: known, plain and of a sane size, or refused.

These are the rules for a `config.json` that may come from anyone, not for calling a factory. It
names a factory and gives it numbers, names, lists and dicts of them: it cannot name a class, a
module or a file, and it cannot ask for more memory than a large model needs.
"""

import math
import random
import re
import reprlib
from concurrent.futures import ThreadPoolExecutor

import keras

from keras_vae.checks import LARGEST_SEED
from keras_vae.factories import FACTORIES, parameters
from keras_vae.hdf5 import layers_by_place
from keras_vae.priors import CodeTransformer

LARGEST = 2**28  # numbers in a model, or for one example in a layer: 1 GiB of float32
_MOST_PARTS = 64  # values of a list or dict, and what is built one by one, which takes time
_PARTS = ("blocks", "couplings", "depth", "layers")
_DEEPEST = 4
_SERIALISED = {"class_name", "config", "module", "registered_name"}  # what Keras' objects have


def check_config(factory, arguments):
    """Refuses what is no factory of ours and plain arguments that it takes.

    Raises:
        ValueError: if there is no such factory, or an argument is unknown or not plain.
    """
    if not isinstance(factory, str) or factory not in FACTORIES:
        raise ValueError(
            f"Unknown factory {reprlib.repr(factory)}. Available: {', '.join(FACTORIES)}."
        )
    if not isinstance(arguments, dict):
        raise ValueError(f"arguments must be a dict. Received: {reprlib.repr(arguments)}")
    known = parameters(factory)
    unknown = [reprlib.repr(name) for name in arguments if name not in known]
    if unknown:
        raise ValueError(
            f"{factory} does not take these arguments: {', '.join(unknown[:5])}. It takes: "
            f"{', '.join(known)}."
        )
    for name, value in arguments.items():
        _check_plain(name, value)


def check_size(factory, arguments):
    """Refuses arguments that `check_config` has passed but that make no model, or too large a one.

    Raises:
        ValueError: if the factory refuses them, or the model is too large; no memory is asked for.
    """
    numbers = _largest(factory, arguments)
    if numbers > LARGEST:
        raise ValueError(
            f"{factory} with these arguments has {numbers:,} numbers, in its weights or in a layer "
            f"for one example. A model from a file may have {LARGEST:,}."
        )


def _largest(factory, arguments):
    """The numbers in a model's weights, or for one example in a layer, whichever are more."""

    def count():
        with keras.StatelessScope(initialize_variables=False):  # weights have shapes, no memory
            model = FACTORIES[factory](**arguments)
        spec = model.latent.code_spec
        distances = math.prod(size or 64 for size in spec.shape) * (spec.num_codes or 1)
        layers = layers_by_place(model).values()
        return max(model.count_params(), distances, *map(_numbers, layers))

    state = random.getstate()  # initializers draw their seeds from it: the model's own come next
    try:
        # Keras lists by thread what is yet to be initialised: the list must go with the thread.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(count).result()
    except ValueError:
        raise
    except Exception as error:  # of Python, Keras or a backend, from the depth of a layer
        raise ValueError(f"{factory} does not take these arguments: {error}") from error
    finally:
        random.setstate(state)


def _numbers(layer):
    """The numbers in a layer's output for one example, or in what it computes on the way."""
    if isinstance(layer, CodeTransformer):
        wide = max(4 * layer.width, layer.num_codes, layer.heads * layer.length)
        return layer.length * wide
    outputs = keras.tree.flatten(getattr(layer, "output", []))  # not of layers called by others
    return max((math.prod(size or 64 for size in t.shape[1:]) for t in outputs), default=0)


def _check_plain(name, value, depth=1):
    """ValueError unless an argument, and all that it holds, is as plain and small as it should."""
    if isinstance(value, (dict, list, tuple)):
        _check_container(name, value, depth)
    elif isinstance(value, str):
        if not re.fullmatch(r"\w[\w -]{0,99}", value):
            raise ValueError(
                f"{name} must be a name of up to 100 letters, digits, spaces, - and _. "
                f"Received: {reprlib.repr(value)}"
            )
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        most = _MOST_PARTS if name in _PARTS else LARGEST_SEED if name == "seed" else LARGEST
        least = 0 if isinstance(value, int) else -most
        if not least <= value <= most:
            raise ValueError(
                f"{name} must be a number from {least:,} to {most:,}. "
                f"Received: {reprlib.repr(value)}"
            )
    elif value is not None and not isinstance(value, bool):
        raise ValueError(
            f"{name} must be plain: numbers, names, None, lists or dicts, as in JSON. "
            f"Received: {reprlib.repr(value)}"
        )
    if name == "activation" and not (value is None or isinstance(value, str)):
        raise ValueError(  # Keras would deserialise a dict
            "activation must be the name of a Keras activation or None. "
            f"Received: {reprlib.repr(value)}"
        )


def _check_container(name, value, depth):
    if depth > _DEEPEST or len(value) > _MOST_PARTS:
        raise ValueError(
            f"{name} must hold at most {_MOST_PARTS} values, nested {_DEEPEST} deep. "
            f"Received: {reprlib.repr(value)}"
        )
    if not isinstance(value, dict):
        for item in value:
            _check_plain(name, item, depth + 1)
        return
    serialised = sorted(_SERIALISED & {key for key in value if isinstance(key, str)})
    if serialised:
        raise ValueError(
            f"{name} holds a serialised object ({', '.join(serialised)}), which could run code: "
            'give a name and plain arguments, such as {"name": "gaussian", "scale": 0.1}.'
        )
    for key, item in value.items():
        _check_plain("the name of an argument", key, depth + 1)
        _check_plain(key, item, depth + 1)
