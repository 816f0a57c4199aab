"""What differs by backend, for speed only: one module for each, and what they do not define."""

from importlib import import_module

import keras

_backend = import_module(f"{__name__}.{keras.backend.backend()}")


def _unchanged(value, *_):
    return value


# The name of the accelerator that computes beside the processor, or None.
accelerator = getattr(_backend, "accelerator", lambda: None)
# `compile_method(function, layer)`: a function of tensors, compiled, that uses a layer's variables.
compile_method = getattr(_backend, "compile_method", _unchanged)
# The arguments of `fit`, `evaluate` or `predict`, with arrays as pipelines where that is faster.
pipe_arrays = getattr(_backend, "pipe_arrays", _unchanged)
# An optimizer that updates faster, with the same formula and state.
speed_up_adam = getattr(_backend, "speed_up_adam", _unchanged)
# A replica's part of a loss, the sum over replicas, and the values of the first replica for all.
share_loss = getattr(_backend, "share_loss", _unchanged)
over_replicas = getattr(_backend, "over_replicas", _unchanged)
of_first_replica = getattr(_backend, "of_first_replica", _unchanged)
# Keras's layer, or the same computed faster.
transposed_convolution = getattr(_backend, "transposed_convolution", keras.layers.Conv2DTranspose)
