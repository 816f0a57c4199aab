"""Random damage to a good model's three files, each loaded: python -m tests.mutations FOLDER COUNT.

A process of its own, as damaged files might crash the HDF5 library. It writes FOLDER/results.json:
for each class of damage how many of COUNT models were refused and how many were loaded, with the
same fingerprint. Anything else ends it; the last line of FOLDER/log says what was tried last.

Size and sha256 are set to those of the damaged weights: the damage is to be found by its contents.
"""

import collections
import copy
import io
import itertools
import json
import random
import sys
import time
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np

import keras_vae
from keras_vae import hub
from keras_vae.files import read_json, sha256, write_json
from keras_vae.hub.fingerprint import check_fingerprint
from keras_vae.hub.folder import check_file, read_entry
from keras_vae.hub.formats import keras_h5

ARGUMENTS = {
    "input_shape": [8, 8, 1],
    "latent_dim": 3,
    "filters": [4],
    "hidden_units": [8],
    "likelihood": "bernoulli",
}
STRANGE = [
    *(
        None,
        True,
        False,
        0,
        -1,
        0.5,
        2,
        64,
        10**9,
        2**63,
        10**30,
        1e300,
        float("nan"),
        float("inf"),
    ),
    *("", "relu", "gaussian", "conv_vae", "../../x", "os.system", "a" * 10**5, "\0", "\ud800", "ß"),
    *([], {}, [[]], [1, 2], [None], {"name": "gaussian", "scale": 2}, {"class_name": "Lambda"}),
    [[[[[[[[[[]]]]]]]]]],
]


def main(folder, count):
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "__array__ implementation")  # of Keras, see pyproject.toml
    out, folder = Path(folder), Path(folder) / "model"
    keras.utils.set_random_seed(0)
    model = keras_vae.conv_vae(**ARGUMENTS)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.weights])
    keras_vae.save_to_folder(model, folder)
    good = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    assert load(folder, model) is model
    results = collections.Counter()
    slowest = 0.0
    with open(out / "log", "w") as log:
        for number in range(count):
            for label, (damage, kind) in CLASSES.items():
                for name, content in good.items():
                    (folder / name).write_bytes(content)
                damage(folder, kind, random.Random(f"{label} {number}"))
                print(label, number, file=log, flush=True)
                start = time.perf_counter()
                try:
                    load(folder, model)
                    outcome = "loaded"
                except ValueError:  # WeightsError is one
                    outcome = "refused"
                slowest = max(slowest, time.perf_counter() - start)
                results[f"{label}: {outcome}"] += 1
    write_json(out / "results.json", {**dict(sorted(results.items())), "slowest": slowest})


def load(folder, model):
    """What `keras_vae.load` does, with a model at hand if it is what the config asks for."""
    entry = read_entry(folder)
    path = folder / "model.weights.h5"
    check_file(path, entry)
    if (entry.get("factory"), entry.get("arguments")) != (
        model.made_by["factory"],
        model.made_by["arguments"],
    ):
        model = hub.build(entry)
    keras_h5.read(model, path)
    check_fingerprint(model, entry["fingerprint"], folder)
    return model


def damage_weights(folder, kind, rng):
    path = folder / "model.weights.h5"
    content = bytearray(path.read_bytes())
    kind(content, rng)
    path.write_bytes(content)
    vouched = {"bytes": len(content), "sha256": sha256(path)}
    write_json(folder / "metadata.json", {**read_json(folder / "metadata.json"), **vouched})


def a_flipped_bit(content, rng):
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def many_flipped_bits(content, rng):
    for _ in range(rng.randint(2, 64)):
        a_flipped_bit(content, rng)


def a_flipped_bit_of_a_tensor(content, rng):
    start, size = rng.choice(_tensors(content))
    content[start + rng.randrange(size)] ^= 1 << rng.randrange(8)


def another_byte(content, rng):
    content[rng.randrange(len(content))] = rng.randrange(256)


def another_word(content, rng):  # addresses and sizes
    n = len(content)
    word = rng.choice([0, 1, 8, 96, n - 1, n, 2**31, 2**63 - 1, 2**64 - 1, rng.randrange(n)])
    start = rng.randrange(n // 8) * 8
    content[start : start + 8] = word.to_bytes(8, "little")


def a_cut(content, rng):
    del content[rng.randrange(len(content)) :]


def zeros(content, rng):
    start, size = rng.randrange(len(content)), rng.randint(1, 512)
    content[start : start + size] = bytes(len(content[start : start + size]))


def ones(content, rng):
    start, size = rng.randrange(len(content)), rng.randint(1, 512)
    content[start : start + size] = b"\xff" * len(content[start : start + size])


def swapped_blocks(content, rng):
    size = rng.randint(1, 256)
    one, other = (rng.randrange(max(1, len(content) - size)) for _ in range(2))
    block = content[one : one + size]
    content[one : one + size] = content[other : other + size]
    content[other : other + size] = block


def a_copied_block(content, rng):
    size = rng.randint(1, 256)
    one, other = (rng.randrange(max(1, len(content) - size)) for _ in range(2))
    content[one : one + size] = content[other : other + size]


def inserted_bytes(content, rng):
    start = rng.randrange(len(content))
    content[start:start] = rng.randbytes(rng.randint(1, 16))


def deleted_bytes(content, rng):
    start = rng.randrange(len(content))
    del content[start : start + rng.randint(1, 16)]


def swapped_tensors(content, rng):
    pairs = [
        (one, other, size)
        for (one, size), (other, same) in itertools.combinations(_tensors(content), 2)
        if size == same
    ]
    one, other, size = rng.choice(pairs)
    block = content[one : one + size]
    content[one : one + size] = content[other : other + size]
    content[other : other + size] = block


def _tensors(content):
    """(start, size) of each tensor in the file."""
    found = []

    def visit(_, item):
        if isinstance(item, h5py.Dataset):
            found.append((item.id.get_offset(), item.id.get_storage_size()))

    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(visit)
    return found


def damage_text(folder, kind, rng):
    path = folder / rng.choice(["config.json", "metadata.json"])
    content = bytearray(path.read_bytes())
    kind(content, rng)
    path.write_bytes(content)


def damage_json(folder, kind, rng):
    path = folder / rng.choice(["config.json", "metadata.json"])
    content = read_json(path)
    kind(*rng.choice(list(_places(content))), rng)
    path.write_text(json.dumps(content))


def _places(value):
    """Every (container, key) of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield value, key
        if isinstance(item, (dict, list)):
            yield from _places(item)


def a_strange_value(container, key, rng):
    container[key] = copy.deepcopy(rng.choice(STRANGE))


def a_missing_value(container, key, rng):
    del container[key]


def an_extra_value(container, key, rng):
    if isinstance(container, dict):
        name = rng.choice(
            ["class_name", "module", "shell", "prior", "beta", "name", "seed", "file"]
        )
        container[name] = copy.deepcopy(rng.choice(STRANGE))
    else:
        container.insert(key, copy.deepcopy(rng.choice(STRANGE)))


def a_nested_value(container, key, rng):
    for _ in range(rng.choice([1, 2, 10, 50])):
        container[key] = rng.choice([[container[key]], {"name": container[key]}])


def another_number(container, key, rng):
    if isinstance(container[key], (int, float)):
        container[key] *= rng.choice([-1, 0, 0.999, 1 + 1e-9, 1.5, 2, 10**6, 10**20])
    else:
        container[key] = rng.choice([1, 3, 8, 2**20])


OF_TEXT = [a_cut, deleted_bytes, inserted_bytes, another_byte, swapped_blocks]
OF_WEIGHTS = [
    *(a_flipped_bit, many_flipped_bits, a_flipped_bit_of_a_tensor, another_byte, another_word),
    *(a_cut, zeros, ones, swapped_blocks, a_copied_block, inserted_bytes, deleted_bytes),
    swapped_tensors,
]
OF_JSON = [a_strange_value, a_missing_value, an_extra_value, a_nested_value, another_number]
CLASSES = {
    f"{what}, {kind.__name__}": (damage, kind)
    for what, damage, kinds in (
        ("weights", damage_weights, OF_WEIGHTS),
        ("text of the json", damage_text, OF_TEXT),
        ("json", damage_json, OF_JSON),
    )
    for kind in kinds
}


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
