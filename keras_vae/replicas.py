"""Batches that several replicas share, each with examples of its own: TensorFlow's, or processes.

Means, codebooks and random numbers are those of the whole batch. So a model trains on any number of
replicas as on one; its loss is the same on all of them.
"""

import keras
from keras import ops

from keras_vae.backends import gather_replicas as gather_replicas
from keras_vae.backends import over_replicas as over_replicas
from keras_vae.backends import replica
from keras_vae.backends import replicas as replicas
from keras_vae.backends import whole_gradients as whole_gradients


def batch_size(values):
    """The number n of examples of the whole batch, a float32 scalar, from this replica's values."""
    return over_replicas(ops.cast(ops.shape(values)[0], "float32"))


def batch_mean(values):
    """The mean over the whole batch of values `(n, ...)`; a replica may have no example."""
    if replicas() == 1:
        return ops.mean(values, axis=0)
    n = ops.cast(ops.shape(values)[0], values.dtype)
    total, n = over_replicas([ops.sum(values, axis=0), n])
    return total / n


def update_mean(metric: keras.metrics.Mean, values):
    """Adds the mean of a batch of values `(n,)` to a metric, with the batch's size as weight."""
    metric.update_state(batch_mean(values), sample_weight=batch_size(values))


def draw_examples(draw, shape, axis=0):
    """Random numbers of examples: those that one device would draw for the whole batch.

    Args:
        draw: a function of a shape, which draws the same on all replicas.
        shape: the shape for this replica's examples.
        axis: the axis of the examples.

    Returns:
        `draw(shape)` on a single device; else this replica's part of what it would be there.
    """
    if replicas() == 1:
        return draw(shape)
    n = over_replicas(
        ops.one_hot(replica(), replicas(), dtype="float32") * ops.cast(shape[axis], "float32")
    )
    n = ops.cast(n, "int32")
    numbers = draw((*shape[:axis], ops.sum(n), *shape[axis + 1 :]))
    return ops.take(numbers, ops.sum(n[: replica()]) + ops.arange(shape[axis]), axis=axis)
