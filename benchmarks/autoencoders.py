"""Autoencoders of latent diffusion beside diffusers: python -m benchmarks.autoencoders [--runs N].

AutoencoderKL (Stable Diffusion) and AutoencoderTiny (TAESD), in their sizes, with random weights
that diffusers writes and both libraries read, encode and decode one colour image of 256 x 256 and
of 512 x 512 pixels in float32. Every row is a process of its own: seconds a pass, after one that
compiles, and the most memory that the process had. Needs diffusers and torch.
Writes results/autoencoders.json.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import record

BACKENDS = ("tensorflow", "jax", "torch")
SIZES = (256, 512)
WORKER = """
import json, resource, statistics, sys, time
import numpy as np
library, kind, folder, size, runs = sys.argv[1:4] + list(map(int, sys.argv[4:]))
x = np.random.default_rng(0).random((1, size, size, 3), dtype="float32")
if library == "diffusers":
    import diffusers, torch
    model = getattr(diffusers, kind).from_pretrained(folder).eval()
    x = 2 * torch.from_numpy(np.moveaxis(x, -1, 1)) - 1
    def encode():
        with torch.no_grad():
            code = model.encode(x)
            return code.latent_dist.mean if kind == "AutoencoderKL" else code.latents
    def decode(z):
        with torch.no_grad():
            return model.decode(z).sample.numpy()
else:
    import keras_vae
    model = keras_vae.load(folder)
    encode, decode = lambda: model.encode(x), model.decode
z = encode()
decode(z)
def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
print(json.dumps({
    "encode": statistics.median(seconds(encode) for _ in range(runs)),
    "decode": statistics.median(seconds(lambda: decode(z)) for _ in range(runs)),
    "GiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
}))
"""


def main():
    parser = record.parser(__doc__)
    parser.add_argument("--runs", type=int, default=5, help="passes of each (default: 5)")
    parser.add_argument("--kinds", nargs="*", default=["AutoencoderKL", "AutoencoderTiny"])
    options = parser.parse_args()
    sizes, backends = SIZES, [name for name in BACKENDS if record.installed(name)]
    if options.smoke:
        options.runs, sizes, backends = 1, (64,), backends[:1]
        options.kinds = ["AutoencoderTiny"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds:
            path = Path(folder) / kind
            _write(kind, path)
            for size in sizes:
                for library in ("diffusers", *backends):
                    row = _measure(library, kind, path, size, options.runs)
                    rows.append({"model": kind, "size": size, "library": library, **row})
                    print(rows[-1], flush=True)
    packages = ("diffusers", "torch", "jax", "tensorflow")
    versions = {name: record.installed(name) for name in packages}
    what = "seconds for one image in float32, median; GiB: the most memory of the process"
    record.write(options, "autoencoders", {"what": what, "with": versions, "rows": rows})


def _write(kind, path):
    """Writes a model of random weights in the configuration that is published."""
    import diffusers
    import torch

    torch.manual_seed(0)
    arguments = {}
    if kind == "AutoencoderKL":
        arguments = {
            "block_out_channels": (128, 256, 512, 512),
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "layers_per_block": 2,
        }
    getattr(diffusers, kind)(**arguments).save_pretrained(path)


def _measure(library, kind, path, size, runs):
    command = [sys.executable, "-c", WORKER, library, kind, str(path), str(size), str(runs)]
    environment = {**os.environ, "KERAS_BACKEND": library if library in BACKENDS else "torch"}
    run = subprocess.run(
        command, cwd=record.ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    figures = json.loads(run.stdout.splitlines()[-1])
    return {name: round(value, 3) for name, value in figures.items()}


if __name__ == "__main__":
    main()
