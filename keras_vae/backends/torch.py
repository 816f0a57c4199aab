"""PyTorch: inference without a record of operations for gradients."""

import keras
import torch

transposed_convolution = keras.layers.Conv2DTranspose


def accelerator():
    """Returns the name of what computes besides the processor, or None."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def compiled(function, layer):
    """Returns `function` of tensors without gradients."""
    return torch.no_grad()(function)


def piped(arguments):
    """Returns the arguments of `fit`, `evaluate` or `predict`: Keras batches arrays well here."""
    return arguments


def quickened(optimizer):
    return optimizer


def over_replicas(values):
    return values


def of_first_replica(values):
    return values


def shared(loss):
    """Returns the loss: DistributedDataParallel averages gradients itself."""
    return loss
