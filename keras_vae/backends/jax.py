"""JAX: jit for inference, a context of several devices, and weights that survive an error."""

import jax
import keras

from keras_vae.backends.jax_arrays import OrderedBatches as ordered_batches  # noqa: F401
from keras_vae.backends.jax_arrays import pipe_arrays as pipe_arrays
from keras_vae.backends.jax_arrays import steps_of_dispatch as steps_of_dispatch
from keras_vae.backends.jax_dispatch import join_steps as join_steps
from keras_vae.backends.jax_initial import quick_initializers as quick_initializers
from keras_vae.backends.jax_layers import speed_up_layer as speed_up_layer
from keras_vae.backends.jax_shards import alone as alone
from keras_vae.backends.jax_shards import calls_together as calls_together
from keras_vae.backends.jax_shards import of_processes as of_processes
from keras_vae.backends.jax_shards import own_value
from keras_vae.backends.jax_shards import place as place
from keras_vae.backends.jax_shards import processes as processes
from keras_vae.backends.jax_shards import shards as shards
from keras_vae.backends.jax_shards import takes_any_batch as takes_any_batch


def accelerator():
    """Returns the name of the accelerator, or None on a CPU."""
    device = jax.local_devices()[0]
    return None if device.platform == "cpu" else device.device_kind


def devices():
    """The number of devices of this process."""
    return jax.local_device_count()


def on_devices(count):
    """A context in which models are made for, and trained on, the first `count` devices."""
    names = [f"{device.platform}:{device.id}" for device in jax.local_devices()[:count]]
    return keras.distribution.DataParallel(devices=names).scope()


def keep_state(model):
    """Gives a model's variables the values of the last step that ended, if it was interrupted.

    Keras's trainer has them to itself while it runs, and drops them if there is an error.
    """
    model.jax_state_sync()


def largest(values):
    """Of each row of `(n, k)` the largest number, and the index of the first such."""
    # A GPU may sort whole rows for top_k.
    if jax.default_backend() == "cpu":  # where XLA computes an argmax one number at a time
        return tuple(part[:, 0] for part in jax.lax.top_k(values, 1))
    return jax.numpy.max(values, axis=-1), jax.numpy.argmax(values, axis=-1)


def compile_method(function, layer):
    """Compiles `function`, a function of tensors that uses the variables of `layer`."""

    @jax.jit
    def pure(values, *arguments):
        with keras.StatelessScope(state_mapping=list(zip(layer.variables, values))):
            return function(*arguments)

    return lambda *arguments: pure([own_value(v) for v in layer.variables], *arguments)


compile_for_one_call = compile_method  # else each operation is compiled by itself
