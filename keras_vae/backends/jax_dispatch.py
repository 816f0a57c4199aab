"""JAX: the steps of one dispatch of `fit` or `evaluate` as a single compiled call.

Keras 3.15 dispatches every step by itself, whatever `steps_per_execution` is, and a small model on
an accelerator then waits for Python. Here the steps are a `jax.lax.scan`, and batches of arrays
that lie on the device are gathered there.
"""

import functools
import inspect
import itertools

import jax
import keras
from jax import lax
from jax import numpy as jnp

from keras_vae.backends.jax_shards import DataAdapter, PlacedSteps, shards

# Keras scans by itself from PR 23527 on, whose adapters take the batches of a dispatch together.
KERAS_SCANS = DataAdapter is not None and (
    "super_batch" in inspect.signature(DataAdapter.get_jax_iterator).parameters
)


@jax.tree_util.register_static  # Keras puts what an adapter yields on the device: this has no parts
class Dispatch:
    """The examples of the steps of one dispatch.

    Args:
        arrays: `(x,)` or `(x, None, sample_weight)` of all examples, on the device.
        blocks: indices of examples, int32 `(steps, batch_size)`: one block for each batch size.
    """

    def __init__(self, arrays, blocks):
        self.arrays, self.blocks = arrays, blocks


class ManySteps:
    """A train or test function of Keras, `(state, iterator) -> (logs, state)`.

    Args:
        model: the model, whose `steps_per_execution` says how many batches to take.
        step: its `train_step` or `test_step`.
        of_keras: Keras's own function, for single batches.
    """

    def __init__(self, model, step, of_keras):
        self.model, self.of_keras = model, of_keras
        gather, stack = functools.partial(_gather, step), functools.partial(_stack, step)
        self.gather = jax.jit(gather, donate_argnums=0)
        self.stack = jax.jit(stack, donate_argnums=0)

    def __call__(self, state, iterator):
        first = next(iterator)
        if isinstance(first, Dispatch):
            for indices in first.blocks:
                logs, state = self.gather(state, first.arrays, indices)
            return logs, state
        steps = self.model.steps_per_execution
        if steps == 1 or KERAS_SCANS:
            return self.of_keras(state, itertools.chain([first], iterator))
        batches = itertools.chain([first], itertools.islice(iterator, steps - 1))
        for _, alike in itertools.groupby(batches, _shapes):  # the last batch may be smaller
            logs, state = self.stack(state, *alike)
        return logs, state


def join_steps(model):
    """Has a model's train and test functions, as Keras made them, run many steps in a call.

    Under `keras.distribution` they take one step of each `Batch` instead.
    """
    for name in ("train", "test"):
        of_keras = getattr(model, f"{name}_function")
        if of_keras is None or isinstance(of_keras, (ManySteps, PlacedSteps)):
            continue
        if can_join(model):
            step = getattr(model, f"{name}_step")
            setattr(model, f"{name}_function", ManySteps(model, step, of_keras))
        elif shards() > 1:
            setattr(model, f"{name}_function", PlacedSteps(of_keras))


def can_join(model):
    """Whether steps are a pure function of state and data, of this library, on one device."""
    return (
        DataAdapter is not None
        and model.steps_are_own
        and model.jit_compile
        and not model.run_eagerly
        and keras.distribution.distribution() is None
        and not keras.config.is_nnx_enabled()
    )


def _gather(step, state, arrays, indices):
    def batch(of_step):
        return jax.tree.map(lambda array: jnp.take(array, of_step, axis=0, mode="clip"), arrays)

    return _scan(step, state, indices, batch)


def _stack(step, state, *batches):
    return _scan(step, state, jax.tree.map(lambda *parts: jnp.stack(parts), *batches))


def _scan(step, state, inputs, batch=lambda inputs: inputs):
    """Runs a step on each of the inputs; returns the logs of the last, and the state."""
    structure = jax.tree.structure(state)

    def body(state, of_step):
        logs, new = step(state, batch(of_step))
        return jax.tree.unflatten(structure, jax.tree.leaves(new)), logs

    state, logs = lax.scan(body, state, inputs)
    return jax.tree.map(lambda values: values[-1], logs), state


def _shapes(batch):
    leaves, structure = jax.tree.flatten(batch)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]
