"""What is written once for each backend, in a module of its name: speed, never mathematics."""

from importlib import import_module

import keras

_backend = import_module(f"{__name__}.{keras.backend.backend()}")

accelerator = _backend.accelerator
compiled = _backend.compiled
of_first_replica = _backend.of_first_replica
over_replicas = _backend.over_replicas
piped = _backend.piped
quickened = _backend.quickened
shared = _backend.shared
transposed_convolution = _backend.transposed_convolution
