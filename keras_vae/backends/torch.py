"""PyTorch: inference without gradients."""

import torch


def accelerator():
    """Returns the name of the GPU, or None."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def compile_method(function, layer):
    """Returns `function` with gradients turned off."""
    return torch.no_grad()(function)
