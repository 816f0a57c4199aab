"""Reading `.weights.h5` files of unknown origin: the expected tensors, plain and whole, or none.

HDF5 can point to other files and objects, claim shapes that it does not hold and run filters over
what it reads. Keras writes none of that: here a file is a tree of groups and plain tensors, whose
names and shapes are the model's. Attributes are not read.
"""

import re
from functools import cache

import h5py
import keras
import numpy as np

MOST_OBJECTS = 10_000  # groups and tensors in a file


def layers_by_place(model) -> dict:
    """Where Keras puts each of a model's layers in a file of weights: `{place: layer}`.

    The place of a layer is the path of attributes that leads to it, in alphabetical order, private
    ones last; in a list, its class in snake case and a number. Its tensors are below `vars`.
    """
    places, visited = {}, {}

    def visit(item, place):
        if id(item) in visited:
            return
        visited[id(item)] = item  # kept: an id may come back once its object is gone
        if isinstance(item, keras.layers.Layer):
            places[place] = item
            children = _attributes(item)
        else:
            children = _numbered(item.values() if isinstance(item, dict) else item)
        for name, child in children:
            visit(child, f"{place}/{name}" if place else name)

    visit(model, "")
    return places


def read_tensors(path, expected) -> dict:
    """Reads a file that must hold the expected tensors and nothing else.

    Args:
        path: the file.
        expected: `{name in the file: variable}`.

    Returns:
        `{name in the file: array}`.

    Raises:
        ValueError: if a tensor is missing, extra, misshapen, not finite or not plain; the message
            has its name. h5py raises what it likes of a damaged file.
    """
    with h5py.File(path, "r") as file:
        datasets = _datasets(file)
        extra = [name for name in datasets if name not in expected]
        if extra:
            raise ValueError(f"the model has no {_listed(extra)}")
        missing = [f"{name} ({_path(expected[name])})" for name in expected if name not in datasets]
        if missing:
            raise ValueError(f"the file has no {_listed(missing)}")
        for name, dataset in datasets.items():
            _check_plain(name, dataset, expected[name])
        return {name: _read(name, dataset, expected[name]) for name, dataset in datasets.items()}


def _datasets(file):
    """Every dataset of a file by its path; ValueError if there is more than a tree of them."""
    datasets, seen, groups = {}, {file}, [("", file)]
    while groups:
        place, group = groups.pop()
        for key in group:
            name = f"{place}{key}"
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"{name} is no object of this file ({type(link).__name__})")
            item = group[key]
            if item in seen:
                raise ValueError(f"{name} is another object under a second name")
            seen.add(item)
            if len(seen) > MOST_OBJECTS:
                raise ValueError(f"it holds more than {MOST_OBJECTS} objects")
            if isinstance(item, h5py.Group):
                groups.append((f"{name}/", item))
            elif isinstance(item, h5py.Dataset):
                datasets[name] = item
            else:
                raise ValueError(f"{name} is neither a tensor nor a group")
    return datasets


def _check_plain(name, dataset, variable):
    """ValueError unless the file holds all the numbers of a tensor of the right shape."""
    layout = dataset.id.get_create_plist()
    kind = dataset.id.get_type()
    if layout.get_external_count():
        raise ValueError(f"{name} is stored in another file")
    if layout.get_layout() != h5py.h5d.CONTIGUOUS or layout.get_nfilters():
        raise ValueError(f"{name} is virtual, compressed or in chunks, as Keras writes no weights")
    if not _is_plain(kind, variable):
        raise ValueError(f"{name} holds {dataset.dtype} where {variable.dtype} was expected")
    if dataset.shape != tuple(variable.shape):
        raise ValueError(
            f"{name} has shape {dataset.shape} where {_path(variable)} has {tuple(variable.shape)}"
        )
    stored, claimed = dataset.id.get_storage_size(), dataset.size * kind.get_size()
    if stored != claimed:
        raise ValueError(f"{name} has {stored} bytes where its shape asks for {claimed}")


def _is_plain(kind, variable):
    is_float = "float" in keras.backend.standardize_dtype(variable.dtype)
    number = h5py.h5t.TypeFloatID if is_float else h5py.h5t.TypeIntegerID
    # HDF5 has floats of any number of bits: only those that NumPy has, too, are plain.
    return isinstance(kind, number) and kind.equal(h5py.h5t.py_create(kind.dtype))


def _read(name, dataset, variable):
    tensor = np.asarray(dataset[()])
    with np.errstate(over="ignore"):
        bad = tensor.size - np.isfinite(tensor.astype("float32")).sum()
    if bad:
        raise ValueError(f"{name} ({_path(variable)}) holds {bad} numbers that are not finite")
    return tensor.astype(tensor.dtype.newbyteorder("="), copy=False)


def _attributes(layer):
    if {"Functional", "Sequential"} & {kind.__name__ for kind in type(layer).__mro__}:
        yield "layers", layer.layers
    own = set(dir(layer)) - _of_any_layer()
    for name in sorted(own, key=lambda name: (name.startswith("_"), name)):
        try:
            child = getattr(layer, name)
        except Exception:  # a property that cannot be had now, as Keras passes over it
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


def _path(variable):
    return getattr(variable, "path", "a tensor")


def _listed(names):
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + rest
