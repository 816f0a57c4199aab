"""Where each layer of a model is: the names that Keras gives its layers in a file of weights."""

import re
from functools import cache

import keras


def layers_by_place(model) -> dict:
    """Returns the layers of a model by their place in a file of weights: `{place: layer}`.

    The place of a layer is the path of attributes that leads to it. Keras visits attributes in
    alphabetical order, private ones last; a layer in a list is named by its class in snake case
    and a number. The tensors of a layer are in the file under `<place>/vars`.
    """
    places, visited = {}, {}

    def visit(item, place):
        if id(item) in visited:
            return
        visited[id(item)] = item  # kept, since the id of a dead object may be used again
        if isinstance(item, keras.layers.Layer):
            places[place] = item
            children = _attributes(item)
        else:
            children = _numbered(item.values() if isinstance(item, dict) else item)
        for name, child in children:
            visit(child, f"{place}/{name}" if place else name)

    visit(model, "")
    return places


def _attributes(layer):
    if {"Functional", "Sequential"} & {kind.__name__ for kind in type(layer).__mro__}:
        yield "layers", layer.layers
    for name in sorted(set(dir(layer)) - _of_any_layer(), key=lambda n: (n.startswith("_"), n)):
        try:
            child = getattr(layer, name)
        except Exception:  # a property that is not available now; Keras passes over it too
            continue
        if isinstance(child, (keras.layers.Layer, list, tuple, dict)):
            yield name, child


@cache
def _of_any_layer():
    return frozenset(dir(keras.layers.Layer()))


def _numbered(items):
    counts = {}
    for item in items:
        if isinstance(item, keras.layers.Layer):
            name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(item).__name__)
            name = re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
        elif isinstance(item, (list, tuple, dict)):
            name = "container"
        else:
            continue
        count = counts[name] = counts.get(name, -1) + 1
        yield (f"{name}_{count}" if count else name), item
