"""The settings of an objective: beta and capacity, their ramps, and where they are kept."""

import math

import keras
import numpy as np
import pytest
from keras import layers

import keras_vae
from keras_vae.callbacks import Ramp


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C in an epoch, after the model was saved in mid-ramp."""

    def __init__(self, epoch, path):
        super().__init__()
        self.epoch, self.path = epoch, path

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.save(self.path)
            raise KeyboardInterrupt


def logs_of(model, x, **options):
    history = model.fit(x, validation_data=(x, None), verbose=0, shuffle=False, **options)
    return {name: np.array(values) for name, values in history.history.items()}


@pytest.mark.parametrize("schedule", [{"epochs": 3}, {"steps": 6}])
def test_a_ramp_changes_the_training_loss_and_never_the_validation_loss(make, binary, schedule):
    model = make("mlp_vae", beta=4.0)
    logs = logs_of(model, binary, epochs=4, batch_size=6, callbacks=[Ramp("beta", **schedule)])
    beta = (logs["loss"] - logs["distortion"]) / logs["rate"]
    if "epochs" in schedule:
        np.testing.assert_allclose(beta, [1, 2, 3, 4], rtol=1e-3)
    else:  # two steps an epoch: their rates weigh the mean of 1/7 and 2/7 of 4, and so on
        assert np.all(np.abs(beta[:3] - 4 * np.array([1.5, 3.5, 5.5]) / 7) < 4 / 7)
        assert beta[3] == pytest.approx(4, rel=1e-3)
    np.testing.assert_allclose(
        logs["val_loss"], logs["val_distortion"] + 4 * logs["val_rate"], rtol=1e-5
    )
    assert float(model.beta) == 4


@pytest.mark.usefixtures("eager")
def test_the_best_weights_are_restored_without_another_beta(make, binary):
    model = make("mlp_vae", beta=4.0)
    stop = keras.callbacks.EarlyStopping(monitor="loss", restore_best_weights=True, patience=9)
    logs_of(model, binary, epochs=3, callbacks=[Ramp("beta", 9), stop])
    assert float(model.beta) == 4
    loss, distortion, rate = model.evaluate(binary, verbose=0)[:3]
    assert loss == pytest.approx(distortion + 4 * rate, rel=1e-5)


@pytest.mark.usefixtures("eager")
def test_an_interrupted_ramp_leaves_no_trace(make, binary, tmp_path):
    model = make("mlp_vae", beta=4.0)
    with pytest.raises(KeyboardInterrupt):
        callbacks = [Ramp("beta", 9), Interrupt(1, tmp_path / "m.keras")]
        model.fit(binary, epochs=5, verbose=0, callbacks=callbacks)
    for resumed in (model, keras.saving.load_model(tmp_path / "m.keras")):
        logs = logs_of(resumed, binary, epochs=1)
        assert logs["loss"][0] == pytest.approx(logs["distortion"][0] + 4 * logs["rate"][0])
        assert float(resumed.beta) == 4


@pytest.mark.parametrize("arguments", [(), (3,)])
def test_a_ramp_has_epochs_or_steps(arguments):
    with pytest.raises(ValueError, match="Give epochs or steps, one of them"):
        Ramp("beta", *arguments, **({"steps": 3} if arguments else {}))


@pytest.mark.usefixtures("eager")
def test_a_setting_of_ones_own_is_ramped_and_kept(binary):
    @keras.saving.register_keras_serializable(package="test_settings")
    class Pulled(keras_vae.objectives.ELBO):
        """The ELBO and a setting of its own, the weight of the squared code."""

        def __init__(self, beta=1.0, *, pull=2.0, **kwargs):
            super().__init__(beta, **kwargs)
            self.add_setting("pull", pull)

        def loss(self, model, terms, training=False):
            squared = keras.ops.sum(keras.ops.square(terms.draw.code[0]), axis=-1)
            pull = self.value("pull", training) * terms.mean(squared)
            return super().loss(model, terms, training) + pull

    model = keras_vae.mlp_vae((8, 8, 1), 2, (8,), objective=Pulled(pull=3.0), seed=0)
    model.fit(binary, epochs=2, verbose=0, callbacks=[Ramp("pull", 4)])
    model.objective.set("pull", 5.0)
    again = keras_vae.VAE.from_config(model.get_config())
    assert float(again.objective.get("pull")) == 5.0
    with pytest.raises(ValueError, match="no gamma to change"):
        model.objective.set("gamma", 1.0)


@pytest.mark.parametrize(
    "end",
    [
        lambda: keras.layers.Activation("sigmoid"),
        lambda: keras.layers.Dense(64, activation="sigmoid"),
        lambda: keras.layers.Lambda(keras.ops.sigmoid),
        lambda: keras.layers.Lambda(lambda x: 1 / (1 + keras.ops.exp(-x))),
        lambda: keras.layers.Softmax(),
    ],
)
@pytest.mark.usefixtures("eager")
def test_a_decoder_that_returns_probabilities_is_refused(binary, end):
    x = binary.reshape(-1, 64)
    encoder = keras.Sequential([keras.Input((64,)), keras.layers.Dense(4)])
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(64), end()])
    model = keras_vae.VAE(encoder, decoder)
    for train in (model.fit, model.train_on_batch):
        with pytest.raises(ValueError, match="takes logits.*Leave out the sigmoid"):
            train(x)
    keras_vae.VAE(encoder, decoder, likelihood="gaussian").fit(x, verbose=0)


@pytest.mark.usefixtures("eager")
def test_a_decoder_that_starts_at_zero_is_not_taken_for_one_of_probabilities(binary):
    x = binary.reshape(-1, 64)
    encoder = keras.Sequential([keras.Input((64,)), keras.layers.Dense(4)])
    zeros = keras.layers.Dense(64, kernel_initializer="zeros")
    model = keras_vae.VAE(encoder, keras.Sequential([keras.Input((2,)), zeros]))
    model.fit(x, verbose=0)


def test_a_constant_decoder_is_not_taken_for_one_of_probabilities(binary):
    x = binary.reshape(-1, 64)
    encoder = keras.Sequential([keras.Input((64,)), keras.layers.Dense(4)])
    begin = {"kernel_initializer": "zeros", "bias_initializer": keras.initializers.Constant(0.3)}
    model = keras_vae.VAE(encoder, keras.Sequential([keras.Input((2,)), layers.Dense(64, **begin)]))
    model.train_on_batch(x)
    # It is looked at again later.
    model.decoder.layers[-1].kernel.assign(np.random.default_rng(0).normal(size=(2, 64)))
    model.decoder.layers[-1].activation = keras.activations.sigmoid
    with pytest.raises(ValueError, match="takes logits"):
        model.train_on_batch(x)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("batch_size", value) for value in (0, -1, 2.5, "a")),
        *(("validation_split", value) for value in (1.5, -0.5, 1.0, "a")),
        *(("validation_batch_size", 0), ("validation_steps", 0), ("validation_freq", 0)),
        *(("steps_per_epoch", 0), ("epochs", -1), ("epochs", 1.5), ("initial_epoch", -1)),
    ],
)
def test_numbers_of_fit_are_checked_on_every_backend(make, binary, argument, value):
    model = make("mlp_vae")
    rules = {"validation_split": "validation_split(=.* leaves one part empty| must be)"}
    with pytest.raises(ValueError, match=rules.get(argument, f"{argument} must be a whole number")):
        model.fit(binary, **{argument: value}, verbose=0)
    if argument == "batch_size":
        for method in (model.evaluate, model.predict):
            with pytest.raises(ValueError, match="batch_size must be a whole number"):
                method(binary, batch_size=value, verbose=0)


@pytest.mark.parametrize("seed", [-3, 2**31, 2**40, True, 1.5])
def test_a_seed_is_valid_on_every_backend_or_refused(make, seed):
    plain = make("mlp_vae")
    for made in (
        lambda: keras_vae.VAE(plain.encoder, plain.decoder, seed=seed),
        lambda: keras_vae.latents.GaussianLatent(seed=seed),
        lambda: keras_vae.latents.VectorQuantizer(4, 2, seed=seed),
        lambda: keras_vae.priors.LowRankGaussian(seed=seed),
        lambda: keras_vae.priors.MixtureOfGaussians(seed=seed),
        lambda: keras_vae.priors.VampPrior(seed=seed),
        lambda: keras_vae.priors.ChannelFlow((1, 1), seed=seed),
    ):
        with pytest.raises(ValueError, match="seed must be a whole number"):
            made()


def test_a_seed_may_be_one_of_numpy(make):
    plain = make("mlp_vae")
    model = keras_vae.VAE(plain.encoder, plain.decoder, seed=np.int64(3))
    assert type(model.seed) is type(model.latent.seed) is int


@pytest.mark.parametrize("dtype", ["int16", "int64", "uint16", "float64"])
def test_images_of_8_bits_in_another_dtype_are_noticed(make, dtype):
    model = make("mlp_vae", likelihood="gaussian")
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1)).astype(dtype)
    with pytest.warns(UserWarning, match="images of 8 bits, from 0 to 255 but not uint8"):
        model.encode(images)


def test_a_likelihood_is_replaced_by_its_name_or_refused(make, grey):
    model = make("mlp_vae", likelihood="gaussian")
    model.likelihood = keras_vae.likelihoods.Gaussian(0.1)
    before = model.elbo(grey, seed=0)
    model.likelihood = "gaussian"
    assert np.abs(model.elbo(grey, seed=0) - before).min() > 100
    for likelihood in (keras_vae.likelihoods.Gaussian(0.1), "gaussian"):  # also where it is traced
        model.likelihood = likelihood
        loss = model.evaluate(grey, verbose=0, return_dict=True)["loss"]
        assert loss == pytest.approx(-model.elbo(grey, seed=0).mean(), rel=0.2)
        model.fit(grey, verbose=0)
    with pytest.raises(ValueError, match="LearnedGaussian has weights of its own"):
        model.likelihood = "learned_gaussian"
    for wrong in (keras_vae.likelihoods.Laplace(), "gauss", None):
        with pytest.raises(ValueError, match="likelihood"):
            model.likelihood = wrong
    assert type(model.likelihood) is keras_vae.likelihoods.Gaussian


@pytest.mark.parametrize("weights", [np.ones(1), np.ones(3), np.ones((12, 2)), [math.nan] * 12])
def test_weights_of_a_pipeline_s_first_batch_are_checked(make, binary, weights):
    batch = (binary[:12], None, np.asarray(weights, "float32"))
    with pytest.raises(ValueError, match="one finite number per example"):
        make("mlp_vae").fit(iter([batch]), verbose=0)


def test_an_empty_pydataset_is_refused(make, binary):
    class Empty(keras.utils.PyDataset):
        def __len__(self):
            return 0

        def __getitem__(self, index):
            return (binary,)

    model = make("mlp_vae")
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="at least one batch"):
            method(Empty(), verbose=0)


def test_codes_beyond_float32_are_refused(make):
    model = make("mlp_vae")
    (width,) = model.latent.code_spec.shape
    for method in (model.decode, model.scale_latents, model.unscale_latents):
        with pytest.raises(ValueError, match="z must be finite.*beyond float32"):
            method(np.full((1, width), 1e300))
    with pytest.raises(ValueError, match="latent_scale must not be 0"):
        model.latent_scale = 1e-60


def test_a_single_number_is_no_data(make):
    with pytest.raises(ValueError, match="x must have shape"):
        keras_vae.evaluate(make("mlp_vae"), np.array(3.0))


@pytest.mark.parametrize("method", ["fit", "encode", "elbo", "evaluate"])
def test_uint8_of_zeros_and_ones_is_not_divided_in_silence(make, binary, method):
    model = make("mlp_vae")
    with pytest.raises(ValueError, match=r'holds only 0 and 1. Pass x.astype\("float32"\)'):
        getattr(model, method)(binary.astype("uint8"))
    np.testing.assert_array_equal(model.encode(binary), model.encode(binary.astype(bool)))
    np.testing.assert_array_equal(
        model.encode(0 * binary), model.encode((0 * binary).astype("uint8"))
    )


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
@pytest.mark.usefixtures("eager")
def test_a_target_other_than_the_data_is_refused_and_not_ignored(make, binary, method):
    model = make("mlp_vae")
    with pytest.raises(ValueError, match="y has the shape of x but other values"):
        getattr(model, method)(binary, 1 - binary)
    getattr(model, method)(binary, binary.copy())  # the data itself, as autoencoders are often fed
    getattr(model, method)(binary, np.arange(12))  # labels
    if method == "fit":
        with pytest.raises(ValueError, match="y has the shape of x but other values"):
            model.fit((pair for pair in [(binary, 1 - binary)]), verbose=0)


def test_values_beyond_0_and_1_by_rounding_are_taken_and_others_told_to_clip(make, binary):
    model = make("mlp_vae")
    np.testing.assert_allclose(
        model.encode(binary * np.float32(1 + 1e-7)), model.encode(binary), atol=1e-5
    )
    with pytest.raises(ValueError, match=r"from 0 to 1.01. Clip them: np.clip\(x, 0, 1\)"):
        model.encode(binary * 1.01)
    with pytest.raises(ValueError, match="from 0 to 255. Divide by 255, pass uint8"):
        model.encode(binary * 255)


def test_channels_first_is_told_how_to_move_its_axis_and_not_to_reshape(make):
    model = make("mlp_vae", (8, 8, 3))
    with pytest.raises(ValueError, match=r"np.moveaxis\(x, 1, -1\)"):
        model.encode(np.zeros((2, 3, 8, 8)))


def test_a_change_of_the_objective_that_is_no_setting_is_saved_too(make, tmp_path):
    model = make("mlp_vae", beta=2.0)
    model.objective.num_samples = 5
    keras_vae.save_to_folder(model, tmp_path / "model")
    again = keras_vae.load(tmp_path / "model")
    assert again.num_samples == 5 and float(again.beta) == 2.0


def test_a_config_from_before_objectives_makes_the_same_model(make):
    config = make("mlp_vae", beta=2.0, num_samples=3).get_config()
    del config["objective"]
    model = keras_vae.VAE.from_config({**config, "beta": 2.0, "num_samples": 3})
    assert float(model.beta) == 2.0 and model.num_samples == 3


@pytest.mark.usefixtures("eager")
def test_logits_of_a_model_of_any_size_are_looked_at_on_its_own_data():
    layers = keras.layers
    x = image = keras.Input((None, None, 1))
    for _ in range(4):
        x = layers.MaxPooling2D()(layers.Conv2D(2, 3, padding="same")(x))
    encoder = keras.Model(image, layers.Conv2D(4, 1)(x))
    z = y = keras.Input((None, None, 2))
    for _ in range(4):
        y = layers.UpSampling2D()(y)
    decoder = keras.Model(z, layers.Conv2D(1, 3, padding="same")(y))
    model = keras_vae.VAE(encoder, decoder)
    model.fit(np.zeros((2, 32, 32, 1)), verbose=0)


@pytest.mark.skipif(
    keras.config.backend() == "tensorflow", reason="a graph does not know how many samples it gets"
)
def test_passes_of_log_likelihood_are_bounded_in_rows_and_in_values():
    samples = []

    class Counting(keras_vae.latents.GaussianLatent):
        def draw(self, h, noise=None, num_samples=1, training=False):
            if noise is not None:
                samples.append(noise.shape[0])
            return super().draw(h, noise, num_samples, training)

    encoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model = keras_vae.VAE(encoder, decoder, Counting(), likelihood="gaussian")
    model.log_likelihood(np.zeros((64, 2)), num_samples=200)
    assert max(samples) <= 4096 // 64
