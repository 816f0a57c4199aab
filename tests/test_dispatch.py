"""JAX: many steps in one compiled call, on arrays that stay on the device, are the same steps."""

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as to_numpy

import keras_vae
from keras_vae import backends, training

if keras.backend.backend() != "jax":
    pytest.skip("the other backends leave this to Keras", allow_module_level=True)

import jax

from keras_vae.backends import jax_arrays
from keras_vae.backends.jax_dispatch import Dispatch, ManySteps

N = 24  # six batches of 4
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (N, 8, 8, 1)).astype("uint8")
HELD_OUT = RNG.integers(0, 256, (9, 8, 8, 1)).astype("uint8")
WEIGHT = np.linspace(0.5, 2, N).astype("float32")
FIT = {"batch_size": 4, "epochs": 2, "verbose": 0}


def numbers(model, history):
    """What training leaves behind: logs, weights, codebooks, seeds, the optimizer's state."""
    variables = [*model.variables, *model.optimizer.variables]
    return [*history.history.values(), *(to_numpy(v.value).astype("float64") for v in variables)]


def fitted(model, steps, x=X, adam=False, **options):
    keras.utils.set_random_seed(0)
    optimizer = keras.optimizers.Adam(1e-3, use_ema=True) if adam else keras.optimizers.SGD(1e-3)
    model.compile(optimizer, steps_per_execution=steps)
    history = model.fit(x, **{**FIT, **options})
    return numbers(model, history)


@pytest.fixture
def small(make):
    """A function that makes a model which is quick to compile."""
    return lambda: make("mlp_vae", likelihood="gaussian")


def same(got, expected):
    assert len(got) == len(expected)
    for ours, one_by_one in zip(got, expected):
        np.testing.assert_allclose(ours, one_by_one, rtol=1e-4, atol=1e-5)


@pytest.fixture
def on_gpu(monkeypatch):
    """Keras and this library take the CPU for an accelerator."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def test_an_accelerator_finds_the_same_largest_numbers(on_gpu):
    values = np.random.default_rng(0).integers(0, 9, (50, 30)).astype("float32")  # with ties
    for compiled in (backends.largest, jax.jit(backends.largest)):
        most, first = compiled(values)
        np.testing.assert_array_equal(most, values.max(axis=1))
        np.testing.assert_array_equal(first, values.argmax(axis=1))


class Calls(keras.callbacks.Callback):
    """The first and the last step of every dispatch."""

    every_step = False

    def __init__(self):
        super().__init__()
        self.begun, self.ended, self.tested = [], [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.begun.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.ended.append(batch)

    def on_test_batch_end(self, batch, logs=None):
        self.tested.append(batch)


@pytest.mark.parametrize("factory", ["mlp_vae", pytest.param("vq_vae", marks=pytest.mark.long)])
def test_steps_in_one_call_are_those_one_by_one(make, factory):
    x, weight = X[:21], WEIGHT[:21]  # the last batch has a single example
    options = {"adam": True, "sample_weight": weight}
    options["validation_data"] = (HELD_OUT, None, WEIGHT[:9])
    expected = fitted(make(factory), 1, x, **options)
    model, calls = make(factory), Calls()
    same(fitted(model, 4, x, callbacks=[calls], **options), expected)
    assert isinstance(model.train_function, ManySteps)
    # 6 steps of training and 3 of validation: Keras alone would tell of steps 7 and 3.
    assert calls.begun == [0, 4] * 2 and calls.ended == [3, 5] * 2 and calls.tested == [2, 2]


def test_batches_of_a_pipeline_are_stacked(small):
    def batches():
        for _ in range(2):
            for start in range(0, N, 4):
                yield X[start : start + 4], None, WEIGHT[start : start + 4]

    class Batches(keras.utils.PyDataset):
        num_batches = 6

        def __getitem__(self, i):
            return X[4 * i : 4 * i + 4], None, WEIGHT[4 * i : 4 * i + 4]

    expected = fitted(small(), 1, sample_weight=WEIGHT, shuffle=False)
    options = {"batch_size": None, "shuffle": False}
    same(fitted(small(), 3, Batches(), **options), expected)
    same(fitted(small(), 3, batches(), steps_per_epoch=6, **options), expected)


def test_arrays_that_do_not_fit_are_fed_by_keras(small, monkeypatch):
    expected = fitted(small(), 1)
    monkeypatch.setattr(jax_arrays, "_BYTES", X.nbytes)
    kept, put = [], jax_arrays._Arrays.put
    monkeypatch.setattr(jax_arrays._Arrays, "put", lambda *args: kept.append(args) or put(*args))
    same(fitted(small(), 3), expected)
    assert kept
    monkeypatch.setattr(jax_arrays, "_BYTES", X.nbytes - 1)
    kept.clear()
    same(fitted(small(), 3), expected)
    assert not kept


@pytest.mark.parametrize(
    "policy", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.long)]
)
def test_mixed_precision(make, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        expected, got = (fitted(make("mlp_vae"), steps) for steps in (1, 3))
    finally:
        keras.config.set_dtype_policy(before)
    same(got, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"steps_per_epoch": 3, "validation_data": (HELD_OUT, None), "validation_steps": 2},
        {"steps_per_epoch": 6, "batch_size": None, "shuffle": False},
        pytest.param({"validation_split": 0.25}, marks=pytest.mark.long),
        pytest.param({"shuffle": "batch"}, marks=pytest.mark.long),  # it is left to Keras
    ],
)
def test_arguments_of_fit_mean_what_they_mean(small, options):
    expected = fitted(small(), 1, **options)
    same(fitted(small(), 3, **options), expected)


@pytest.mark.long
def test_class_weights_are_left_to_keras(small):
    options = {"y": np.arange(N) % 2, "class_weight": {0: 1.0, 1: 3.0}}
    expected, got = (fitted(small(), steps, **options) for steps in (1, 3))
    same(got, expected)


def test_arrays_go_to_the_device_as_they_are_and_each_example_comes_once():
    arrays = jax_arrays._Arrays([X[:21], WEIGHT[:21]], 4, None, True, shuffle=True).put(2)
    dispatches = list(arrays.get_jax_iterator())
    shapes = [[block.shape for block in each.blocks] for each in dispatches]
    assert shapes == [[(2, 4)], [(2, 4)], [(1, 4), (1, 1)]]
    blocks = [block.ravel() for each in dispatches for block in each.blocks]
    np.testing.assert_array_equal(np.sort(np.concatenate(blocks)), np.arange(21))
    x, labels, weight = dispatches[0].arrays
    assert isinstance(x, jax.Array) and x.dtype == "uint8" and labels is None
    np.testing.assert_array_equal(weight, WEIGHT[:21])
    # Keras puts what it takes ahead of its turn on the device.
    assert isinstance(jax.device_put(dispatches[0]), Dispatch)


@pytest.mark.parametrize(
    ("n", "batch_size", "shape", "steps"),
    [
        (50_000, 128, (784,), 39),  # 390 full batches and one of 80
        (49_152, 8192, (784,), 2),  # 2^24 values are 2.6 batches
        (640, 10, (1,), 64),
        (75, 10, (1,), 8),  # the whole epoch
        (64 * 67, 64, (1,), 34),  # 67 is prime: 34 and 33
        (10, 2, (2**24,), 1),
    ],
)
def test_steps_of_a_dispatch(n, batch_size, shape, steps):
    x = np.broadcast_to(np.uint8(0), (n, *shape))
    assert jax_arrays._Arrays([x], batch_size, None, True).best_number() == steps


def test_an_accelerator_is_given_many_steps_unless_a_callback_must_see_them(
    small, on_gpu, tmp_path
):
    class EveryStep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    def dispatches(steps, *callbacks, **options):
        calls = Calls()
        got = fitted(small(), steps, callbacks=[*callbacks, calls], **options)
        return len(calls.begun), got

    _, expected = dispatches(1)
    epochs = [
        keras.callbacks.ModelCheckpoint(tmp_path / "last.weights.h5", save_weights_only=True),
        keras.callbacks.EarlyStopping("loss", patience=9),
        keras_vae.callbacks.Ramp("beta", 0),
    ]
    for steps, callbacks, number in [
        (1, [], 12),
        (None, epochs, 2),
        (None, [EveryStep()], 12),
        (None, [keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: None)], 12),
        (None, [keras_vae.callbacks.Ramp("beta", steps=0)], 12),
    ]:
        found, got = dispatches(steps, *callbacks)
        assert found == number
        same(got, expected)


def test_a_cpu_is_left_as_it_is(small):
    model, calls = small(), Calls()
    fitted(model, None, callbacks=[calls])
    assert len(calls.begun) == 12
    assert jax_arrays.pipe_arrays({"x": X}, model) == {"x": X}


def test_callbacks_ask_the_model_as_ever(small):
    found = []

    class Asks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            found.append(self.model.predict(X, batch_size=4, verbose=0))
            found.append(self.model.evaluate(X, batch_size=4, verbose=0))
            found.append(self.model.reconstruct(X))

    expected = fitted(small(), 1, callbacks=[Asks()])
    one_by_one, found = found, []
    model = small()
    model.predict(X, verbose=0), model.evaluate(X, verbose=0)  # functions for single steps
    got = fitted(model, "auto", callbacks=[Asks()])
    same(found, one_by_one)
    same(got, expected)
    assert model.steps_per_execution == 1


def test_evaluate(small):
    model = small()
    found = []
    for steps in (1, 4):
        model.compile(steps_per_execution=steps)
        for options, last in (({"sample_weight": WEIGHT}, 5), ({"steps": 3}, 2)):
            calls = Calls()
            options = {"batch_size": 4, "callbacks": [calls], "verbose": 0, **options}
            found.append(model.evaluate(X, **options))
            assert calls.tested[-1] == last
    same(found[2:], found[:2])


def test_what_a_user_wrote_is_left_to_keras(small):
    class Own(keras_vae.VAE):
        def train_step(self, *args):
            return super().train_step(*args)

    parts, found = small(), []
    for kind in (Own, keras_vae.VAE):
        model = kind(
            keras.models.clone_model(parts.encoder), keras.models.clone_model(parts.decoder)
        )
        model.set_weights(parts.get_weights())
        model.latent.seed_generator.state.assign(np.array([0, 0], "uint32"))
        model.seed_generator.state.assign(np.array([0, 1], "uint32"))
        found.append(fitted(model, 3))
        assert isinstance(model.train_function, ManySteps) == (kind is keras_vae.VAE)
    same(*found)
    for options in ({"run_eagerly": True}, {"jit_compile": False}):
        model.compile(steps_per_execution=2, **options)
        model.make_train_function()
        assert not isinstance(model.train_function, ManySteps)


def test_a_run_is_the_same_and_resumes(small, tmp_path):
    found = []
    for steps, epochs in ((1, [2]), ("auto", [2]), (3, [1, 2])):
        keras.utils.set_random_seed(0)
        for until in epochs:
            model = small()
            model.compile(keras.optimizers.Adam(1e-3), steps_per_execution=steps)
            options = {"epochs": until, "batch_size": 4, "variants": 3}
            history = training.train(model, X, HELD_OUT, tmp_path / str(steps), **options)
        logs = [[entry[key] for key in ("loss", "val_loss")] for entry in history]
        found.append([*logs, *model.get_weights()])
    for got in found[1:]:
        same(got, found[0])


def test_a_ramp_by_steps_is_as_long_with_several_of_them_in_a_dispatch(small):
    shares = []

    class Shares(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            shares.append(float(to_numpy(self.model.objective._shares["beta"].value)))

    fitted(small(), 3, callbacks=[keras_vae.callbacks.Ramp("beta", steps=9), Shares()])
    assert shares == pytest.approx([0.1, 0.4, 0.7, 1.0])


def test_a_number_that_was_chosen_is_not_saved(small, tmp_path):
    for steps in (None, "auto", 2):
        model = small()
        model.compile("adam", steps_per_execution=steps)
        model.optimizer.build(model.trainable_variables)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert (loaded.steps_wanted, loaded.steps_per_execution) == (
            steps,
            steps if steps == 2 else 1,
        )
