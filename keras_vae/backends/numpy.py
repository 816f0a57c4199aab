"""NumPy: inference only, and nothing to compile."""

import keras

transposed_convolution = keras.layers.Conv2DTranspose


def accelerator():
    return None


def compiled(function, layer):
    """Returns `function`."""
    return function


def piped(arguments):
    return arguments


def quickened(optimizer):
    return optimizer


def over_replicas(values):
    return values


def of_first_replica(values):
    return values


def shared(loss):
    return loss
