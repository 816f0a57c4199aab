"""What training on your own pictures gives: python -m benchmarks.pictures NAME=FILE.npz ...

    python -m benchmarks.pictures NAME=FILE.npz [NAME=FILE.npz ...] [--epochs N]

Trains by `keras_vae.training.default_recipe` at both qualities on each file, which holds uint8
pictures x_train and x_validation. Measures the PSNR of held-out pictures, their bits per dimension
(of densities, the bits of the density times the width of a level), and the time. Writes
results/pictures-NAME.json.
"""

import math
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import record
from keras_vae import data, training
from keras_vae.training.components import psnr

LEVELS = 256


def main():
    parser = record.parser(__doc__)
    parser.add_argument("files", nargs="*", metavar="NAME=FILE.npz")
    parser.add_argument("--epochs", type=int, help="at most (default: those of the recipe)")
    options = parser.parse_args()
    if options.smoke:
        noise = np.random.default_rng(0).integers(0, LEVELS, (40, 16, 16, 3), dtype="uint8")
        sets, options.epochs = {"smoke": data.Data(noise[:32], noise[32:], pictures=True)}, 2
    else:
        files = dict(pair.split("=", 1) for pair in options.files)
        sets = {name: data.load(file)._replace(pictures=True) for name, file in files.items()}
    for name, parts in sets.items():
        rows = {quality: measure(parts, quality, options) for quality in ("fast", "best")}
        shape = list(parts.x_train.shape)
        result = {"shape": shape, "validation": len(parts.x_validation), "qualities": rows}
        record.write(options, f"pictures-{name}", result)


def measure(parts, quality, options) -> dict:
    """Trains at a quality and measures the result on the validation pictures."""
    recipe = training.default_recipe(parts, quality=quality, epochs=options.epochs)
    run, start = Path(tempfile.mkdtemp()), time.perf_counter()
    try:
        model, history = training.follow(recipe, parts, run)
    finally:
        shutil.rmtree(run)
    x, values = parts.x_validation, math.prod(parts.x_train.shape[1:])
    bits = -float(np.mean(model.elbo(x, seed=0), dtype="float64")) / values / math.log(2)
    of = {"bits_per_dim": bits}
    if not model.likelihood.is_code_length:
        of = {"bits_of_density": bits + math.log2(LEVELS - 1)}
    return {
        "psnr": psnr(model.likelihood.read(x) - model.reconstruct(x)),
        **of,
        "code": list(model.encode(x[:1]).shape[1:]),
        "weights": model.count_params(),
        "epochs": history[-1]["epoch"],
        "best_epoch": training.best_epoch(history)["epoch"],
        "seconds": round(time.perf_counter() - start, 1),
    }


if __name__ == "__main__":
    main()
