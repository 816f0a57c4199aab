"""Which images a model was trained on, kept beside its run, so that others can be measured."""

import hashlib
import io
from pathlib import Path

import numpy as np

from keras_vae.files import write_bytes

_FILE = "trained_on.npy"
_BATCH = 512


def record(folder, x, progress=None):
    """Notes in the folder of a run which images it is trained on: a hash of each.

    Args:
        folder: the run's folder.
        x: the images, an array or a `keras_vae.data.Source`, all of which are read.
        progress: called with the number of images read so far and with that of all images. Defaults
            to None.
    """
    content, digests = io.BytesIO(), []
    for start in range(0, len(x), _BATCH):
        digests.append(_digests(x[start : start + _BATCH]))
        if progress is not None:
            progress(min(start + _BATCH, len(x)), len(x))
    np.save(content, np.unique(np.concatenate(digests)))
    write_bytes(Path(folder) / _FILE, content.getvalue())


def trained_on(folder):
    """Returns a function of images that says of each, `(n,)`, whether a run was trained on it.

    Images are known by their values, whatever their files are called: they must be read in the
    same size and type. Returns None if the folder holds no such record.
    """
    path = Path(folder) / _FILE
    if not path.is_file():
        return None
    try:
        known = np.load(path, allow_pickle=False)
    except Exception as error:  # as of a damaged file
        raise ValueError(f"{path} is damaged: {error}. Remove it, or train again.") from error
    return lambda x: np.isin(_digests(x), known)


def _digests(x):
    examples = (hashlib.blake2b(np.ascontiguousarray(image), digest_size=8) for image in x)
    return np.array([int.from_bytes(one.digest(), "little") for one in examples], "uint64")
