"""Deep ladders of latents: python -m benchmarks.hierarchies [--only PART] [--data FILE.npz].

Ladders of small networks, with half their layers at 7 x 7 and half at 14 x 14, one channel each:

- starts: of 4, 16 and 40 layers, the seconds until the model is built, until its first training
  step and its first `encode` have ended, and of a step after that, on every installed backend;
- stability: 40 layers for two epochs of few images, in float32 and bfloat16, on TensorFlow;
- depths: the ELBO by the number of layers, after the same steps.

Each measurement has a process of its own. Writes results/hierarchies-PART.json for each part.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import record
from benchmarks.backends import BACKENDS, POLICIES
from benchmarks.markdown import markdown

DEPTHS = (4, 16, 40)
COMPARED = (1, 2, 4, 8)
NETWORKS = {"latent_channels": 1, "filters": [8, 24, 24], "activation": "silu"}
OF_STEP = {"optimizer": "adamax", "learning_rate": 5e-3, "clip": 200.0, "skip_above": 1e4}
BATCH = 50
STEPS = 3  # that are timed
PROCESS = """
import json, sys
from benchmarks import hierarchies
task, arguments = json.loads(sys.argv[1])
print(json.dumps(getattr(hierarchies, task)(**arguments)))
"""
PARTS = ("starts", "stability", "depths")


def main():
    parser = record.parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="(default: all)")
    parser.add_argument("--data", default="mnist", help="an .npz file of MNIST, instead of TFDS")
    parser.add_argument("--images", type=int, default=6_000, help="to train on (default: 6,000)")
    parser.add_argument("--epochs", type=int, default=3, help="of these images (default: 3)")
    options = parser.parse_args()
    depths, compared, backends = DEPTHS, COMPARED, BACKENDS
    if options.smoke:
        options.data = str(record.digits(record.folder(options) / "digits.npz"))
        options.images, options.epochs = 100, 1
        depths, compared, backends = (2,), (1, 2), backends[:1]
    trained = {"data": options.data, "images": options.images, "epochs": options.epochs}
    few = {**trained, "images": options.images // 4, "epochs": 2, "layers": max(depths)}
    for part in options.only:
        if part == "starts":
            of = {"networks": NETWORKS, "batch": BATCH}
            rows = [
                {"backend": backend, "layers": layers, **_run("start", backend, layers=layers)}
                for backend in backends
                if record.installed(backend)
                for layers in depths
            ]
        elif part == "stability":
            of = few
            rows = [
                {"precision": name, **_run("train", policy=policy, **few)}
                for name, policy in POLICIES.items()
            ]
        else:
            of = trained
            rows = [_run("train", layers=layers, **trained) for layers in compared]
        record.write(options, f"hierarchies-{part}", {**of, "rows": rows})
        print(table(part, {**of, "rows": rows}))


def start(layers) -> dict:
    """Times a new model until its first step and code, and a step after that, in seconds."""
    import keras

    import keras_vae

    x = np.random.default_rng(0).integers(0, 256, (BATCH * STEPS, 28, 28, 1), dtype="uint8")
    times = [time.perf_counter()]
    model = keras_vae.ladder_vae((28, 28, 1), **NETWORKS, layers=_places(layers), seed=0)
    times.append(time.perf_counter())
    optimizer = keras.optimizers.Adamax(OF_STEP["learning_rate"], global_clipnorm=OF_STEP["clip"])
    model.compile(optimizer)
    model.fit(x[:BATCH], batch_size=BATCH, verbose=0)
    times.append(time.perf_counter())
    model.encode(x[:BATCH])
    times.append(time.perf_counter())
    model.fit(x, batch_size=BATCH, verbose=0)
    times.append(time.perf_counter())
    built, first_step, first_code, steps = np.diff(times)
    return {
        "build": round(built, 2),
        "first step": round(first_step, 2),
        "first code": round(first_code, 2),
        "step": round(steps / STEPS, 3),
    }


def train(layers, data, images, epochs, policy="float32") -> dict:
    """Trains by a recipe; what the losses were, and the ELBO of 1,000 test images."""
    import keras

    from keras_vae import data as of_data
    from keras_vae import training

    keras.config.set_dtype_policy(policy)
    parts = of_data.load(data)
    parts = parts._replace(x_train=parts.x_train[:images], x_validation=parts.x_validation[:500])
    arguments = {"input_shape": [28, 28, 1], **NETWORKS, "layers": _places(layers)}
    stage = {"epochs": epochs, "batch_size": BATCH, "decay_to": 0.1, "seed": 0, **OF_STEP}
    model = {"factory": "ladder_vae", "arguments": arguments}
    recipe = {"model": model, "data": {"name": "mnist"}, "training": stage}
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()  # not of other work on the machine
        model, history = training.follow(recipe, parts, Path(folder))
        seconds = time.process_time() - begin
    binary = of_data.binarized_once(parts)[1][:1000]
    rates = model.layer_rates(binary).mean(axis=0)
    return {
        "layers": layers,
        "weights": model.count_params(),
        "losses": [round(epoch["loss"], 2) for epoch in history],
        "skipped": int(sum(epoch.get("skipped", 0) for epoch in history)),
        "elbo": round(float(np.mean(model.elbo(binary, seed=0), dtype="float64")), 2),
        "layers_in_use": int(np.sum(rates > 0.1)),
        "cpu_seconds": round(seconds, 1),
    }


def table(part, result) -> str:
    """The table of a part's result."""
    rows = result["rows"]
    if part == "starts":
        parts = ("build", "first step", "first code", "step")
        cells = [
            [row["backend"], str(row["layers"]), *(f"{row[part]:.2f} s" for part in parts)]
            for row in rows
        ]
        return markdown(("backend", "layers", *parts), cells)
    what = f"{result['images']:,} images, {result['epochs']} epochs:\n\n"
    if part == "stability":
        cells = [
            [
                row["precision"],
                str(row["layers"]),
                _losses(row["losses"]),
                str(row["skipped"]),
                f"{row['elbo']:.2f}",
            ]
            for row in rows
        ]
        headings = ("precision", "layers", "loss by epoch", "steps left out", "ELBO")
        return what + markdown(headings, cells)
    cells = [
        [
            str(row["layers"]),
            f"{row['weights']:,}",
            f"{row['elbo']:.2f}",
            f"{row['layers_in_use']} of {row['layers']}",
            f"{row['cpu_seconds']:,.0f} s",
        ]
        for row in rows
    ]
    headings = ("layers", "weights", "ELBO", "layers above 0.1 nats", "CPU time")
    return what + markdown(headings, cells)


def _losses(losses):
    return ", ".join(f"{loss:.1f}" if math.isfinite(loss) else "not finite" for loss in losses)


def _places(layers):
    return [0, layers // 2, layers - layers // 2]


def _run(task, backend=BACKENDS[0], **arguments):
    command = [sys.executable, "-c", PROCESS, json.dumps([task, arguments])]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_ENABLE_ONEDNN_OPTS": "1"}
    options = {"cwd": record.ROOT, "env": environment, "stdout": subprocess.PIPE, "text": True}
    run = subprocess.run(command, check=True, **options)
    row = json.loads(run.stdout.splitlines()[-1])
    print(task, backend, arguments, row, flush=True)
    return row


if __name__ == "__main__":
    main()
