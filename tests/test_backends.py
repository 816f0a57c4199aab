"""What is written once for each backend changes the speed and nothing else."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from conftest import on_default_backend, quick_first
from keras.ops import convert_to_numpy as to_numpy
from reference_steps import adam

import keras_vae
from keras_vae import backends


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    quick_first([(keras.optimizers.Adam, True), (keras.optimizers.AdamW, False)]),
)
def test_the_quick_update_is_that_of_keras(make, binary, optimizer, schedule):
    def rate():
        return keras.optimizers.schedules.CosineDecay(1e-2, 5) if schedule else 1e-2

    class Plain(optimizer):
        """A subclass is left alone."""

    models = [make("mlp_vae"), make("mlp_vae")]
    models[1].set_weights(models[0].get_weights())
    for model, kind in zip(models, (optimizer, Plain)):
        model.compile(kind(rate(), clipnorm=1.0))
        for _ in range(3):
            model.train_on_batch(binary)
    for ours, keras_own in zip(models[0].variables, models[1].variables):
        if "seed" not in ours.path:
            # Steps of 1e-2; where a gradient is near zero its rounding shows.
            np.testing.assert_allclose(to_numpy(ours), to_numpy(keras_own), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_quick_update_is_kingma_and_ba(make, order):
    """Also of a gradient that is transposed in memory."""
    optimizer = keras.optimizers.Adam(1e-2)
    make("mlp_vae").compile(optimizer)
    weights = [np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3)]
    variable = keras.Variable(weights[0])
    state = None
    for step in range(4):
        grads = [np.cos(step + weights[0])]
        gradient = grads[0] if order == "C" else grads[0].T.copy()
        gradient = keras.ops.convert_to_tensor(gradient)
        gradient = gradient if order == "C" else keras.ops.transpose(gradient)
        optimizer.apply([gradient], [variable])
        weights, state = adam(weights, grads, state, 1e-2)
        np.testing.assert_allclose(to_numpy(variable), weights[0], rtol=1e-5)


def test_an_optimizer_saved_is_one_of_keras(make):
    model = make("mlp_vae")
    model.compile(keras.optimizers.Adam(3e-4))
    saved, expected = (
        keras.saving.serialize_keras_object(optimizer)
        for optimizer in (model.optimizer, keras.optimizers.Adam(3e-4))
    )
    names = ("module", "class_name", "registered_name")
    assert [saved[name] for name in names] == [expected[name] for name in names]


on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the others batch arrays as Keras does"
)


@on_tensorflow
def test_a_pipeline_of_arrays_holds_each_example_once_in_a_new_order_every_epoch():
    x, weight = np.arange(10.0)[:, None], np.arange(10.0) / 10
    piped = backends.pipe_arrays(
        {
            "x": x,
            "y": np.zeros(10),
            "sample_weight": weight,
            "batch_size": 4,
            "shuffle": True,
            "validation_data": (x, None, None),
            "epochs": 2,
        }
    )
    assert piped.keys() == {"x", "shuffle", "validation_data", "epochs"}
    epochs = [list(piped["x"].as_numpy_iterator()) for _ in range(3)]
    for epoch in epochs:
        assert [len(batch[0]) for batch in epoch] == [4, 4, 2]
        seen, labels, weights = (np.concatenate(part) for part in zip(*epoch))
        np.testing.assert_array_equal(np.sort(seen, axis=0), x)
        np.testing.assert_array_equal(weights, seen[:, 0] / 10)
    orders = {tuple(np.concatenate([batch[0][:, 0] for batch in epoch])) for epoch in epochs}
    assert len(orders) == 3
    held_out = [batch[0] for batch in piped["validation_data"].as_numpy_iterator()]
    np.testing.assert_array_equal(np.concatenate(held_out), x)
    # Tuned, it would be waited for at its end.
    for pipeline in (piped["x"], piped["validation_data"]):
        assert pipeline.options().autotune.enabled is False


@on_tensorflow
def test_a_pipeline_is_left_as_it_is():
    def batches():
        yield (np.ones((2, 1)),)

    arguments = {"x": batches(), "steps_per_epoch": 1, "shuffle": True}
    assert backends.pipe_arrays(arguments) == arguments


def test_the_last_part_is_what_a_split_validates_on(make, binary):
    model = make("mlp_vae")
    history = model.fit(binary, batch_size=4, validation_split=0.25, verbose=0).history
    held_out = model.evaluate(binary[9:], batch_size=4, verbose=0, return_dict=True)
    np.testing.assert_allclose(history["val_loss"], held_out["loss"], rtol=1e-6)


class Steps(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.training = self.testing = 0

    def on_train_batch_end(self, batch, logs=None):
        self.training += 1

    def on_test_batch_end(self, batch, logs=None):
        self.testing += 1


def test_arrays_without_a_batch_size_make_as_many_steps_as_asked_for(make, binary):
    model, steps = make("mlp_vae"), Steps()
    held_out = {"validation_data": (binary[:7], None), "validation_steps": 2}
    options = {"epochs": 2, "verbose": 0, "callbacks": [steps]}
    model.fit(binary, steps_per_epoch=4, **held_out, **options)
    assert (steps.training, steps.testing) == (8, 4)
    assert model.predict(binary, steps=6, verbose=0).shape == binary.shape
    of_steps, of_size = (
        model.evaluate(binary, verbose=0, return_dict=True, **by)
        for by in ({"steps": 3}, {"batch_size": 4})
    )
    assert of_steps == pytest.approx(of_size, rel=1e-6)


@on_tensorflow
def test_the_graphs_of_many_models_are_no_reason_to_warn(make, caplog):
    for _ in range(4):
        model = make("mlp_vae", (3,))
        for n in (3, 5):
            model.generate(n)
    assert "retracing" not in caplog.text


@on_tensorflow
@pytest.mark.parametrize("wrong", [{"validation_split": 1.5}, {"validation_split": 0.95}])
def test_a_split_that_leaves_nothing_is_refused(make, binary, wrong):
    with pytest.raises(ValueError, match="validation_split"):
        make("mlp_vae").fit(binary, verbose=0, **wrong)


def test_compiled_inference_follows_the_weights(make):
    model = make("mlp_vae", likelihood="gaussian")
    z = np.ones((2, 3), "float32")
    before = model.decode(z)
    bias = model.decoder.trainable_variables[-1]
    bias.assign(to_numpy(bias) + 1.0)
    np.testing.assert_allclose(model.decode(z), before + 1.0, rtol=1e-5)


def test_compiled_inference_follows_the_likelihood(make, binary):
    model = make("mlp_vae")
    logits = np.log(model.decode(np.ones((2, 3)))) - np.log1p(-model.decode(np.ones((2, 3))))
    model.likelihood = keras_vae.likelihoods.Gaussian()
    np.testing.assert_allclose(model.decode(np.ones((2, 3))), logits, rtol=1e-4, atol=1e-5)


def test_compiled_inference_follows_other_variables_and_a_new_compile(make, binary):
    model = make("mlp_vae", likelihood="gaussian", hidden_units=())
    for change in (lambda layer: layer.enable_lora(2), lambda layer: layer.quantize("int8")):
        before = model.reconstruct(binary)
        for layer in (*model.encoder.layers, *model.decoder.layers):
            if isinstance(layer, keras.layers.Dense):
                change(layer)
        model.compile(keras.optimizers.Adam(0.1))
        if not model.encoder.layers[-1].quantization_mode:
            model.train_on_batch(binary)
        after = model.reconstruct(binary)
        np.testing.assert_allclose(after, model.predict(binary, verbose=0), atol=1e-5)
        assert np.abs(after - before).max() > 1e-4
    density = model.elbo(binary, seed=0)
    model.likelihood.scale = 0.5
    model.compile("adam")
    assert np.abs(model.elbo(binary, seed=0) - density).mean() > 1


@on_tensorflow
@pytest.mark.parametrize(
    ("factory", "likelihood"),
    quick_first(
        [
            ("mlp_vae", "bernoulli"),
            ("mlp_vae", "gaussian"),
            ("conv_vae", "learned_gaussian"),
            ("vq_vae", "bernoulli"),
        ]
    ),
)
def test_images_whose_size_the_pipeline_does_not_say(make, factory, grey, likelihood):
    """As those of `tf.io.decode_png` and of most generators."""
    import tensorflow as tf

    images = tf.TensorSpec((None, None, 1), "float32")
    pipeline = tf.data.Dataset.from_generator(lambda: iter(grey), output_signature=images)
    pipeline = pipeline.batch(4).repeat()
    model = make(factory, likelihood=likelihood)
    losses = model.fit(pipeline, steps_per_epoch=3, shuffle=False, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    got = model.evaluate(pipeline, steps=3, verbose=0, return_dict=True)
    expected = model.evaluate(grey, batch_size=4, verbose=0, return_dict=True)
    assert got == pytest.approx(expected, rel=1e-5)


@on_default_backend
@pytest.mark.long  # and in CI's run of these JAX is installed
def test_a_model_is_asked_on_keras_s_numpy_backend_too():
    pytest.importorskip("jax", reason="Keras's NumPy backend imports it")
    script = "import keras_vae; print(keras_vae.load('mlp-mnist').generate(1, seed=0).mean())"
    variables = {**os.environ, "KERAS_BACKEND": "numpy"}
    command = [sys.executable, "-c", script]
    got = subprocess.run(command, env=variables, check=True, capture_output=True, text=True)
    expected = keras_vae.load("mlp-mnist").generate(1, seed=0).mean()
    assert float(got.stdout) == pytest.approx(float(expected), rel=1e-4)
