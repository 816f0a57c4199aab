"""Feeds a run: in each epoch the examples come in an order fixed by the seed and the epoch."""

import numpy as np

from keras_vae import backends


def epochs_of_batches(x, batch_size, seed, epochs, variants=1):
    """Returns a pipeline or generator of the batches `(x,)` of some epochs, one after the other.

    Args:
        x: all examples, an array.
        batch_size: examples per batch; the last batch of an epoch may be smaller.
        seed: seed of the order.
        epochs: a `range` of epochs, counted from 0.
        variants: how many variants of each example `x` holds, as `keras_vae.data.variants` makes
            them. An epoch takes one of each. Defaults to 1.
    """
    n = len(x) // variants

    def order(epoch):
        rng = np.random.default_rng([seed, epoch])
        examples = rng.permutation(n)
        return examples + n * rng.integers(0, variants, n) if variants > 1 else examples

    return backends.ordered_batches(x, batch_size, order, epochs)
