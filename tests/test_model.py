"""Tests of VAE in training: step, loss, sample weights, binarisation, seeds and argument checks."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import reference_steps
from conftest import quick_first
from keras import ops
from rewinding import rewinder

import keras_vae
from keras_vae.likelihoods import Gaussian


def numpy(t):
    return ops.convert_to_numpy(t)


def sgd(learning_rate=0.0):
    return keras.optimizers.SGD(learning_rate)


def evaluated(model, *args, **kwargs):
    return model.evaluate(*args, verbose=0, return_dict=True, **kwargs)


# The step


@pytest.mark.parametrize("likelihood, optimizer", [("bernoulli", "adam"), ("squared_error", "sgd")])
def test_training_takes_the_textbook_step(binary, likelihood, optimizer):
    x, m, latent_dim, beta = binary.reshape(12, 64), 2, 3, 0.7
    squared_error = likelihood == "squared_error"
    model = keras_vae.mlp_vae(
        (64,),
        latent_dim,
        (16,),
        likelihood=Gaussian(math.sqrt(0.5)) if squared_error else likelihood,
        beta=beta,
        num_samples=m,
    )
    # ||x - D(z)||^2 is the negative log-likelihood of Gaussian(sqrt(1/2)) less this constant.
    constant = 64 / 2 * math.log(math.pi) if squared_error else 0.0
    if optimizer == "sgd":
        rate, by_hand = 1e-3, reference_steps.sgd
        model.compile(sgd(rate))
    else:
        rate, by_hand = 1e-2, reference_steps.adam
        model.compile(keras.optimizers.Adam(rate))
    weights = [numpy(w) for w in model.trainable_variables]
    halves = len(model.encoder.trainable_variables)
    noise_source, state = keras.random.SeedGenerator(0), None
    for _ in range(5):
        noise_source.state.assign(model.latent.seed_generator.state)
        noise = numpy(keras.random.normal((m, 12, latent_dim), seed=noise_source))
        loss, gradients = reference_steps.gradients(weights, halves, x, noise, beta, squared_error)
        weights, state = by_hand(weights, gradients, state, rate)
        got = model.train_on_batch(x, return_dict=True)["loss"]
        model.reset_metrics()
        assert got == pytest.approx(loss + constant, rel=1e-5)
    # Float32 sums of 64 pixels in a different order differ by a few 1e-7 relative. Adam divides by
    # the gradient's magnitude, which amplifies the difference where a gradient is nearly 0.
    for ours, theirs in zip(model.trainable_variables, weights):
        np.testing.assert_allclose(numpy(ours), theirs, rtol=1e-4, atol=2e-5)


def test_fit_takes_the_same_steps_as_train_on_batch(make, grey):
    model = make("mlp_vae")
    model.compile(sgd(1e-3))
    again = rewinder(model)
    model.fit(grey, batch_size=6, epochs=2, shuffle=False, verbose=0)
    fitted = model.get_weights()
    again()
    for start in (0, 6, 0, 6):
        model.train_on_batch(grey[start : start + 6])
    for a, b in zip(fitted, model.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_fit_lowers_the_loss_of_every_factory(make, factory, binary):
    model = make(factory)
    model.compile(keras.optimizers.Adam(3e-2))
    two_images = np.repeat(binary[:2], 6, axis=0)
    history = model.fit(two_images, epochs=10, verbose=0).history
    assert history["loss"][-1] < 0.95 * history["loss"][0]
    assert all(np.isfinite(values).all() for values in history.values())


# The loss


@pytest.fixture(
    scope="module", params=quick_first(["mlp_vae", "vq_vae", "conv_vae", "ladder_vae"], 2)
)
def still(make, request):
    """A model of a factory whose weights do not change: its graphs serve several tests."""
    keras.utils.set_random_seed(0)
    model = make(request.param, beta=0.7)
    model.compile(sgd())
    return model


def test_the_loss_is_the_same_formula_everywhere(still, grey):
    model = still
    history = model.fit(grey, validation_data=(grey, None), batch_size=5, verbose=0).history
    logs = {name: values[-1] for name, values in history.items()}
    got = evaluated(model, grey, batch_size=5)
    assert {f"val_{name}" for name in got} == {name for name in logs if name.startswith("val_")}
    for name in got:
        assert logs[f"val_{name}"] == pytest.approx(got[name], rel=1e-5)
    for prefix in ("", "val_"):
        terms = logs[f"{prefix}distortion"] + 0.7 * logs[f"{prefix}rate"]
        terms += 0.25 * logs.get(f"{prefix}commitment", 0.0)
        assert logs[f"{prefix}loss"] == pytest.approx(terms, rel=1e-5)


def test_twice_the_same_data_has_the_same_loss_terms(still, binary):
    model = still
    shape = model.latent.code_spec.noise_shape or ()
    noise = np.random.default_rng(0).normal(size=(1, 12, *shape)).astype("float32")
    once = model.elbo_terms(ops.convert_to_tensor(binary), noise=noise)
    twice = model.elbo_terms(
        ops.convert_to_tensor(np.concatenate([binary, binary])),
        noise=np.concatenate([noise, noise], axis=1),
    )
    for name in ("distortion", "rate", "penalty"):
        assert once[name].shape == (12,)
        # Means are compared with means, since penalties may be 0.
        np.testing.assert_allclose(numpy(twice[name]).mean(), numpy(once[name]).mean(), rtol=1e-5)
        np.testing.assert_allclose(numpy(twice[name])[12:], numpy(once[name]), rtol=1e-4)


def test_more_samples_average_the_distortion_and_do_not_change_the_rate(make, binary):
    model = make("mlp_vae", num_samples=3)
    x = ops.convert_to_tensor(binary)
    noise = np.random.default_rng(0).normal(size=(3, 12, 3)).astype("float32")
    together = model.elbo_terms(x, noise=noise)
    model.objective.num_samples = 1
    each = [model.elbo_terms(x, noise=noise[i : i + 1]) for i in range(3)]
    mean = np.mean([numpy(terms["distortion"]) for terms in each], axis=0)
    np.testing.assert_allclose(numpy(together["distortion"]), mean, rtol=1e-5)
    np.testing.assert_allclose(numpy(together["rate"]), numpy(each[0]["rate"]), rtol=1e-6)


def test_a_callback_can_change_beta_during_fit(make, grey):
    class Schedule(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.beta = epoch / 2

    model = make("mlp_vae", beta=7.0)
    history = model.fit(grey, epochs=3, callbacks=[Schedule()], verbose=0).history
    for epoch, (loss, d, r) in enumerate(
        zip(history["loss"], history["distortion"], history["rate"])
    ):
        assert loss == pytest.approx(d + epoch / 2 * r, rel=1e-5)
    assert float(numpy(model.beta)) == 1.0


def test_beta_is_in_the_config_but_not_in_weights_files(make, tmp_path):
    model = make("mlp_vae", beta=3.0)
    assert model.objective.get_config()["beta"] == 3.0
    model.save_weights(tmp_path / "a.weights.h5")
    other = make("mlp_vae", beta=0.5)
    other.load_weights(tmp_path / "a.weights.h5")
    assert float(numpy(other.beta)) == 0.5
    np.testing.assert_array_equal(numpy(other.weights[1]), numpy(model.weights[1]))


@pytest.mark.parametrize("beta", [-0.1, math.nan, math.inf])
def test_beta_out_of_range_is_refused_when_it_is_set(make, beta):
    model = make("mlp_vae")
    with pytest.raises(ValueError, match="beta must be a finite number >= 0"):
        model.beta = beta
    assert float(numpy(model.beta)) == 1.0


def test_regularizers_of_the_users_networks_count_in_the_loss(vectors):
    x = keras.Input((8,))
    encoder = keras.Model(x, keras.layers.Dense(4, kernel_regularizer="l2")(x))
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8)])
    model = keras_vae.VAE(encoder, decoder, likelihood="gaussian")
    model.compile(sgd())
    got = evaluated(model, vectors)
    l2 = 0.01 * (numpy(encoder.weights[0]) ** 2).sum()
    assert got["loss"] == pytest.approx(got["distortion"] + got["rate"] + l2, rel=1e-6)


# Sample weights and labels: `frozen` is a model without noise whose weights do not change


WEIGHTS = np.array([0, 1, 2, 0.5, 0, 0, 3, 1, 1, 0, 0, 4], "float32")


@pytest.mark.parametrize("labels", [None, np.arange(12)])
def test_sample_weights_count_as_in_keras(frozen, vectors, labels):
    model, losses = frozen
    expected = pytest.approx((WEIGHTS * losses(vectors)).sum() / 12, rel=1e-5)
    weights = {"sample_weight": WEIGHTS}
    history = model.fit(
        vectors,
        labels,
        **weights,
        batch_size=5,
        validation_data=(vectors, labels, WEIGHTS),
        verbose=0,
    ).history
    assert history["loss"][0] == expected
    assert history["val_loss"][0] == expected
    assert evaluated(model, vectors, labels, batch_size=5, **weights)["loss"] == expected
    for step in (model.train_on_batch, model.test_on_batch):
        model.reset_metrics()
        assert step(vectors, labels, return_dict=True, **weights)["loss"] == expected
    terms = evaluated(model, vectors, **weights)
    penalty = 0.25 * (WEIGHTS * numpy(_terms(model, vectors)["commitment"])).mean()
    assert terms["distortion"] + 0.5 * terms["rate"] + penalty == expected


def _terms(model, x):
    return model.elbo_terms(ops.convert_to_tensor(x))


def test_labels_without_a_class_weight_count_once(frozen, vectors):
    model, losses = frozen
    labels = np.arange(12) % 3
    weight = np.where(labels == 1, 3.0, 1.0)
    expected = np.mean(weight * losses(vectors))
    options = {"batch_size": 12, "verbose": 0}
    history = model.fit(vectors, labels, class_weight={1: 3.0}, **options).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    got = model.train_on_batch(vectors, labels, class_weight={1: 3.0}, return_dict=True)
    assert got["loss"] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="class_weight needs the labels"):
        model.fit(vectors, class_weight={1: 3.0})


def test_class_weights_weight_examples_by_their_labels(frozen, vectors):
    model, losses = frozen
    labels = np.arange(12) % 2
    history = model.fit(vectors, labels, class_weight={0: 0.0, 1: 2.0}, verbose=0).history
    expected = (2 * labels * losses(vectors)).mean()
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)


def test_a_column_of_sample_weights_counts_like_a_row(frozen, vectors):
    model, _ = frozen
    row = evaluated(model, vectors, sample_weight=WEIGHTS)
    assert evaluated(model, vectors, sample_weight=WEIGHTS[:, None]) == row


@pytest.mark.parametrize("weights", [np.ones(3), np.ones((12, 8)), np.full(12, np.nan)])
def test_sample_weights_that_do_not_fit_are_refused(frozen, vectors, weights):
    with pytest.raises(ValueError, match="sample_weight must hold one finite number per example"):
        frozen[0].fit(vectors, sample_weight=weights, verbose=0)


@pytest.mark.parametrize(
    "labels", [np.arange(12), keras.utils.to_categorical(np.arange(12)), np.array(["a"] * 12)]
)
def test_labels_are_ignored(frozen, vectors, labels):
    model, losses = frozen
    expected = pytest.approx(losses(vectors).mean(), rel=1e-5)
    data = {"validation_data": (vectors, labels), "verbose": 0}
    history = model.fit(vectors, labels, **data).history
    assert history["loss"][0] == expected and history["val_loss"][0] == expected
    assert evaluated(model, vectors, labels)["loss"] == expected
    model.reset_metrics()
    assert model.train_on_batch(vectors, labels)[0] == expected


# Binarisation


@pytest.fixture(scope="module")
def mirror():
    """A model with distortion 0 if and only if encoder and likelihood get the same binary image.

    z is the encoder's image; the logits are +-100 for pixels that are on or off. The rate counts
    the pixels that are on.
    """
    x, z = keras.Input((6,)), keras.Input((6,))
    off = keras.layers.Dense(6, kernel_initializer="zeros")
    encoder = keras.Model(x, [keras.layers.Activation("linear")(x), off(x)])
    scale = keras.layers.Rescaling(200.0, -100.0)
    model = keras_vae.VAE(encoder, keras.Model(z, scale(z)), seed=0)
    off.bias.assign([-30.0] * 6)
    model.compile(sgd())
    return model


def test_encoder_and_likelihood_see_the_same_binary_image(mirror):
    grey = np.random.default_rng(0).random((500, 6), dtype="float32")
    # Of 3000 pixels with mean 1/2, the number that are on has a standard deviation below 28.
    base = 0.5 * 6 * (30 - 1)
    for logs in (mirror.train_on_batch(grey, return_dict=True), evaluated(mirror, grey)):
        assert logs["distortion"] < 1e-6
        on = 2 * (logs["rate"] - base)
        assert on == pytest.approx(grey.sum(1).mean(), abs=5 * 28 / 500)
        mirror.reset_metrics()
    distortion, _ = mirror.distortion_and_rate(grey)
    assert distortion.max() < 1e-6


def test_grey_images_are_binarised_differently_at_every_training_step_but_not_in_evaluate(mirror):
    grey = np.full((50, 6), 0.5, "float32")
    rates = []
    for _ in range(4):
        mirror.reset_metrics()
        rates.append(mirror.train_on_batch(grey, return_dict=True)["rate"])
    assert len(set(rates)) > 1
    assert evaluated(mirror, grey)["rate"] == evaluated(mirror, grey)["rate"]


def test_binary_data_is_used_unchanged(mirror, binary):
    x = binary.reshape(-1, 6)[:100]
    assert evaluated(mirror, x)["rate"] == pytest.approx(0.5 * (x.sum(1).mean() + 6 * 29), rel=1e-5)


def test_uint8_is_float_over_255(still):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1), "uint8")
    floats, model = images / np.float32(255), still
    assert evaluated(model, images) == pytest.approx(evaluated(model, floats), rel=1e-6)
    np.testing.assert_array_equal(model.reconstruct(images), model.reconstruct(floats))
    np.testing.assert_array_equal(model.elbo(images, seed=0), model.elbo(floats, seed=0))
    predicted = model.predict(images, verbose=0)
    np.testing.assert_allclose(predicted, model.reconstruct(floats), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["float64", "bool", "list", "int32"])
def test_data_of_other_types_is_converted_to_float32(frozen, kind):
    model, _ = frozen
    x = np.eye(8)[:5]
    expected = evaluated(model, x.astype("float32"))["loss"]
    given = x.tolist() if kind == "list" else x.astype(kind)
    assert evaluated(model, given)["loss"] == pytest.approx(expected, rel=1e-6)


# Seeds


@pytest.mark.usefixtures("eager")
def test_steps_differ_and_are_reproducible_with_the_same_seed(make, grey):
    def losses(seed):
        model = make("mlp_vae", seed=seed)
        model.set_weights([np.full(w.shape, 0.01) for w in model.weights])
        model.compile(sgd())
        values = []
        for _ in range(3):
            model.reset_metrics()
            values.append(float(model.train_on_batch(grey)[0]))
        return values

    first = losses(1)
    assert len(set(first)) == 3
    assert losses(1) == first
    assert losses(2) != first


def test_evaluate_is_reproducible_and_keeps_the_random_state_of_training(still, grey):
    model = still
    generators = (model.seed_generator, model.latent.seed_generator)
    model.train_on_batch(grey)
    before = [numpy(generator.state) for generator in generators]
    first = evaluated(model, grey)
    assert evaluated(model, grey) == first
    after = [numpy(generator.state) for generator in generators]
    np.testing.assert_array_equal(before, after)


@pytest.mark.usefixtures("eager")
def test_validation_does_not_change_the_trained_weights(make, grey):
    model = make("mlp_vae")
    model.compile(sgd(1e-3))
    start, results = model.get_weights(), []
    for validation in (None, (grey, None)):
        model.set_weights(start)
        for generator in (model.seed_generator, model.latent.seed_generator):
            generator.state.assign(np.array([1, 0]))
        model.fit(grey, epochs=2, shuffle=False, validation_data=validation, verbose=0)
        results.append(numpy(model.encoder.weights[0]))
    np.testing.assert_array_equal(*results)
    assert (results[0] != start[1]).any()


# Argument checks


BAD = {
    "nan": (np.full((3, 8, 8, 1), np.nan), "must be finite. Received 192 values"),
    "shape": (np.zeros((3, 7, 8, 1)), r"must have shape \(n, 8, 8, 1\). Received shape: \(3, 7"),
    "rank": (np.zeros((3, 8, 8)), "Add the channel axis"),
    "single": (np.zeros((8, 8, 1)), "For a single example"),
    "empty": (np.zeros((0, 8, 8, 1)), "at least one example"),
    "range": (np.full((3, 8, 8, 1), 255.0), r"values in \[0, 1\].*Divide by 255"),
    "negative": (np.full((3, 8, 8, 1), -1.0), r"values in \[0, 1\]"),
    "strings": (np.full((3, 8, 8, 1), "a"), "must be an array of numbers"),
}


@pytest.fixture(scope="module")
def gate(make):
    return make("mlp_vae")


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    "method",
    [
        "fit",
        "evaluate",
        "predict",
        "train_on_batch",
        "test_on_batch",
        "encode",
        "reconstruct",
        "sample_posterior",
        "elbo",
        "log_likelihood",
    ],
)
def test_bad_data_is_refused_by_every_method(gate, method, bad):
    x, message = BAD[bad]
    with pytest.raises(ValueError, match=message):
        getattr(gate, method)(x)


@pytest.mark.parametrize("bad", BAD)
def test_bad_validation_data_is_refused(gate, grey, bad):
    x, message = BAD[bad]
    with pytest.raises(ValueError, match=message):
        gate.fit(grey, validation_data=(x, None), verbose=0)


def test_values_that_are_not_arrays_are_refused(gate):
    for x in (None, 3, "mnist"):
        with pytest.raises(ValueError, match="x must"):
            gate.fit(x)


class Batches(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return (self.x[4 * index : 4 * index + 4],)


def generator(x):
    return ((x[i : i + 4],) for i in range(0, len(x), 4))


def tf_data(x):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(x).batch(4)


def data_loader(x):
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(x))
    return torch.utils.data.DataLoader(data, batch_size=4)


PIPELINES = [Batches, generator, tf_data, data_loader]


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_batch_of_a_pipeline_is_used(frozen, vectors, pipeline):
    model, losses = frozen
    expected = pytest.approx(losses(vectors).mean(), rel=1e-5)
    history = model.fit(
        pipeline(vectors),
        validation_data=pipeline(vectors),
        steps_per_epoch=3,
        validation_steps=3,
        shuffle=False,
        verbose=0,
    ).history
    assert history["loss"][0] == expected
    assert history["val_loss"][0] == expected
    assert evaluated(model, pipeline(vectors), steps=3)["loss"] == expected
    predicted = model.predict(pipeline(vectors), steps=3, verbose=0)
    np.testing.assert_allclose(predicted, model.reconstruct(vectors), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_the_first_batch_of_a_pipeline_is_checked(frozen, vectors, pipeline):
    model, _ = frozen
    bad = np.full_like(vectors, np.nan)
    for method in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match="the first batch of x must be finite"):
            method(pipeline(bad))
    with pytest.raises(ValueError, match="the first batch of validation_data must be finite"):
        model.fit(vectors, validation_data=pipeline(bad))


def test_an_empty_pipeline_is_refused(frozen):
    with pytest.raises(ValueError, match="Received an empty pipeline"):
        frozen[0].fit(_ for _ in ())


def test_labels_and_weights_of_a_pipeline_are_treated_like_those_of_arrays(frozen, vectors):
    model, losses = frozen
    batches = ((vectors[i : i + 4], np.zeros(4), WEIGHTS[i : i + 4]) for i in (0, 4, 8))
    history = model.fit(batches, steps_per_epoch=3, shuffle=False, verbose=0).history
    assert history["loss"][0] == pytest.approx((WEIGHTS * losses(vectors)).mean(), rel=1e-5)


# Construction


def networks(outputs=8, width=4):
    encoder = keras.Sequential([keras.Input((8,)), keras.layers.Dense(width)])
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(outputs)])
    return encoder, decoder


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"beta": -1}, "beta must be a finite number >= 0. Received: -1"),
        ({"beta": math.nan}, "beta must be a finite number"),
        ({"beta": "1"}, "beta must be a finite number"),
        ({"num_samples": 0}, "num_samples must be a whole number >= 1"),
        ({"num_samples": 1.5}, "num_samples must be a whole number >= 1"),
        ({"likelihood": "poison"}, "likelihood must be one of"),
        ({"latent": 2}, "latent must be an object of keras_vae.latents"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_vae.VAE(*networks(), **arguments)


@pytest.mark.parametrize(
    "outputs, width, message",
    [
        (7, 4, r"The decoder must return one tensor of the data's shape, \(8,\)"),
        (8, 5, r"width 2 \* latent_dim"),
        (8, 6, "(?i)shape"),
    ],
)
def test_networks_that_do_not_fit_together_are_refused(outputs, width, message):
    with pytest.raises(ValueError, match=message):
        keras_vae.VAE(*networks(outputs, width))


def test_a_decoder_with_two_outputs_is_refused():
    z = keras.Input((2,))
    decoder = keras.Model(z, [keras.layers.Dense(8)(z), keras.layers.Dense(8)(z)])
    with pytest.raises(ValueError, match="The decoder must return one tensor"):
        keras_vae.VAE(networks()[0], decoder)


def test_an_encoder_of_undefined_shape_is_refused():
    x = keras.Input((None, None, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(x))
    with pytest.raises(ValueError, match=r"must return one tensor of the data's shape, \(None"):
        keras_vae.VAE(keras.Model(x, pooled), networks()[1])
    x = keras.Input((8, None))
    with pytest.raises(ValueError, match="a known number of axes and channels"):
        keras_vae.VAE(keras.Model(x, keras.layers.ReLU()(x)), networks()[1])


@pytest.mark.parametrize("wrong", [None, "mlp", lambda x: x])
def test_a_network_that_is_not_a_keras_model_is_refused(wrong):
    with pytest.raises(ValueError, match="encoder must be a keras.Model or layer"):
        keras_vae.VAE(wrong, networks()[1])
    with pytest.raises(ValueError, match="decoder must be a keras.Model or layer"):
        keras_vae.VAE(networks()[0], wrong)


@pytest.mark.parametrize(
    "given", [{"loss": "mse"}, {"metrics": ["mae"]}, {"weighted_metrics": ["mae"]}]
)
def test_a_loss_or_metrics_of_the_users_are_refused(gate, given):
    with pytest.raises(ValueError, match=f"compile\\(\\) takes no {next(iter(given))}"):
        gate.compile("adam", **given)


@pytest.mark.parametrize("own_latent", quick_first([False, True]))
def test_the_noise_is_independent_of_the_binarisation(own_latent):
    """The data are coin flips of log 2 nats. If the noise leaked them, the loss would be lower."""
    x = np.full((1000, 8), 0.5, "float32")
    model = keras_vae.mlp_vae((8,), latent_dim=8, hidden_units=(32,), seed=5)
    if own_latent:
        latent = keras_vae.latents.GaussianLatent(seed=5)
        model = keras_vae.VAE(model.encoder, model.decoder, latent, seed=5)
    model.compile(keras.optimizers.Adam(1e-2))
    losses = model.fit(x, batch_size=100, epochs=10, verbose=0).history["loss"]
    assert losses[-1] == pytest.approx(8 * math.log(2), rel=0.03)


def test_a_likelihood_need_not_be_hashable(gate, grey):
    @dataclasses.dataclass
    class Laplace(keras_vae.likelihoods.Likelihood):
        scale: float = 1.0

        def log_prob(self, x, outputs):
            return -ops.sum(ops.abs(x - outputs), axis=(-3, -2, -1)) / self.scale

        def mean(self, outputs):
            return outputs

    model = keras_vae.VAE(gate.encoder, gate.decoder, likelihood=Laplace())
    assert np.isfinite(model.elbo(grey)).all() and model.reconstruct(grey).shape == grey.shape


def test_metrics_names_match_the_list_from_evaluate(still, grey):
    model = still
    listed = model.evaluate(grey, verbose=0)
    assert len(listed) == len(model.metrics_names)
    named = model.evaluate(grey, verbose=0, return_dict=True)
    assert dict(zip(model.metrics_names, listed)) == pytest.approx(named, rel=1e-6)


@pytest.mark.parametrize("name", ["beta", "capacity"])
@pytest.mark.parametrize("value", [None, "1", math.nan, -1])
def test_assigning_anything_but_a_number_of_at_least_0_is_refused(make, name, value):
    model = make("mlp_vae", capacity=1.0)
    with pytest.raises(ValueError, match=f"{name} must be a finite number >= 0"):
        setattr(model, name, value)
    setattr(model, name, np.float32(2))
    setattr(model, name, getattr(model, name))
    assert float(getattr(model, name)) == 2


def test_a_vq_model_has_no_rates_per_latent(make, grey):
    with pytest.raises(ValueError, match="is not a sum over its latents"):
        make("vq_vae").latent_rates(grey)
