"""TensorFlow: graphs for inference, fast pipelines, and a fused kernel for Adam."""

import functools
import math
import types

import keras
import numpy as np
import tensorflow as tf

from keras_vae.backends.tensorflow_layers import speed_up_layer as speed_up_layer
from keras_vae.batches import READERS, split
from keras_vae.checks import check_whole, is_array


def accelerator():
    """Returns the name of the GPU, or None."""
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        return None
    return tf.config.experimental.get_device_details(devices[0]).get("device_name", "GPU")


def compile_method(function, layer):
    """Compiles `function`, a function of tensors that uses the variables of `layer`, to a graph."""
    # Without autograph, as in Keras's own steps. The partial matters: TensorFlow counts graphs by a
    # function's code, so the graphs of all models would count together and it would warn.
    return tf.function(functools.partial(function), autograph=False, reduce_retracing=True)


def pipe_arrays(arguments, _=None):
    """Replaces arrays in the arguments of `fit`, `evaluate` or `predict` with batch pipelines.

    Keras's own pipeline tunes its threads. At the end of every epoch it waits for the thread
    that does the tuning, in TensorFlow 2.21 for up to as long as the epoch took.
    """
    shuffle, of_classes = arguments.get("shuffle", False), arguments.get("class_weight")
    if tf.distribute.has_strategy() or shuffle == "batch" or of_classes is not None:
        return arguments  # left to Keras
    arguments = dict(arguments)
    size, held_out = arguments.get("batch_size"), arguments.get("validation_data")
    if is_array(arguments["x"]):
        arrays = [arguments.pop(name, None) for name in ("x", "y", "sample_weight")]
        if share := arguments.pop("validation_split", 0.0) if held_out is None else 0.0:
            arrays, held_out = split(arrays, share)
        steps = arguments.get("steps_per_epoch") or arguments.get("steps")
        arguments["x"] = _pipeline(arrays, size, steps, shuffle)
        arguments.pop("batch_size", None)
        if shuffle:
            arguments["shuffle"] = False  # the pipeline does it
    if held_out is not None and is_array(held_out[0]):
        size = arguments.pop("validation_batch_size", None) or size
        arguments["validation_data"] = _pipeline(held_out, size, arguments.get("validation_steps"))
    return arguments


def _pipeline(arrays, batch_size, steps, shuffle=False):
    """Makes a pipeline of batches of arrays (some may be None), with shuffling if asked for.

    The batch size defaults, as in Keras, to what the number of steps requires, or else to 32.
    """
    if batch_size is None:
        batch_size = math.ceil(len(arrays[0]) / steps) if steps else 32
    with tf.device("CPU:0"):  # the data may not fit into the accelerator's memory
        arrays = tuple(tf.convert_to_tensor(array) for array in arrays if array is not None)
    indices = tf.data.Dataset.range(len(arrays[0]))
    if shuffle:
        indices = indices.shuffle(len(arrays[0]))
    batches = indices.batch(check_whole("batch_size", batch_size, 1))
    batches = batches.map(lambda i: tuple(tf.gather(array, i) for array in arrays)).prefetch(2)
    return _untuned(batches)


def ordered_batches(x, batch_size, order, epochs):
    """A pipeline of batches `(x,)` of an array; `order(epoch)` gives the order of its examples.

    Not of a generator: for one, TensorFlow sets malloc's trim threshold to 128 KiB in the whole
    process, so that the buffers of every step are returned to the system and faulted in again.
    """
    with tf.device("CPU:0"):
        x = tf.convert_to_tensor(x)
    indices = _indices(batch_size, order, epochs)
    return _untuned(indices.map(lambda i: (tf.gather(x, i),)).prefetch(2))


def read_batches(x, batch_size, order, epochs):
    """As `ordered_batches`, of a `Source`, of which several batches are read at the same time."""

    def read(indices):
        batch = tf.numpy_function(lambda i: x[i], [indices], x.dtype)
        return (tf.ensure_shape(batch, (None, *x.shape[1:])),)

    batches = _indices(batch_size, order, epochs).map(read, num_parallel_calls=READERS)
    return _untuned(batches.prefetch(2))


def batches_in_order(x, batch_size):
    """Batches of a `Source` in its order; they can be read again and again."""
    batches = read_batches(x, batch_size, lambda epoch: np.arange(len(x)), range(1))
    count = math.ceil(len(x) / batch_size)  # without which Keras warns that it has ended
    return batches.apply(tf.data.experimental.assert_cardinality(count))


def _indices(batch_size, order, epochs):
    def batches_of_indices(epoch):
        indices = tf.numpy_function(lambda epoch: order(int(epoch)), [epoch], tf.int64)
        indices = tf.data.Dataset.from_tensor_slices(tf.ensure_shape(indices, (None,)))
        return indices.batch(batch_size)

    return tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(batches_of_indices)


def _untuned(batches):
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.with_options(options)


def devices():
    """The number of GPUs, or of CPUs where there is none."""
    return len(_devices())


def on_devices(count):
    """A context in which models are made for, and trained on, the first `count` devices."""
    return _strategy(tuple(device.name for device in _devices()[:count])).scope()


@functools.cache  # two strategies of one process give their collective operations the same keys
def _strategy(names):
    return tf.distribute.MirroredStrategy(names)


def _devices():
    return tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")


def replicas():
    """The number of replicas that share a batch here: 1 outside of a step of theirs."""
    if tf.distribute.get_replica_context() is None:  # such as while a model is built in their scope
        return 1
    return tf.distribute.get_strategy().num_replicas_in_sync


def replica():
    """Which of the replicas this is."""
    return tf.distribute.get_replica_context().replica_id_in_sync_group


def over_replicas(values):
    """The sum of a tensor, or of each of several, over all replicas, with its gradient."""
    if replicas() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def gather_replicas(values):
    """The rows of all replicas, one after another; each has as many."""
    if replicas() == 1:
        return values
    return tf.distribute.get_replica_context().all_gather(values, axis=0)


def whole_gradients(gradients):
    """The gradients of the whole batch from a replica's, of which they are the sum."""
    known = [gradient for gradient in gradients if gradient is not None]
    if replicas() == 1 or not known:
        return gradients
    whole = iter(over_replicas(known))
    return [gradient if gradient is None else next(whole) for gradient in gradients]


def share_gradients(optimizer):
    """Has an optimizer clip the gradients of the whole batch; Keras clips each replica's."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of loss scaling
    if any((optimizer.clipnorm, optimizer.global_clipnorm, optimizer.clipvalue)):
        optimizer._clip_gradients = types.MethodType(_clip_whole, optimizer)


def _clip_whole(self, gradients):
    """`keras.optimizers.Optimizer._clip_gradients`; Keras sums what it returns over replicas."""
    if replicas() == 1:
        return type(self)._clip_gradients(self, gradients)
    clipped = type(self)._clip_gradients(self, whole_gradients(gradients))
    return [gradient if gradient is None else gradient / replicas() for gradient in clipped]


def share_loss(loss):
    """What a replica contributes of a loss that is the same on all: Keras sums the gradients."""
    return loss / replicas() if replicas() > 1 else loss


def speed_up_adam(optimizer):
    """Makes Adam update each variable in one pass over memory; Keras takes a dozen."""
    plain = type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW)
    if plain and not optimizer.amsgrad and not tf.distribute.has_strategy():
        optimizer.update_step = types.MethodType(_adam_step, optimizer)
    return optimizer


def _adam_step(self, gradient, variable, learning_rate):
    """`keras.optimizers.Adam.update_step` with the same formula and state."""
    if isinstance(gradient, tf.IndexedSlices):
        return type(self).update_step(self, gradient, variable, learning_rate)
    index, dtype = self._get_variable_index(variable), variable.dtype
    step = tf.cast(self.iterations + 1, dtype)
    beta_1, beta_2 = tf.constant(self.beta_1, dtype), tf.constant(self.beta_2, dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=self._momentums[index].value.handle,
        v=self._velocities[index].value.handle,
        beta1_power=beta_1**step,
        beta2_power=beta_2**step,
        lr=tf.cast(learning_rate, dtype),
        beta1=beta_1,
        beta2=beta_2,
        epsilon=tf.constant(self.epsilon, dtype),
        grad=tf.cast(gradient, dtype),
    )
