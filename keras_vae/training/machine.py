"""What a run was trained on: backend, machine and memory."""

import os
import platform
import sys

import keras

from keras_vae.backends import accelerator


def made_on() -> dict:
    """Returns what this process trains on: `backend`, `keras` and `machine`."""
    parts = [f"{os.cpu_count()} CPU cores", platform.machine(), accelerator()]
    return {
        "backend": keras.backend.backend(),
        "keras": keras.version(),
        "machine": ", ".join(part for part in parts if part),
    }


def peak_memory_mb() -> int | None:
    """Returns the peak memory of this process in 10^6 bytes; None where it is not known."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
