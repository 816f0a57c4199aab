"""Activations that the page computes, by name."""

import keras

from keras_vae.explorer.refusals import NotExplorableError
from keras_vae.networks.ladder import smooth_log_var

_NAMES = (
    *("linear", "relu", "silu", "gelu", "tanh", "sigmoid", "elu", "leaky_relu", "softplus"),
    *("selu", "mish", "softsign", "relu6", "hard_sigmoid", "exponential"),
)
ACTIVATIONS = {name: keras.activations.get(name) for name in _NAMES}
ACTIVATIONS["smooth_log_var"] = smooth_log_var


def get_activation_name(function, where) -> str:
    """The name of an activation that the page computes; NotExplorableError for any other."""
    for name, known in ACTIVATIONS.items():
        if known is function:
            return name
    raise NotExplorableError(
        f"The explorer does not compute the activation of {where}, "
        f"{getattr(function, '__name__', function)!r}. It computes: {', '.join(ACTIVATIONS)}."
    )
