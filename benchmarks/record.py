"""What the benchmarks share: options, the folder of results, and what they were measured on."""

import argparse
import os
import platform
import subprocess
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


def parser(doc: str) -> argparse.ArgumentParser:
    """Returns a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="run for seconds on little data, to see that it works; the figures mean nothing",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for results (default: benchmarks/results; with --smoke, a temporary one)",
    )
    return parser


def folder(options) -> Path:
    """Returns the folder for results, created if necessary."""
    if options.out is None:
        options.out = Path(tempfile.mkdtemp(prefix="smoke-")) if options.smoke else RESULTS
    options.out.mkdir(parents=True, exist_ok=True)
    return options.out


def write(options, name: str, result: dict):
    """Writes `<name>.json`: the result and what it was measured on."""
    from keras_vae.files import write_json

    smoke = {"smoke": True} if options.smoke else {}
    path = folder(options) / f"{name}.json"
    write_json(path, {**result, **smoke, **circumstances()})
    print(f"Wrote {path}")


def circumstances() -> dict:
    """Returns backend, versions, machine and commit."""
    import keras

    backend = keras.backend.backend()
    packages = ("keras", backend, "numpy", "h5py", "scikit-learn")
    written = (":!benchmarks/results", ":!benchmarks/README.md", ":!benchmarks/*.png")
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *written)
    return {
        "backend": backend,
        "versions": {name: found for name in packages if (found := installed(name))},
        "python": platform.python_version(),
        "machine": f"{os.cpu_count()} CPU cores, {platform.machine()}",
        "commit": _git("rev-parse", "HEAD") or None,
        "uncommitted changes": bool(changes),  # beyond what benchmarks write
    }


def installed(package: str) -> str | None:
    """Returns the version of a package, or None if it is not installed."""
    # CPU builds of TensorFlow have another name.
    for name in (package, f"{package}-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def digits(path: Path) -> Path:
    """Writes data for smoke runs: scikit-learn's 8 x 8 digits, as an .npz of 28 x 28 images."""
    from sklearn.datasets import load_digits

    images = load_digits().images[:360] * 15.9375  # 0 to 16 -> 0 to 255
    images = np.pad(np.kron(images, np.ones((1, 3, 3))), ((0, 0), (2, 2), (2, 2)))
    images = images.astype("uint8")[..., None]
    np.savez(path, x_train=images[:300], x_test=images[300:])
    return path


def is_code_length(likelihood: str) -> bool:
    """Returns whether NLLs under a likelihood, named in an entry or result, are code lengths."""
    from keras_vae import likelihoods

    return likelihoods.get(likelihood).is_code_length


def is_of_levels(likelihood: str) -> bool:
    """Returns whether a likelihood, named in an entry or result, is of levels."""
    from keras_vae import likelihoods

    return likelihoods.get(likelihood).observes == "levels"


def _git(*command):
    """Returns git's output, or nothing if this is not a repository."""
    try:
        run = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
