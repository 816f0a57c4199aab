"""Keras's training methods for a VAE, with checks of the data."""

import contextlib

import keras
import numpy as np
from keras import ops

from keras_vae.backends import (
    calls_together,
    join_steps,
    keep_state,
    pipe_arrays,
    shards,
    share_gradients,
    share_variables,
    speed_up_adam,
    steps_of_dispatch,
    takes_any_batch,
)
from keras_vae.call_checks import CallChecks, check_alike, check_shards
from keras_vae.checks import is_array
from keras_vae.replicas import over_replicas, replicas


class Fitting(CallChecks):
    """`compile`, `fit`, `evaluate`, `predict` and the batch methods of `keras.Model`."""

    steps_wanted = None  # `compile`'s steps_per_execution as it was given

    def compile(
        self,
        optimizer="adam",
        loss=None,
        metrics=None,
        weighted_metrics=None,
        *,
        steps_per_execution=None,
        **kwargs,
    ):
        """Configures training, as in Keras, but takes no loss: a VAE computes its own.

        Args:
            optimizer: as in `keras.Model.compile`.
            loss: not taken.
            metrics: not taken.
            weighted_metrics: not taken.
            steps_per_execution: training steps of one dispatch, between which no callback is
                called. On JAX they are one compiled call, and arrays given to `fit` or `evaluate`
                are copied to the device once, as they are, if they take at most a quarter of its
                free memory (on a CPU, 1 GiB). `"auto"` chooses up to 64 for such arrays. Defaults
                to None: on JAX with an accelerator as `"auto"`, unless a callback has batch
                methods; else 1. A callback of yours whose attribute `every_step` is False may be
                called less often.
            **kwargs: as in `keras.Model.compile`.

        Raises:
            ValueError: if `loss`, `metrics` or `weighted_metrics` is given.
        """
        given = {"loss": loss, "metrics": metrics, "weighted_metrics": weighted_metrics}
        for name, value in given.items():
            if value:
                raise ValueError(
                    f"A VAE computes its own loss and metrics: compile() takes no {name}. Choose "
                    "the likelihood and beta when you make the model. "
                    f"Received: {name}={value!r}"
                )
        self.__dict__.pop("_graphs", None)  # parts may have changed
        self.steps_wanted = steps_per_execution
        kwargs["steps_per_execution"] = (
            1 if steps_per_execution in (None, "auto") else steps_per_execution
        )
        super().compile(optimizer=speed_up_adam(keras.optimizers.get(optimizer)), **kwargs)
        share_gradients(self.optimizer)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def get_compile_config(self):
        if not self.compiled:
            return None
        self._build_optimizer()  # the file is to hold what the loaded model will have
        config = {**super().get_compile_config(), "steps_per_execution": self.steps_wanted}
        return {name: value for name, value in config.items() if value is not None}

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains on data, as `keras.Model.fit` does. The data is checked first.

        The processes of `torch.distributed` on PyTorch, or those whose devices the
        `keras.distribution` has on JAX, train one model together, each on data of its own.

        Args:
            x: data `(n, *data_shape)`, uint8 or float in the likelihood's range, or a pipeline
                of such batches (tf.data, PyDataset, torch DataLoader, generator). Only the first
                batch of a pipeline is checked.
            y: labels; ignored, except to look up `class_weight`.
            *args: as in `keras.Model.fit`.
            **kwargs: as in `keras.Model.fit`.

        Returns:
            A `keras.callbacks.History` with loss, distortion and rate, and with `val_loss`, ...
            for validation data.

        Raises:
            ValueError: if the data is not valid for the model.
        """
        self._compile_if_needed()
        arguments = self._check_call(keras.Model.fit, x, y, *args, **kwargs)
        if arguments.get("validation_data") is not None:
            validation = keras.utils.unpack_x_y_sample_weight(arguments["validation_data"])
            arguments["validation_data"] = self._check_triple(*validation, "validation_data")
        self._check_logits(arguments["x"])
        check_shards(arguments, full_only=takes_any_batch())
        self.objective.end_ramps()  # of a fit that was interrupted
        self._start_alike(arguments)
        # A pipeline has an order of its own; Keras warns if it is asked to shuffle one.
        arguments = {"shuffle": is_array(arguments["x"]), **arguments}
        with self._dispatching():
            self.steps_per_execution = steps_of_dispatch(self, arguments)
            return super().fit(**pipe_arrays(arguments, self))

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Computes loss, distortion and rate, as `keras.Model.evaluate` does.

        The noise is the same at every call.
        """
        self._compile_if_needed()
        within_fit = kwargs.get("_use_cached_eval_dataset")
        noise = [v for v in self.variables if v.name == "seed_generator_state"]
        states = [ops.convert_to_numpy(variable.value) for variable in noise]
        try:
            for key, variable in enumerate(noise):
                variable.assign(np.array([key, 0]))
            if within_fit:
                return _average_logs(super().evaluate(x=x, y=y, **kwargs))
            with self._dispatching():
                arguments = self._check_call(keras.Model.evaluate, x, y, *args, **kwargs)
                if not takes_any_batch():
                    check_shards(arguments)
                self.steps_per_execution = steps_of_dispatch(self, arguments)
                return super().evaluate(**pipe_arrays(arguments, self))
        finally:
            for state, variable in zip(states, noise):
                variable.assign(state)

    def predict(self, x, *args, **kwargs):
        """Reconstructs data, `(n, *data_shape)`, as `keras.Model.predict` does.

        Raises:
            ValueError: if the data is not valid for the model, or if several processes compute a
                batch together, on JAX: use `reconstruct`.
        """
        if calls_together():
            raise ValueError(
                "predict would give each process a part of what all have computed. Use "
                "reconstruct, which each process computes for itself."
            )
        arguments = self._check_call(keras.Model.predict, x, *args, **kwargs)
        x = arguments["x"]
        missing = -len(x) % shards() if is_array(x) else 0
        if missing:  # the devices must have as many examples each
            arguments["x"] = np.concatenate([x, *[x[-1:]] * missing])
        check_shards(arguments)
        with self._dispatching():
            images = super().predict(**pipe_arrays(arguments))
        return images[: len(x)] if missing else images

    def train_step(self, *args):
        return super().train_step(*_as_autoencoder(args))

    def test_step(self, *args):
        return super().test_step(*_as_autoencoder(args))

    def train_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        self._compile_if_needed()
        weighted = kwargs.get("class_weight") is not None
        x, labels, sample_weight = self._check_triple(x, y, sample_weight)
        self._check_logits(x)
        check_shards({"x": x, "batch_size": len(x)})
        return super().train_on_batch(x, y if weighted else labels, sample_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        self._compile_if_needed()
        x, y, sample_weight = self._check_triple(x, y, sample_weight)
        check_shards({"x": x, "batch_size": len(x)})
        return super().test_on_batch(x, y, sample_weight, **kwargs)

    @property
    def metrics_names(self):
        """Names of the numbers that `evaluate` returns as a list; one metric may have two."""
        single = [metric.name for metric in self.metrics if not hasattr(metric, "names")]
        return single + sorted(name for m in self.metrics for name in getattr(m, "names", ()))

    def make_train_function(self, force=False):
        # A traced step either updates the codebook or does not: trace again if that changed.
        frozen = not self.latent.trainable
        force = force or getattr(self, "_traced_frozen", frozen) != frozen
        self._traced_frozen = frozen
        self._build_optimizer()  # if TensorFlow did while it traces a step, it would trace again
        super().make_train_function(force=force)
        join_steps(self)

    def make_test_function(self, force=False):
        super().make_test_function(force=force)
        join_steps(self)

    @property
    def steps_are_own(self):
        """Whether `train_step` and `test_step` are those of this library, not of a subclass."""
        steps = (self.train_step, Fitting.train_step), (self.test_step, Fitting.test_step)
        return all(getattr(ours, "__func__", None) is own for ours, own in steps)

    @contextlib.contextmanager
    def _dispatching(self):
        """A call that may change `steps_per_execution`; within it, callbacks call with the own."""
        before, outer = self.steps_per_execution, self.__dict__.get("_own_steps")
        self.__dict__["_own_steps"] = before if outer is None else outer
        self.steps_per_execution = self.__dict__["_own_steps"]
        try:
            yield
        finally:
            keep_state(self)
            self.steps_per_execution, self.__dict__["_own_steps"] = before, outer

    def _purge_model_variables(self, **_):
        """Keeps the values that Keras's trainer on JAX would drop: its first step may fail."""

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """As in Keras's trainer on TensorFlow, but looks at no data if nothing is to build.

        Keras takes the mean of a batch over devices, which may have different numbers of examples.
        """
        if not self.built:
            return super()._maybe_symbolic_build(iterator, data_batch)
        with self.distribute_strategy.scope():
            self._build_optimizer()

    def _build_optimizer(self):
        if self.built and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def _compile_if_needed(self):
        if not self.compiled:
            self.compile(keras.optimizers.Adam(1e-3))

    def _start_alike(self, arguments):
        """Gives all processes of a training run the state of the first; compares what they get."""
        if replicas() == 1:
            return
        self.optimizer.build(self.trainable_variables)
        share_variables([*self.variables, *self.optimizer.variables])
        check_alike(arguments)


def _average_logs(logs):
    """The mean of logs over the processes of a training run, for callbacks that decide by them."""
    if replicas() == 1:
        return logs
    total = over_replicas(ops.convert_to_tensor(list(logs.values()), "float32"))
    return dict(zip(logs, (ops.convert_to_numpy(total) / replicas()).tolist()))


def _as_autoencoder(args):
    """The arguments of a Keras step with the input as its own target; sample weights are kept."""
    *state, data = args
    x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    return *state, ({"data": x}, x, sample_weight)
