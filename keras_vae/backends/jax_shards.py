"""JAX: devices of `keras.distribution` share batches; one that they cannot, each computes whole.

They may be those of several processes, each of which has examples of its own.
"""

import contextlib

import jax
import keras
import numpy as np
from jax.experimental import multihost_utils

try:
    from keras.src.trainers.data_adapters import get_data_adapter
    from keras.src.trainers.data_adapters.data_adapter import DataAdapter
except ImportError:  # a Keras with other insides: arrays are then fed as it does
    DataAdapter = None


def shards():
    """The number of parts that `keras.distribution` splits a process's batch into; 1 without it."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return 1
    mesh = distribution.device_mesh
    sizes = dict(zip(mesh.axis_names, mesh.shape))
    return max(1, sizes.get(distribution.batch_dim_name, 1) // processes())


def processes():
    """The number of processes whose devices `keras.distribution` has."""
    distribution = keras.distribution.distribution()
    if distribution is None or jax.process_count() == 1:
        return 1
    devices = distribution.device_mesh.backend_mesh.devices
    return len({device.process_index for device in devices.flat})


def calls_together():
    """Whether several processes compute a batch together, as one program."""
    return processes() > 1


def of_processes(numbers):
    """The whole numbers of every process, a list for each."""
    return multihost_utils.process_allgather(np.array(numbers, "int32")).tolist()


def own_value(variable):
    """The value of a variable on a device of this process, which then computes by itself."""
    value = variable.value
    if jax.process_count() > 1 and not value.is_fully_addressable and value.is_fully_replicated:
        return value.addressable_data(0)
    return value


@contextlib.contextmanager
def alone():
    """A context in which a process makes variables of its own.

    Making those that all processes share waits for the others.
    """
    distribution = keras.distribution.distribution() if processes() > 1 else None
    if distribution is None:
        yield
        return
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def place(examples):
    """A tensor of examples, which the devices of `keras.distribution` share if they can evenly."""
    examples = keras.ops.convert_to_tensor(examples)
    if shards() == 1 or len(examples) % shards() or processes() > 1:
        return examples
    layout = keras.distribution.distribution().get_data_layout(examples.shape)
    return jax.device_put(examples, layout.backend_layout)


def takes_any_batch():
    """Whether `fit` and `evaluate` take batches that the devices cannot share evenly."""
    return DataAdapter is not None and processes() == 1


@jax.tree_util.register_static  # Keras puts what an adapter yields on devices: this has no parts
class Batch:
    """A batch on the host, such as `(x, y, sample_weight)`, which `PlacedSteps` puts on devices."""

    def __init__(self, arrays):
        self.arrays = arrays
        self.shape = jax.tree.leaves(arrays)[0].shape  # Keras looks for a layout of this shape


class Batches(DataAdapter or object):
    """The batches that Keras would make of its arguments, each a `Batch`."""

    def __init__(self, *args, **kwargs):
        self.adapter = get_data_adapter(*args, **kwargs)

    def get_jax_iterator(self, **_):
        return map(Batch, self.adapter.get_jax_iterator())

    def on_epoch_begin(self):
        self.adapter.on_epoch_begin()

    def on_epoch_end(self):
        self.adapter.on_epoch_end()

    @property
    def num_batches(self):
        return self.adapter.num_batches

    @property
    def batch_size(self):
        return self.adapter.batch_size

    @property
    def has_partial_batch(self):
        return self.adapter.has_partial_batch

    @property
    def partial_batch_size(self):
        return self.adapter.partial_batch_size


class PlacedSteps:
    """A train or test function of Keras, `(state, iterator) -> (logs, state)`, of each `Batch`."""

    def __init__(self, of_keras):
        self.of_keras = of_keras

    def __call__(self, state, iterator):
        return self.of_keras(state, map(_placed, iterator))


def _placed(batch):
    return jax.tree.map(place, batch.arrays) if isinstance(batch, Batch) else batch
