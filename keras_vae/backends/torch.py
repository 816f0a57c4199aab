"""PyTorch: inference without gradients, and training in the processes of torch.distributed."""

import math
import types

import keras
import torch
from torch import distributed
from torch.optim.adam import adam

from keras_vae.backends.torch_layers import speed_up_layer as speed_up_layer


def accelerator():
    """Returns the name of the GPU, or None."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def compile_method(function, layer):
    """Returns `function` with gradients turned off."""
    return torch.no_grad()(function)


def speed_up_adam(optimizer):
    """Makes Adam update each variable in one pass over memory, on a CPU; Keras takes ten."""
    plain = [type(kind()) for kind in (keras.optimizers.Adam, keras.optimizers.AdamW)]
    if type(optimizer) in plain and not optimizer.amsgrad:
        optimizer._parallel_update_step = types.MethodType(_adam_step, optimizer)
    return optimizer


def _adam_step(self, gradients, variables, learning_rate):
    """`keras.optimizers.Adam._parallel_update_step` with the same formula and state."""
    index = [self._get_variable_index(variable) for variable in variables]
    values = [variable.value for variable in variables]
    means, squares = ([of[i].value for i in index] for of in (self._momentums, self._velocities))
    states = (*values, *means, *squares)
    quick = all(t.device.type == "cpu" and t.is_contiguous() for t in states)
    if not quick or torch.compiler.is_compiling():
        return type(self)._parallel_update_step(self, gradients, variables, learning_rate)
    done = self.iterations.value.float()
    adam(
        values,
        [g.to(value.dtype).contiguous() for g, value in zip(gradients, values)],
        means,
        squares,
        [],
        [done.clone() for _ in values],
        fused=True,
        amsgrad=False,
        beta1=self.beta_1,
        beta2=self.beta_2,
        lr=float(learning_rate),
        weight_decay=0.0,  # Keras applies it by itself, before this
        # Keras adds epsilon before it divides the root by this one, PyTorch after.
        eps=self.epsilon / math.sqrt(1 - self.beta_2 ** (int(done) + 1)),
        maximize=False,
    )


def replicas():
    """The number of processes that share a batch here: 1 where no gradient is computed.

    So training steps are common to all processes, and each may evaluate for itself.
    """
    return processes() if torch.is_grad_enabled() else 1


def replica():
    """Which of the processes this is."""
    return distributed.get_rank()


def over_replicas(values):
    """The sum of a tensor, or of each of several, over all processes, with its gradient."""
    if replicas() == 1:
        return values
    if isinstance(values, list):
        return [_Sum.apply(value) for value in values]
    return _Sum.apply(values)


def gather_replicas(values):
    """The rows of all processes, one after another; each has as many. Without a gradient."""
    if replicas() == 1:
        return values
    rows = [torch.empty_like(values) for _ in range(replicas())]
    distributed.all_gather(rows, values.contiguous())
    return torch.cat(rows)


def whole_gradients(gradients):
    """The gradients of the whole batch from those of this process, of which they are the mean."""
    known = [gradient for gradient in gradients if gradient is not None]
    if processes() == 1 or not known:
        return gradients
    flat = torch.cat([gradient.reshape(-1) for gradient in known])
    distributed.all_reduce(flat)
    parts = torch.split(flat / processes(), [gradient.numel() for gradient in known])
    whole = iter(parts)
    return [
        gradient if gradient is None else next(whole).reshape_as(gradient).to(gradient.dtype)
        for gradient in gradients
    ]


def of_processes(numbers):
    """The whole numbers of every process, a list for each."""
    return gather_replicas(keras.ops.convert_to_tensor([numbers], "int32")).tolist()


def share_gradients(optimizer):
    """Has an optimizer average the gradients of all processes, as DistributedDataParallel does."""
    optimizer.apply = types.MethodType(_apply_averaged, optimizer)


def share_variables(variables):
    """Gives variables the values of the first process.

    Raises:
        ValueError: if the processes have different models.
    """
    if processes() == 1:
        return
    shapes = [None] * processes()
    distributed.all_gather_object(shapes, [tuple(variable.shape) for variable in variables])
    if any(other != shapes[0] for other in shapes):
        raise ValueError(
            "fit trains one model in all processes of torch.distributed, and theirs differ: make "
            "it with the same arguments in each."
        )
    for variable in variables:
        value = variable.value.detach().clone()
        distributed.broadcast(value, src=0)
        variable.assign(value)


class _Sum(torch.autograd.Function):
    """The sum over processes. All use it, so its gradient is the sum of their gradients."""

    @staticmethod
    def forward(_, tensor):
        tensor = tensor.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(tensor)
        return tensor

    @staticmethod
    def backward(_, gradient):
        return _Sum.forward(_, gradient)


def processes():
    """The number of processes of `torch.distributed`; 1 without it."""
    ready = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if ready else 1


def _apply_averaged(self, gradients, trainable_variables=None):
    """`keras.optimizers.Optimizer.apply` of gradients that are averaged first."""
    return type(self).apply(self, whole_gradients(gradients), trainable_variables)
