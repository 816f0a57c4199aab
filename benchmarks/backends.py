"""The same weights on every backend, in two precisions: python -m benchmarks.backends [NAMES...].

Each installed backend runs in its own process, in float32 and under Keras's mixed_bfloat16 policy.
On the first test images it measures the ELBO (binarised once, for a likelihood of binary data) and
the squared error of the reconstructions (grey), with the same NumPy noise everywhere; the greatest
difference of a reconstructed pixel (in [0, 1]) and the share of integer codes that differ from
those of the first backend in float32; and, after a warm-up, images per second of the forward pass
(`predict_on_batch`, as Keras compiles it). Writes results/backends.json.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import record

BACKENDS = ("tensorflow", "jax", "torch")  # names of packages, too
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
PROCESS = """
import json, sys
from benchmarks import backends
backends.measure(**json.loads(sys.argv[1]))
"""
BATCH = 256
REPEATS = 7


def main():
    parser = record.parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="published models (default: all)")
    parser.add_argument("--data", default="mnist", help="an .npz file of MNIST, instead of TFDS")
    parser.add_argument("--images", type=int, default=500, help="test images (default: 500)")
    parser.add_argument("--num-samples", type=int, default=5, help="of the ELBO (default: 5)")
    options = parser.parse_args()
    if options.smoke:
        options.data = record.digits(record.folder(options) / "digits.npz")
        options.names, options.images = options.names or ["mlp-mnist"], 20

    from keras_vae import data, hub

    names = options.names or hub.list_models("*-mnist")
    found = {name: version for name in BACKENDS if (version := record.installed(name))}
    if options.smoke:
        found = dict(list(found.items())[:2])
    with tempfile.TemporaryDirectory() as folder:
        parts = data.load(options.data)
        binary = data.binarized_once(parts)[1]
        n = options.images
        np.savez(Path(folder) / "images.npz", grey=parts.x_test[:n], binary=binary[:n])
        arguments = {"names": names, "num_samples": options.num_samples, "folder": folder}
        rows = [row for backend in found for row in _run_process(backend, arguments)]
        for row in rows:
            row |= _difference(Path(folder), row, rows[0])
    rows.sort(key=lambda row: names.index(row["model"]))
    result = {
        "what": "the same weights and noise; images_per_second: of the forward pass, a batch of "
        f"{BATCH}; median, least and most of {REPEATS} timings",
        "protocol": "mnist-dynamic",
        "images": options.images,
        "num_samples": options.num_samples,
        "backends": found,
        "rows": rows,
    }
    record.write(options, "backends", result)


def measure(names, num_samples, folder):
    """Runs in each backend's process: prints rows as JSON, saves the outputs in the folder."""
    import keras

    with np.load(Path(folder) / "images.npz") as file:
        images = dict(file)
    rows = []
    for precision, policy in POLICIES.items():
        keras.config.set_dtype_policy(policy)
        for name in names:
            row = {"model": name, "backend": keras.backend.backend(), "precision": precision}
            rows.append({**row, **_figures(name, images, num_samples, _outputs(folder, row))})
    print(json.dumps(rows))


def _figures(name, images, num_samples, file):
    from keras_vae import hub

    model = hub.load(name)
    observed = images["binary" if model.likelihood.observes == "binary" else "grey"]
    grey = images["grey"] / np.float32(255)
    codes = model.encode(grey)
    outputs = model.decode(codes)
    np.savez(file, outputs, codes)
    elbo = model.elbo(observed, num_samples=num_samples, seed=0)
    return {
        "elbo": float(np.mean(elbo, dtype="float64")),
        "mse": float(np.mean(np.square(grey - outputs), dtype="float64")),
        "images_per_second": _speed(model, np.resize(grey, (BATCH, *grey.shape[1:]))),
    }


def _run_process(backend, arguments):
    run = subprocess.run(
        [sys.executable, "-c", PROCESS, json.dumps(arguments)],
        cwd=record.ROOT,
        env={**os.environ, "KERAS_BACKEND": backend},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    rows = json.loads(run.stdout.splitlines()[-1])
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return rows


def _speed(model, x):
    """Returns {median, least, most} images per second; each timing takes about 0.2 s."""

    def seconds(batches):
        start = time.perf_counter()
        for _ in range(batches):
            model.predict_on_batch(x)  # returns a NumPy array: the result is there
        return time.perf_counter() - start

    seconds(2)  # compiles
    batches = max(1, round(0.2 / seconds(1)))
    rates = [batches * len(x) / seconds(batches) for _ in range(REPEATS)]
    figures = {"median": statistics.median(rates), "least": min(rates), "most": max(rates)}
    return {key: round(value) for key, value in figures.items()}


def _difference(folder, row, first):
    """Returns how far a row's outputs are from those of the first backend and precision."""
    outputs = []
    for each in (row, {**first, "model": row["model"]}):
        with np.load(_outputs(folder, each)) as file:
            outputs.append(tuple(file.values()))
    (ours, codes), (theirs, their_codes) = outputs
    difference = {"greatest_difference": float(np.max(np.abs(ours - theirs)))}
    if codes.dtype.kind in "iu":
        difference["codes_differing"] = float(np.mean(codes != their_codes))
    return difference


def _outputs(folder, row):
    return Path(folder) / f"{row['backend']}-{row['precision']}-{row['model']}.npz"


if __name__ == "__main__":
    main()
