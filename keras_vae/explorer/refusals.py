"""What the explorer cannot show, and says so."""

import keras


class NotExplorableError(ValueError):
    """A model that the explorer cannot show. The message says why, and what would work."""


def refusal(layer, what, value, works):
    """The error of a layer or operation that the page computes with other settings only."""
    kind = "layer" if isinstance(layer, keras.layers.Layer) else "operation"
    return NotExplorableError(
        f"The explorer computes the {kind} {layer.name!r}, a {type(layer).__name__}, only with "
        f"{what} = {works}. Received: {value}"
    )
