"""Code that differs by backend, for speed only: one module per backend, and the defaults."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module

import keras

from keras_vae.batches import READERS, Batches, orders_of_batches

_backend = import_module(f"{__name__}.{keras.backend.backend()}")


def _unchanged(value, *_):
    return value


def _generate_batches(x, batch_size, order, epochs):
    for indices in orders_of_batches(batch_size, order, epochs):
        yield (x[indices],)


def _read_ahead(x, batch_size, order, epochs):
    with ThreadPoolExecutor(READERS) as readers:
        ahead = deque()
        for indices in orders_of_batches(batch_size, order, epochs):
            ahead.append(readers.submit(x.__getitem__, indices))
            if len(ahead) > READERS:
                yield (ahead.popleft().result(),)
        while ahead:
            yield (ahead.popleft().result(),)


def _largest(values):
    # Keras's argmax makes several passes over all values.
    return tuple(part[:, 0] for part in keras.ops.top_k(values, 1))


@contextmanager
def _nothing():
    yield


# The name of the accelerator, or None on a CPU.
accelerator = getattr(_backend, "accelerator", lambda: None)
# `compile_method(function, layer)`: compiles a function of tensors that uses a layer's variables.
compile_method = getattr(_backend, "compile_method", _unchanged)
# `compile_for_one_call(function, layer)`: as that, where it pays off for a function called once.
compile_for_one_call = getattr(_backend, "compile_for_one_call", _unchanged)
# `pipe_arrays(arguments, model)`: replaces arrays in the arguments of `fit` or `evaluate`, or of
# `predict` if no model is given, with pipelines where that is faster.
pipe_arrays = getattr(_backend, "pipe_arrays", _unchanged)
# `steps_of_dispatch(model, arguments)`: the steps per execution for a call of `fit` or `evaluate`.
steps_of_dispatch = getattr(
    _backend, "steps_of_dispatch", lambda model, _: model.steps_per_execution
)
# `join_steps(model)`: has the functions that Keras made run many steps in one compiled call.
join_steps = getattr(_backend, "join_steps", _unchanged)
# `ordered_batches(x, batch_size, order, epochs)`: batches `(x,)` of an array for a range of epochs;
# `order(epoch)` gives the order of its examples.
ordered_batches = getattr(_backend, "ordered_batches", _generate_batches)
# `read_batches(x, batch_size, order, epochs)`: as that, of a `Source`, several batches ahead.
read_batches = getattr(_backend, "read_batches", _read_ahead)
# `batches_in_order(x, batch_size)`: batches of a `Source` that can be read again and again.
batches_in_order = getattr(_backend, "batches_in_order", Batches)
# `shards()`: the parts that the devices of `keras.distribution` split a process's batch into.
shards = getattr(_backend, "shards", lambda: 1)
# `takes_any_batch()`: whether `fit` and `evaluate` take batches that these cannot share evenly.
takes_any_batch = getattr(_backend, "takes_any_batch", lambda: True)
# `place(examples)`: a tensor of examples, on the devices that compute with them.
place = getattr(_backend, "place", keras.ops.convert_to_tensor)
# `keep_state(model)`: after an error in training, a model has the weights of the last step.
keep_state = getattr(_backend, "keep_state", _unchanged)
# An optimizer that updates faster, with the same formula and state.
speed_up_adam = getattr(_backend, "speed_up_adam", _unchanged)
# `devices()`: how many devices of this machine one process can train a model on together.
devices = getattr(_backend, "devices", lambda: 1)
# `on_devices(count)`: a context; models made in it are trained on the first `count` devices.
on_devices = getattr(_backend, "on_devices", None)
# Several replicas (devices, or processes) may each train on a part of every batch: see `replicas`.
replicas = getattr(_backend, "replicas", lambda: 1)
replica = getattr(_backend, "replica", lambda: 0)
over_replicas = getattr(_backend, "over_replicas", _unchanged)
gather_replicas = getattr(_backend, "gather_replicas", _unchanged)
# `whole_gradients(gradients)`: those of the whole batch, from a replica's.
whole_gradients = getattr(_backend, "whole_gradients", _unchanged)
share_loss = getattr(_backend, "share_loss", _unchanged)
share_gradients = getattr(_backend, "share_gradients", _unchanged)
share_variables = getattr(_backend, "share_variables", _unchanged)
# `processes()`: how many train one model; `of_processes(numbers)`: the whole numbers of each.
processes = getattr(_backend, "processes", lambda: 1)
of_processes = getattr(_backend, "of_processes", lambda numbers: [numbers])
# `calls_together()`: whether they compute every batch as one program, and share all variables.
calls_together = getattr(_backend, "calls_together", lambda: False)
# `alone()`: a context in which one of them makes variables that the others do not.
alone = getattr(_backend, "alone", _nothing)
# `largest(values)`: of each row of `(n, k)` the largest number, and the index of the first such.
largest = getattr(_backend, "largest", _largest)
# `quick_initializers()`: a context, or decorator, in which initial weights are drawn in less time.
quick_initializers = getattr(_backend, "quick_initializers", _nothing)
# `speed_up_layer(layer)`: has a layer of Keras compute the same numbers in less time.
speed_up_layer = getattr(_backend, "speed_up_layer", _unchanged)
