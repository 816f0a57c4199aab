"""Self-attention between all places of a map."""

from keras import layers


def attention(x, normalised, name=None):
    """x + f(x), where f lets all places attend to each other, with one head.

    In float32 under every policy: the products of float16 overflow.

    Args:
        x: a tensor `(n, *sizes, channels)`.
        normalised: x after the normalisation that belongs to f.
        name: of the layer. Defaults to None, Keras's choice.
    """
    places = tuple(range(1, len(x.shape) - 1))
    options = {"attention_axes": places, "dtype": "float32", "name": name}
    attended = layers.MultiHeadAttention(1, x.shape[-1], **options)(normalised, normalised)
    return layers.Add()([x, attended])
