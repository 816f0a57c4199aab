"""A VAE is a keras.Model: saving, callbacks, policies, and networks of the user's own."""

import contextlib
import functools
import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import DEEP, eagerly, quick_first
from reference_steps import HAS_QUICK_COMPILER, HAS_STEPS_PER_EXECUTION

import keras_vae
from keras_vae import FACTORIES


def numpy(t):
    return keras.ops.convert_to_numpy(t)


def run_python(code, *, backend, **names):
    """Runs code in a new process, where `names` are strings; returns what it printed."""
    lines = [f"{name} = {str(value)!r}" for name, value in names.items()]
    if backend == "tensorflow":  # as in `eagerly`
        lines.append("import tensorflow; tensorflow.config.run_functions_eagerly(True)")
    environment = {**os.environ, "KERAS_BACKEND": backend}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-c", "\n".join([*lines, code])]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


factories = pytest.mark.parametrize(
    "factory", quick_first(["mlp_vae", "vq_vae", "conv_vae", "ladder_vae"], 2)
)


# Saving


def numbers_of(model, x):
    """The ELBO, or the codes of a plain autoencoder, which has none."""
    return model.encode(x) if model.latent.no_bound else model.elbo(x, seed=0)


@pytest.fixture(scope="module")
def trained(make, grey, tmp_path_factory):
    """A function of a factory: a trained model; its files and answers are in the folder given."""
    folder = tmp_path_factory.mktemp("trained")

    @functools.cache
    def trained(name):
        model = make(name, beta=0.5)
        with eagerly() if name in {*DEEP, "ladder_vae"} else contextlib.nullcontext():
            model.train_on_batch(grey)
            answers = {"images": model.reconstruct(grey), "numbers": numbers_of(model, grey)}
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
        np.savez(folder / f"{name}.npz", x=grey, **answers)
        return folder, model

    return trained


@pytest.fixture(scope="module")
def folder_of_all(trained):
    """The folder with a trained model of every factory."""
    (folder,) = {trained(name)[0] for name in FACTORIES}
    return folder


@pytest.mark.long
def test_a_keras_file_loads_in_a_new_process(folder_of_all):
    code = """
import glob, keras, keras_vae, numpy as np
for path in glob.glob(folder + "/*.keras"):
    model = keras.saving.load_model(path, safe_mode=True)
    expected = np.load(path.replace(".keras", ".npz"))
    np.testing.assert_allclose(model.reconstruct(expected["x"]), expected["images"], atol=1e-6)
    x, has_bound = expected["x"], not model.latent.no_bound
    got = model.elbo(x, seed=0) if has_bound else model.encode(x)
    np.testing.assert_allclose(got, expected["numbers"], rtol=1e-5, atol=1e-5)
    assert float(keras.ops.convert_to_numpy(model.beta)) == 0.5
    assert model.compiled
    print("loaded", model.name)
"""
    printed = run_python(code, backend=keras.backend.backend(), folder=folder_of_all)
    assert sorted(printed.split()[1::2]) == sorted(FACTORIES)


@pytest.mark.long
def test_a_keras_file_of_one_backend_loads_in_another(folder_of_all):
    names = {"torch", "tensorflow", "jax"} - {keras.backend.backend()}
    others = sorted(filter(importlib.util.find_spec, names), reverse=True)
    if not others:
        pytest.skip("no other backend is installed")
    code = """
import glob, keras, keras_vae, numpy as np
for path in glob.glob(folder + "/*.keras"):
    model = keras.saving.load_model(path)
    model.set_weights([np.zeros(w.shape) for w in model.weights])
    model.load_weights(path.replace(".keras", ".weights.h5"))
    expected = np.load(path.replace(".keras", ".npz"))
    # Another backend sums in another order.
    np.testing.assert_allclose(model.reconstruct(expected["x"]), expected["images"], atol=1e-4)
    x, has_bound = expected["x"], not model.latent.no_bound
    got = model.elbo(x, seed=0) if has_bound else model.encode(x)
    np.testing.assert_allclose(got, expected["numbers"], rtol=1e-4, atol=1e-4)
    print("loaded", model.name)
"""
    printed = run_python(code, backend=others[0], folder=folder_of_all)
    assert sorted(printed.split()[1::2]) == sorted(FACTORIES)


@factories
def test_the_config_makes_the_same_model(trained, grey, factory):
    _, model = trained(factory)
    again = keras_vae.VAE.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    again.set_weights(model.get_weights())
    # On JAX, layers made from a config are Keras's own: their sums are in another order.
    np.testing.assert_allclose(again.reconstruct(grey), model.reconstruct(grey), rtol=0, atol=1e-6)


@factories
def test_weights_load_into_a_fresh_model(trained, make, grey, factory):
    folder, model = trained(factory)
    fresh = make(factory, seed=1)
    fresh.load_weights(folder / f"{factory}.weights.h5")
    np.testing.assert_array_equal(fresh.reconstruct(grey), model.reconstruct(grey))


@factories
def test_a_loaded_model_goes_on_training_where_it_was(trained, factory):
    folder, model = trained(factory)
    again = keras.saving.load_model(folder / f"{factory}.keras")
    assert again.compiled
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for ours, theirs in zip(again.optimizer.variables, model.optimizer.variables):
        np.testing.assert_array_equal(numpy(ours), numpy(theirs))


def test_a_clone_has_the_same_architecture(make, factory):
    model = make(factory)
    clone = model.__class__.from_config(model.get_config())
    assert [w.shape for w in clone.weights] == [w.shape for w in model.weights]


# Ways to run


def test_a_step_does_the_same_however_it_is_run(vectors):
    ways = [{}, {"run_eagerly": True}]
    if HAS_QUICK_COMPILER:
        ways.append({"jit_compile": True})
    results = []
    for options in ways:
        keras.utils.set_random_seed(0)
        encoder = keras.Sequential([keras.Input((8,)), keras.layers.Dense(8)])
        encoder.add(keras.layers.Reshape((4, 2)))
        decoder = keras.Sequential([keras.Input((4, 2)), keras.layers.Flatten()])
        decoder.add(keras.layers.Dense(8))
        # No noise: a compiler may draw other numbers from the same seed.
        latent = keras_vae.latents.VectorQuantizer(5, 2, revive_below=0, seed=0)
        model = keras_vae.VAE(encoder, decoder, latent, likelihood="gaussian")
        latent.codebook.frequency.assign(np.full(5, 0.2))
        model.compile(keras.optimizers.SGD(1e-2), **options)
        results.append([model.train_on_batch(vectors)[0] for _ in range(3)])
        results[-1].extend(numpy(w) for w in model.weights)
    for plain, *others in zip(*results):
        for other in others:
            np.testing.assert_allclose(plain, other, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_a_compiled_model_with_noise_trains(make, binary):
    if not HAS_QUICK_COMPILER:
        pytest.skip("compiling takes minutes on this backend")
    model = make("mlp_vae")
    model.compile("adam", jit_compile=True)
    losses = []
    for _ in range(2):
        model.reset_metrics()
        losses.append(model.train_on_batch(binary)[0])
    assert np.isfinite(losses).all() and losses[0] != losses[1]


@pytest.mark.skipif(not HAS_STEPS_PER_EXECUTION, reason="not in Keras on this backend")
def test_several_steps_in_one_execution_are_the_same_steps(make, binary):
    results = []
    for steps in (1, 3):
        keras.utils.set_random_seed(0)
        model = make("mlp_vae")
        model.compile(keras.optimizers.SGD(1e-3), steps_per_execution=steps)
        history = model.fit(binary, batch_size=2, epochs=2, shuffle=False, verbose=0).history
        results.append([*history["loss"], *(numpy(w) for w in model.encoder.weights)])
    for one, several in zip(*results):
        np.testing.assert_allclose(one, several, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("factory", quick_first(["mlp_vae", "vq_vae", "conv_vae", "ladder_vae"]))
def test_batch_methods_return_what_keras_returns(make, factory, grey):
    model = make(factory)
    names = {"loss", "distortion", "rate"}
    for step in (model.train_on_batch, model.test_on_batch):
        assert names <= set(step(grey, return_dict=True))
        assert np.isfinite(step(grey)).all()
    images = numpy(model.predict_on_batch(grey))
    np.testing.assert_allclose(images, model.reconstruct(grey), rtol=1e-4, atol=1e-5)


@pytest.fixture
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(
    ("factory", "policy"),
    quick_first(
        [
            *(("mlp_vae", "mixed_float16"), ("vq_vae", "mixed_bfloat16")),
            *(("mlp_vae", "mixed_bfloat16"), ("vq_vae", "mixed_float16")),
            *(("conv_vae", "mixed_float16"), ("conv_vae", "mixed_bfloat16")),
            *(("ladder_vae", "mixed_float16"), ("ladder_vae", "mixed_bfloat16")),
        ],
        2,
    ),
    indirect=["policy"],
)
def test_mixed_precision_trains_with_latents_and_losses_in_float32(make, factory, policy, grey):
    model = make(factory)
    assert model.encoder.compute_dtype == policy.removeprefix("mixed_")
    before = [numpy(w) for w in model.latent.weights]
    for _ in range(3):  # the first may be too large for float16, and lower the scale of the loss
        assert np.isfinite(model.train_on_batch(grey)).all()
    for old, new in zip(before, model.latent.weights):  # the codebook of a VQ model
        assert keras.backend.standardize_dtype(new.dtype) == "float32"
        assert (numpy(new) != old).any()
    assert model.encode(grey).dtype in ("float32", "int32")
    assert model.reconstruct(grey).dtype == "float32"
    numbers = numbers_of(model, grey)
    assert numbers.dtype == "float32" and np.isfinite(numbers).all()


# Callbacks


def test_callbacks_of_keras_work(make, grey, tmp_path):
    model = make("mlp_vae")
    model.compile(keras.optimizers.SGD(0.0))
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", "val_loss", save_best_only=True),
        keras.callbacks.ModelCheckpoint(
            tmp_path / "last.weights.h5", "val_loss", save_weights_only=True
        ),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    fit = {"validation_data": (grey, None), "callbacks": callbacks, "verbose": 0}
    history = model.fit(grey, epochs=9, **fit).history
    assert len(history["loss"]) == 3  # val_loss does not change at a learning rate of 0
    best = keras.saving.load_model(tmp_path / "best.keras")
    np.testing.assert_array_equal(best.reconstruct(grey), model.reconstruct(grey))
    assert (tmp_path / "log.csv").read_text().count("\n") == 4


@pytest.mark.long
def test_a_killed_fit_resumes_at_its_epoch(make, grey, tmp_path):
    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)

    first = make("mlp_vae")
    with pytest.raises(KeyboardInterrupt):
        first.fit(grey, epochs=4, callbacks=[backup(), Kill()], verbose=0)
    second = make("mlp_vae", seed=1)
    seen = []

    class See(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if not seen:
                same = [numpy(w) for w in self.model.encoder.weights]
                seen.extend([epoch, same, int(numpy(self.model.optimizer.iterations))])

    history = second.fit(grey, epochs=4, callbacks=[backup(), See()], verbose=0)
    assert history.epoch == [2, 3]
    assert seen[0] == 2 and seen[2] == 2
    for restored, weight in zip(seen[1], first.encoder.weights):
        np.testing.assert_array_equal(restored, numpy(weight))


@pytest.mark.long
def test_tensorboard_works(make, grey, tmp_path):
    pytest.importorskip("tensorflow")
    pytest.importorskip("tensorboard")
    model = make("mlp_vae")
    model.fit(grey, callbacks=[keras.callbacks.TensorBoard(tmp_path)], verbose=0)
    assert list(tmp_path.rglob("events*"))


# Networks of the user's own


@keras.saving.register_keras_serializable(package="tests")
class Heads(keras.Model):
    """A subclassed encoder with two outputs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mean, self.log_var = keras.layers.Dense(2), keras.layers.Dense(2)

    def call(self, x):
        return self.mean(x), self.log_var(x)


@keras.saving.register_keras_serializable(package="tests")
class Tail(keras.Model):
    """A subclassed decoder."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(8)

    def call(self, z):
        return self.dense(z)


def two_outputs():
    x = keras.Input((8,))
    return keras.Model(x, [keras.layers.Dense(2)(x), keras.layers.Dense(2)(x)])


def one_output():
    x = keras.Input((8,))
    return keras.Model(x, keras.layers.Dense(4)(keras.layers.Dropout(0.1)(x)))


def late():
    return keras.Sequential([keras.layers.Dense(5, "relu"), keras.layers.Dense(4)])


def late_decoder():
    return keras.Sequential([keras.layers.Dense(5, "relu"), keras.layers.Dense(8)])


@pytest.mark.parametrize(
    "encoder, decoder",
    quick_first(
        [(two_outputs, late_decoder), (Heads, Tail), (one_output, Tail), (late, late_decoder)], 2
    ),
)
def test_networks_of_the_users_own_train_and_save(encoder, decoder, vectors, tmp_path):
    model = keras_vae.VAE(encoder(), decoder(), likelihood="gaussian", seed=0)
    history = model.fit(vectors, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert model.encode(vectors).shape == (12, 2)
    images = model.reconstruct(vectors)
    assert images.shape == vectors.shape
    model.save(tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_allclose(again.reconstruct(vectors), images, rtol=1e-5)


@pytest.mark.parametrize(
    "method",
    ["evaluate", "predict", "train_on_batch", "test_on_batch", "encode", "reconstruct", "elbo"],
)
def test_a_model_built_late_takes_any_method_first(method, vectors):
    model = keras_vae.VAE(late(), late_decoder(), likelihood="gaussian")
    assert not model.built
    getattr(model, method)(vectors)
    assert model.built and model.data_shape == (8,)
    with pytest.raises(ValueError, match=r"must have shape \(n, 8\)"):
        model.encode(vectors[:, :7])


def test_batch_statistics_of_the_users_network_move_in_training_only(vectors):
    x, z = keras.Input((8,)), keras.Input((2,))
    encoder = keras.Model(x, keras.layers.Dense(4)(keras.layers.BatchNormalization()(x)))
    normal = keras.layers.BatchNormalization()
    model = keras_vae.VAE(
        encoder, keras.Model(z, normal(keras.layers.Dense(8)(z))), seed=0, likelihood="gaussian"
    )
    before = numpy(encoder.layers[1].moving_mean), numpy(normal.moving_mean)
    model.test_on_batch(vectors)
    model.elbo(vectors)
    np.testing.assert_array_equal(numpy(encoder.layers[1].moving_mean), before[0])
    model.train_on_batch(vectors)
    got = numpy(encoder.layers[1].moving_mean)
    np.testing.assert_allclose(got, 0.01 * vectors.mean(0), rtol=1e-4, atol=1e-6)
    assert (numpy(normal.moving_mean) != before[1]).any()


def test_dropout_of_the_users_network_acts_in_training_only(vectors):
    x = keras.Input((8,))
    encoder = keras.Model(x, keras.layers.Dense(4)(keras.layers.Dropout(0.9, seed=0)(x)))
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8)])
    model = keras_vae.VAE(encoder, decoder, likelihood="gaussian", seed=0)
    model.compile(keras.optimizers.SGD(0.0))
    rate = model.train_on_batch(vectors, return_dict=True)["rate"]
    model.reset_metrics()
    tested = model.test_on_batch(vectors, return_dict=True)["rate"]
    np.testing.assert_allclose(tested, model.distortion_and_rate(vectors)[1].mean(), rtol=1e-5)
    assert abs(rate - tested) > 0.1 * abs(tested)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="has no float64 unless told so")
@pytest.mark.parametrize(
    ("factory", "likelihood"),
    quick_first(
        [
            *(("mlp_vae", "gaussian"), ("vq_vae", "learned_gaussian")),
            *(("mlp_vae", "bernoulli"), ("conv_vae", "learned_gaussian")),
            *(("vq_vae", "bernoulli"), ("ladder_vae", "gaussian")),
        ],
    ),
)
def test_float64_as_keras_default_trains(make, factory, grey, likelihood):
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        prior = {"prior": "vamp"} if factory == "mlp_vae" and likelihood == "gaussian" else {}
        model = make(factory, likelihood=likelihood, **prior)
        assert np.isfinite(numbers_of(model, grey)).all()
        assert np.isfinite(model.fit(grey, verbose=0).history["loss"]).all()
        outputs = model.decoder(model.latent.decoder_input(model.latent.code(model.encoder(grey))))
        sample = keras.ops.convert_to_numpy(model.likelihood.sample(outputs))
        assert np.isfinite(sample).all()
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
