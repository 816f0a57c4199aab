"""What a config.json may contain: plain values of moderate size, whoever wrote it.

It gives names, numbers, lists and dicts of them. It cannot name a module, a file or a class that is
not on our list, and it cannot ask for more memory than a large model needs.
"""

import math
import random
import re
import reprlib
import textwrap
from concurrent.futures import ThreadPoolExecutor

import keras

from keras_vae.checks import LARGEST_SEED
from keras_vae.hub.errors import WeightsError
from keras_vae.latents.codebook import BLOCK
from keras_vae.layer_places import layers_by_place

LARGEST = 2**28  # numbers in a model, or for one example in a layer: 1 GiB of float32
_MOST_REPEATED = 64  # things that are built one by one, which takes time
_REPEATED = ("blocks", "couplings", "depth", "layers")
_MOST_LAYERS = 256  # of one kind: so many at each of so many widths
_NAME = r"\w[\w -]{0,99}"
_SERIALISED = {"class_name", "module", "registered_name"}  # how Keras names classes


def check_plain(name, value, most=64, deepest=4):
    """Refuses a value from a config.json that is not plain, small and free of code.

    Args:
        name: what the message calls the value.
        value: as it was read from JSON.
        most: values that a list or dict may hold.
        deepest: levels of lists and dicts.

    Raises:
        ValueError: if it is anything else; the message says where and what.
    """
    rule, limit = None, LARGEST_SEED if name == "seed" else LARGEST
    limit = _MOST_REPEATED if name in _REPEATED else limit
    if isinstance(value, (dict, list, tuple)):
        if len(value) > most or not deepest:
            rule = f"hold at most {most} values, not nested so deep"
        elif isinstance(value, dict) and _SERIALISED & set(value):
            rule = "hold no serialised object of Keras, which could run code, but names and numbers"
        else:
            items = value.items() if isinstance(value, dict) else ((name, v) for v in value)
            for key, item in items:
                check_plain("the name of an argument", key, most, deepest)
                check_plain(key, item, most, deepest - 1)
    elif isinstance(value, str):
        # An equation of EinsumDense is no name, such as "abc,cd->abd".
        if not re.fullmatch("[A-Za-z.,>-]{1,100}" if name == "equation" else _NAME, value):
            rule = "be a name of up to 100 letters, digits, spaces, - and _"
    elif type(value) in (int, float):
        if not -limit <= value <= limit:
            rule = f"be a number from -{limit:,} to {limit:,}"
    elif value is not None and type(value) is not bool:
        rule = "be plain: numbers, names, None, lists or dicts, as in JSON"
    if rule:
        raise ValueError(f"{name} must {rule}. Received: {reprlib.repr(value)}")


def check_layers(arguments):
    """Refuses arguments of a factory that ask for very many layers, before one is made.

    Args:
        arguments: a dict that `check_plain` accepted.

    Raises:
        ValueError: if lists of widths, and what is repeated at each, make too many layers.
    """
    widths, repeated = 1, 1
    for key, value in arguments.items():
        sizes = value if isinstance(value, (list, tuple)) else [value]
        if key in _REPEATED and all(type(size) is int for size in sizes):
            repeated = max(repeated, sum(sizes))
        elif isinstance(value, (list, tuple)):
            widths = max(widths, len(sizes))
    if widths * repeated > _MOST_LAYERS:
        raise ValueError(
            f"A model from a file may have {_MOST_LAYERS} layers of one kind. These arguments make "
            f"{widths} x {repeated}."
        )


def check_size(make, check=None):
    """Refuses a model that is too large or cannot be made, without asking for its memory.

    Args:
        make: a function without arguments that builds the model.
        check: a further check: a function of the model.

    Raises:
        ValueError: if it raises an error, or the model is too large; or what `check` raises.
    """

    def count():
        with keras.StatelessScope(initialize_variables=False):  # weights have shapes, no memory
            model = make()
            if check:
                check(model)
            return _numbers(model)

    state = random.getstate()  # initializers draw their seeds from it; the model's own come next
    try:
        # Keras keeps a list of uninitialised variables per thread: it must go with the thread.
        with ThreadPoolExecutor(1) as thread:
            numbers = thread.submit(count).result()
    except WeightsError:
        raise
    except Exception as error:  # of Python, Keras or a backend, from inside a layer
        plain = re.sub(r"\x1b\[\d+m", "", str(error))  # Keras writes in bold
        reason = textwrap.shorten(plain, 500, placeholder="...")
        raise ValueError(f"This config makes no model: {reason}") from error
    finally:
        random.setstate(state)
    if numbers > LARGEST:
        raise ValueError(
            f"This model has {numbers:,} numbers, in its weights or in a layer for one example. "
            f"A model from a file may have {LARGEST:,}."
        )


def _numbers(model):
    """The numbers in a model's weights, or for one example in a layer, whichever are more."""
    numbers, axes = [model.count_params()], [64]
    for layer in layers_by_place(model).values():
        layer.compute_output_spec = _counted(layer, numbers, axes)
        numbers.append(getattr(layer, "numbers_per_example", 0))
    # With a batch size, or Keras would not compute the shapes of a known input again.
    data_shape = model.example_shape()
    h = model.encoder(keras.Input(data_shape, batch_size=1))
    model.decoder(model.latent(h)[0])
    spec = model.code_spec(data_shape)
    numbers.append(math.prod(spec.shape) * min(spec.num_codes or 1, BLOCK))
    return max(numbers)


def _counted(layer, numbers, axes):
    """A layer's `compute_output_spec` that also notes the numbers which the layer computes."""
    compute_output_spec = layer.compute_output_spec

    def count_outputs(*args, **kwargs):
        outputs = compute_output_spec(*args, **kwargs)
        for shape in (t.shape[1:] for t in keras.tree.flatten(outputs)):
            axes.extend(filter(None, shape))
            numbers.append(math.prod(size or max(axes) for size in shape))  # unknown: the largest
        if "Attention" in type(layer).__name__:  # a score for every pair of positions
            inputs = [t for t in keras.tree.flatten((args, kwargs)) if hasattr(t, "shape")]
            pairs = [size or max(axes) for t in inputs[:2] for size in t.shape[1:-1]]
            numbers.append(math.prod(pairs) * getattr(layer, "num_heads", inputs[0].shape[-1]))
        return outputs

    return count_outputs
