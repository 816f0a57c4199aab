"""JAX: initial weights drawn by NumPy. JAX compiles a function for each of their shapes."""

import contextlib

import keras
import numpy as np

try:
    from keras.src.initializers import random_initializers
except ImportError:  # a Keras with other insides: JAX then draws
    random_initializers = None


@contextlib.contextmanager
def quick_initializers():
    """A context in which Keras's initializers draw with NumPy, from the same distributions."""
    of_keras = getattr(random_initializers, "random", None)
    if of_keras is None or isinstance(of_keras, _Random):
        yield
        return
    random_initializers.random = _Random(of_keras)
    try:
        yield
    finally:
        random_initializers.random = of_keras


class _Random:
    """What initializers use of `keras.random`, for seeds that are whole numbers."""

    def __init__(self, of_keras):
        self.of_keras = of_keras

    def __getattr__(self, name):
        return getattr(self.of_keras, name)

    def uniform(self, shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
        if not _is_plain(seed):
            return self.of_keras.uniform(shape, minval, maxval, dtype, seed)
        values = np.random.default_rng(seed).random(shape, dtype="float32")
        return _tensor(minval + (maxval - minval) * values, dtype)

    def normal(self, shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
        if not _is_plain(seed):
            return self.of_keras.normal(shape, mean, stddev, dtype, seed)
        values = np.random.default_rng(seed).standard_normal(shape, dtype="float32")
        return _tensor(mean + stddev * values, dtype)

    def truncated_normal(self, shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
        if not _is_plain(seed):
            return self.of_keras.truncated_normal(shape, mean, stddev, dtype, seed)
        rng = np.random.default_rng(seed)
        values = rng.standard_normal(shape, dtype="float32")
        while (far := np.abs(values) > 2).any():
            values[far] = rng.standard_normal(far.sum(), dtype="float32")
        return _tensor(mean + stddev * values, dtype)


def _is_plain(seed):
    return isinstance(seed, int) and seed >= 0


def _tensor(values, dtype):
    return keras.ops.convert_to_tensor(values, dtype or keras.config.floatx())
