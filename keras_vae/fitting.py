"""Keras's training methods for a VAE, with checks of the data."""

import contextlib
import inspect
import math
import types

import keras
import numpy as np
from keras import ops

from keras_vae import batches
from keras_vae.backends import (
    join_steps,
    keep_state,
    pipe_arrays,
    shards,
    share_gradients,
    share_variables,
    speed_up_adam,
    steps_of_dispatch,
)
from keras_vae.checks import as_array, check_sample_weight, is_array
from keras_vae.replicas import gather_replicas, over_replicas, replicas


class Fitting:
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
        config = {**super().get_compile_config(), "steps_per_execution": self.steps_wanted}
        return {name: value for name, value in config.items() if value is not None}

    def fit(self, x=None, y=None, *args, **kwargs):
        """Trains on data, as `keras.Model.fit` does. The data is checked first.

        On PyTorch the processes of `torch.distributed`, if there are several, train one model
        together, each on data of its own.

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
        _check_shards(arguments)
        self.objective.end_ramps()  # of a fit that was interrupted
        self._start_alike(arguments["x"])
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
                _check_shards(arguments)
                self.steps_per_execution = steps_of_dispatch(self, arguments)
                return super().evaluate(**pipe_arrays(arguments, self))
        finally:
            for state, variable in zip(states, noise):
                variable.assign(state)

    def predict(self, x, *args, **kwargs):
        """Reconstructs data, `(n, *data_shape)`, as `keras.Model.predict` does."""
        arguments = self._check_call(keras.Model.predict, x, *args, **kwargs)
        x = arguments["x"]
        missing = -len(x) % shards() if is_array(x) else 0
        if missing:  # the devices must have as many examples each
            arguments["x"] = np.concatenate([x, *[x[-1:]] * missing])
        _check_shards(arguments)
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
        _check_shards({"x": x, "batch_size": len(x)})
        return super().train_on_batch(x, y if weighted else labels, sample_weight, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        self._compile_if_needed()
        x, y, sample_weight = self._check_triple(x, y, sample_weight)
        _check_shards({"x": x, "batch_size": len(x)})
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
        if self.built and not self.optimizer.built:
            # Variables made while TensorFlow traces a step would have it trace a second time.
            self.optimizer.build(self.trainable_variables)
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

    def _compile_if_needed(self):
        if not self.compiled:
            self.compile(keras.optimizers.Adam(1e-3))

    def _start_alike(self, x):
        """Gives all processes of a training run the state of the first; checks their data."""
        if replicas() == 1:
            return
        self.optimizer.build(self.trainable_variables)
        share_variables([*self.variables, *self.optimizer.variables])
        own = ops.convert_to_tensor([len(x) if hasattr(x, "__len__") else 0], "int32")
        lengths = ops.convert_to_numpy(gather_replicas(own))
        if len(set(lengths)) > 1:
            raise ValueError(
                "Each process must have as many examples as the others, or they would wait for "
                f"each other for ever. Received, by process: {', '.join(map(str, lengths))}"
            )

    def _check_logits(self, x):
        """Raises ValueError if a decoder that should return logits returns probabilities."""
        if self.likelihood.mean_activation != "sigmoid" or self.made_by or not self.built:
            return
        if self.__dict__.setdefault("_returns_logits", None) is self.decoder:
            return
        shape = (64, *(np.shape(x)[1:] if is_array(x) else self.data_shape))
        if None in shape:
            return  # a pipeline of images of any size
        data = np.random.RandomState(0).normal(0, 30, size=shape).astype("float32")
        code = self._code(ops.convert_to_tensor(data))
        outputs = self.decoder(self.latent.decoder_input(code))
        outputs = ops.convert_to_numpy(outputs).astype("float32")
        if outputs.min() >= 0 and 0 < outputs.max() <= 1:
            raise ValueError(
                f"A {type(self.likelihood).__name__} likelihood takes logits, and this decoder "
                f"returns numbers from {outputs.min():.3g} to {outputs.max():.3g} even for extreme "
                "data: probabilities. Leave out the sigmoid at its end; decode and reconstruct "
                "apply it."
            )
        self.__dict__["_returns_logits"] = self.decoder

    def _check_call(self, method, *args, **kwargs):
        """Checks the data of a call of a Keras method; returns its arguments by name."""
        arguments = inspect.signature(method).bind(self, *args, **kwargs).arguments
        arguments = {**arguments, **arguments.pop("kwargs", {})}
        del arguments["self"]
        y = arguments.pop("y", None)
        x, labels, sample_weight = self._check_triple(
            arguments["x"], y, arguments.pop("sample_weight", None)
        )
        if sample_weight is not None:
            arguments["sample_weight"] = sample_weight
        if arguments.get("class_weight") is not None:
            if y is None and is_array(x):
                raise ValueError("class_weight needs the labels: fit(x, y, class_weight=...).")
            labels = y
        if labels is not None:
            arguments["y"] = labels
        return {**arguments, "x": x}

    def _check_triple(self, x, y=None, sample_weight=None, name="x"):
        """Checks data and weights; returns placeholder labels if Keras needs them for weights."""
        batches.check_kind(x, name)
        if not is_array(x):
            return self._check_first_batch(x, name), y, sample_weight
        x = self._check_x(x, name)
        _check_no_target(x, y)
        if sample_weight is None:
            return x, None, None
        sample_weight = check_sample_weight(sample_weight, len(x))
        return x, np.zeros(len(x), "uint8"), sample_weight

    def _check_first_batch(self, pipeline, name):
        """Checks the first batch of a pipeline; the pipeline returned still yields that batch."""
        batches.check_pipeline(pipeline, name)
        is_dataset = isinstance(pipeline, keras.utils.PyDataset)
        first = pipeline[0] if is_dataset else next(iter(pipeline), None)
        if isinstance(pipeline, types.GeneratorType):
            pipeline = _chain(first, pipeline)
        if first is None:
            raise ValueError(f"{name} must hold at least one batch. Received an empty pipeline.")
        y = keras.utils.unpack_x_y_sample_weight(first)[1]
        batch = batches.data_of(first, name)
        _check_no_target(self._check_x(batch, f"the first batch of {name}"), y)
        return pipeline


def _average_logs(logs):
    """The mean of logs over the processes of a training run, for callbacks that decide by them."""
    if replicas() == 1:
        return logs
    total = over_replicas(ops.convert_to_tensor(list(logs.values()), "float32"))
    return dict(zip(logs, (ops.convert_to_numpy(total) / replicas()).tolist()))


def _chain(first, rest):
    yield first
    yield from rest


def _check_shards(arguments):
    """Raises ValueError if the devices of `keras.distribution` cannot share the batches."""
    x, held_out = arguments["x"], arguments.get("validation_data")
    size, parts = arguments.get("batch_size"), shards()
    steps = arguments.get("steps_per_epoch") or arguments.get("steps")
    given = [("x", x, size or (is_array(x) and steps and math.ceil(len(x) / steps)) or 32)]
    if held_out is not None:
        size = arguments.get("validation_batch_size") or size or 32
        given.append(("validation_data", held_out[0], size))
    for name, array, size in given:
        count = len(array) if parts > 1 and is_array(array) else 0
        if count and (size % parts or count % size % parts):
            raise ValueError(
                f"{parts} devices share each batch: {parts} must divide batch_size and the number "
                f"of examples in the last batch. Received: {name} of {count} examples, in batches "
                f"of {size}."
            )


def _check_no_target(x, y):
    """Raises ValueError for a target other than the data, which would be ignored in silence."""
    if np.ndim(x) < 2 or np.shape(y) != np.shape(x):
        return
    if y is not x and not np.array_equal(as_array(y, "y"), x):
        raise ValueError(
            "y has the shape of x but other values: a VAE learns to reconstruct x, and ignores "
            "labels. Training towards another target, such as denoising, is not supported."
        )


def _as_autoencoder(args):
    """The arguments of a Keras step with the input as its own target; sample weights are kept."""
    *state, data = args
    x, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    return *state, ({"data": x}, x, sample_weight)
