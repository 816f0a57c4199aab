"""The format `.weights.h5` of Keras, read from files of unknown origin: all tensors or none.

An HDF5 file can point to other files and objects, claim shapes that it does not hold, and run
filters over what is read. Keras writes none of that. Here a file must be a tree of groups and plain
tensors with exactly the names and shapes of the model's weights. Attributes are not read.
"""

import h5py
import numpy as np

from keras_vae.hub.errors import WeightsError
from keras_vae.layer_places import layers_by_place

MOST_OBJECTS = 10_000  # groups and tensors in a file


def read(model, path):
    """Loads all weights of a model from a file; if one of them is refused, the model is unchanged.

    Raises:
        WeightsError: if a tensor is missing, extra, misshapen, not finite or not plain; the message
            names it.
    """
    layers = {}  # {group in the file: (layer, {key: variable})}
    for place, layer in layers_by_place(model).items():
        variables = {}
        layer.save_own_variables(variables)
        layers[f"{place}/vars/" if place else "vars/"] = layer, variables
    expected = {group + key: v for group, (_, own) in layers.items() for key, v in own.items()}
    try:
        tensors = _read_tensors(path, expected)
        for group, (layer, variables) in layers.items():
            layer.load_own_variables({key: tensors[group + key] for key in variables})
    except Exception as error:  # h5py raises errors of many classes for a damaged file
        raise WeightsError(f"{path} does not fit its model: {error}") from error


def check(model, path):
    """Nothing yet: `read` compares names and shapes, of a file whose size is known."""


def _read_tensors(path, expected):
    """The arrays of a file, `{name: array}`, for the variables expected, `{name: variable}`."""
    with h5py.File(path, "r") as file:
        datasets = _datasets(file)
        if extra := [name for name in datasets if name not in expected]:
            raise ValueError(f"the model has no {_listed(extra)}")
        missing = [f"{name} ({v.path})" for name, v in expected.items() if name not in datasets]
        if missing:
            raise ValueError(f"the file has no {_listed(missing)}")
        return {name: _read(name, dataset, expected[name]) for name, dataset in datasets.items()}


def _datasets(file):
    """Every dataset of a file by its path; ValueError if the file is not a plain tree of them."""
    datasets, seen, groups = {}, {file}, [("", file)]
    while groups:
        place, group = groups.pop()
        for key in group:
            name, link = f"{place}{key}", group.get(key, getlink=True)
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


def _read(name, dataset, variable):
    """A tensor of the file; ValueError unless it is all there, finite, and of the right kind."""
    layout, kind = dataset.id.get_create_plist(), dataset.id.get_type()
    number = h5py.h5t.TypeFloatID if "float" in str(variable.dtype) else h5py.h5t.TypeIntegerID
    # HDF5 has floats of any number of bits; only those that NumPy has too are plain.
    is_plain = isinstance(kind, number) and kind.equal(h5py.h5t.py_create(kind.dtype))
    is_contiguous = layout.get_layout() == h5py.h5d.CONTIGUOUS and not layout.get_nfilters()
    stored, claimed = dataset.id.get_storage_size(), (dataset.size or 0) * kind.get_size()
    shape, expected = dataset.shape, tuple(variable.shape)
    faults = {
        "is stored in another file": layout.get_external_count(),
        "is virtual, compressed or in chunks, as Keras writes no weights": not is_contiguous,
        f"holds {dataset.dtype} where {variable.dtype} was expected": not is_plain,
        f"has shape {shape} where {variable.path} has {expected}": shape != expected,
        f"has {stored} bytes where its shape asks for {claimed}": stored != claimed,
    }
    for fault in filter(faults.get, faults):
        raise ValueError(f"{name} {fault}")
    tensor = np.asarray(dataset[()])
    with np.errstate(over="ignore"):
        bad = tensor.size - np.isfinite(tensor.astype("float32")).sum()
    if bad:
        raise ValueError(f"{name} ({variable.path}) holds {bad} numbers that are not finite")
    return tensor.astype(tensor.dtype.newbyteorder("="), copy=False)


def _listed(names):
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
