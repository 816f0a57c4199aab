"""TensorFlow: graphs for inference, its own kernel for Adam's update."""

import types

import keras
import tensorflow as tf

transposed_convolution = keras.layers.Conv2DTranspose


def compiled(function, layer):
    """Returns `function` of tensors, which uses the variables of `layer`, as one graph."""
    # Without autograph, as Keras compiles its own steps.
    return tf.function(function, autograph=False, reduce_retracing=True)


def quickened(optimizer):
    """Makes Adam update each variable in one pass over memory, where Keras takes a dozen."""
    plain = type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW)
    if plain and not optimizer.amsgrad and not tf.distribute.has_strategy():
        optimizer.update_step = types.MethodType(_adam_step, optimizer)
    return optimizer


def _adam_step(self, gradient, variable, learning_rate):
    """`keras.optimizers.Adam.update_step`: the same formula, the same state."""
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
