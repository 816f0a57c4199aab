"""Precision: what must be exact is computed in float32, whatever the current dtype policy."""

import contextlib

import keras


@contextlib.contextmanager
def in_float32():
    """Models built within the `with` block compute in float32."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
