"""What is written once for each backend, in a module of its name: speed, never mathematics."""

from importlib import import_module

import keras


def _ordered_batches(x, batch_size, order, epochs):
    """Yields batches `(x,)` of an array; `order(epoch)` gives the order of an epoch's examples."""
    for epoch in epochs:
        indices = order(epoch)
        for start in range(0, len(x), batch_size):
            yield (x[indices[start : start + batch_size]],)


_backend = import_module(f"{__name__}.{keras.backend.backend()}")

accelerator = _backend.accelerator
compiled = _backend.compiled
ordered_batches = getattr(_backend, "ordered_batches", _ordered_batches)
of_first_replica = _backend.of_first_replica
over_replicas = _backend.over_replicas
piped = _backend.piped
quickened = _backend.quickened
shared = _backend.shared
transposed_convolution = _backend.transposed_convolution
