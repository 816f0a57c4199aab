"""Callbacks: schedules as papers give them, watches that see what goes wrong, pictures."""

import io

import keras
import numpy as np
import pytest
from conftest import quick_first
from own_kinds import plain_autoencoder
from rewinding import rewinder

import keras_vae
from keras_vae import plots
from keras_vae.callbacks import CollapseWatch, NonFiniteGuard, Ramp, SampleGrid, SkipSteps


@pytest.fixture(scope="module")
def compiled(make):
    """A function like `make` that returns one model again, with its first weights: traced once."""
    known = {}

    def compiled(factory, **arguments):
        key = (factory, *arguments.items())
        if key not in known:
            model = make(factory, **arguments)
            model.compile(keras.optimizers.Adam(1e-3))
            known[key] = rewinder(model)
        return known[key]()

    return compiled


class Seen(keras.callbacks.Callback):
    """Keeps what training used of a setting in each step."""

    def __init__(self, name):
        super().__init__()
        self.name, self.values = name, []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(float(self.model.objective.value(self.name, training=True)))


@pytest.mark.parametrize(
    "ramp, expected",
    [
        (Ramp("beta", 0), [1, 1, 1, 1, 1, 1]),
        (Ramp("beta", 3), [0.25, 0.5, 0.75, 1, 1, 1]),
        (Ramp("beta", 1, period=3), [0.5, 1, 1, 0.5, 1, 1]),
        (Ramp("beta", steps=3), [0.25, 0.5, 0.75, 1, 1, 1]),
        (Ramp("beta", steps=1, period=3), [0.5, 1, 1, 0.5, 1, 1]),
        (Ramp("capacity", 1), [0.5, 1, 1, 1, 1, 1]),
    ],
    ids=["none", "linear", "cyclical", "steps", "cyclical steps", "capacity"],
)
def test_a_ramp_raises_what_the_loss_weighs(compiled, grey, ramp, expected):
    model = compiled("mlp_vae", beta=4.0, capacity=4.0)
    seen = Seen(ramp.name)
    # The watcher comes first: what it sees was set before the epoch's first batch.
    model.fit(grey, epochs=6, batch_size=12, verbose=0, callbacks=[seen, ramp])
    assert seen.values == [4.0 * share for share in expected]
    assert float(getattr(model, ramp.name)) == 4.0
    assert float(model.objective.value(ramp.name, training=True)) == 4.0


def test_a_ramp_changes_the_step_itself(make, grey):
    def history(beta, callbacks):
        model = make("mlp_vae", beta=beta)
        model.compile(keras.optimizers.SGD(0.0))
        return model.fit(grey, epochs=2, batch_size=12, verbose=0, callbacks=callbacks).history

    got = history(10.0, [Ramp("beta", 1)])
    for epoch, beta in enumerate([5.0, 10.0]):
        terms = got["distortion"][epoch] + beta * got["rate"][epoch]
        assert got["loss"][epoch] == pytest.approx(terms, rel=1e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"epochs": -1}, "epochs must be a whole number >= 0"),
        ({"epochs": 2.5}, "epochs must be a whole number"),
        ({"steps": -1}, "steps must be a whole number >= 0"),
        ({}, "Give epochs or steps, one of them. Received epochs=None, steps=None"),
        ({"epochs": 1, "steps": 2}, "Give epochs or steps, one of them"),
        ({"epochs": 5, "period": 5}, "period must be a whole number >= 6"),
    ],
)
def test_ramps_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Ramp("beta", **arguments)


@pytest.mark.parametrize("name", ["capacity", "gamma"])
def test_a_setting_that_is_not_there_cannot_be_raised(compiled, grey, name):
    rule = f"has no '{name}' to raise. Its settings: beta."
    with pytest.raises(ValueError, match=rule):
        compiled("mlp_vae").fit(grey, verbose=0, callbacks=[Ramp(name, 3)])


@pytest.mark.parametrize("collapsed", [True, False])
def test_the_watch_sees_a_collapse(compiled, grey, capsys, collapsed):
    model = compiled("mlp_vae", hidden_units=())
    kernel, bias = model.encoder.get_weights()
    units = 1 if collapsed else 3
    spread = np.zeros_like(kernel)
    spread[:, :units] = np.random.default_rng(0).normal(size=(64, units))
    model.encoder.set_weights([spread, bias])
    model.optimizer.learning_rate = 0.0
    assert (model.encode(grey).var(axis=0) > 0.01).sum() == units
    history = model.fit(grey, epochs=2, verbose=0, callbacks=[CollapseWatch(grey)]).history
    assert history["active_units"] == [units, units]
    line = "2 of 3 latents inactive: lower beta, warm up longer, or set free bits to 0.25."
    assert capsys.readouterr().out.count(line) == (2 if collapsed else 0)


@pytest.mark.usefixtures("eager")
def test_the_watch_counts_the_codes_in_use(make, grey, capsys):
    model = make("vq_vae", num_codes=64)  # an image has 16 codes
    history = model.fit(grey[:1], epochs=1, verbose=0, callbacks=[CollapseWatch(grey[:1])])
    used = len(np.unique(model.encode(grey[:1])))
    assert history.history["codebook_usage"] == [used / 64] and used <= 16
    assert f"{64 - used} of 64 codes inactive: raise revive_below" in capsys.readouterr().out


def test_the_watch_counts_units_on_several_axes(make, grey, capsys, monkeypatch):
    model = make("mlp_vae")
    values = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    use = keras_vae.latents.Use({}, values, 0.5, "latent", "variance", "lower beta")
    monkeypatch.setattr(model.latent, "use", lambda codes: use)
    watch = CollapseWatch(grey)
    watch.set_model(model)
    watch.on_epoch_end(0)
    assert capsys.readouterr().out == "\n5 of 6 latents inactive: lower beta.\n"


class Spoil(keras.callbacks.Callback):
    """Adds a number to weights of the encoder's or decoder's last layer after one step."""

    def __init__(self, step, network, number, units=slice(None)):
        super().__init__()
        self.step, self.network, self.number, self.units = step, network, number, units

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == self.step:
            bias = getattr(self.model, self.network).weights[-1]
            values = keras.ops.convert_to_numpy(bias).copy()
            values[self.units] += self.number
            bias.assign(values)


class Record(keras.callbacks.Callback):
    """Keeps the model's weights after each step."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.get_weights())


@pytest.mark.parametrize(
    "network, number, units, every, reason, good",
    [
        # The square of 1e20 is more than float32 holds: only the rate is infinite.
        ("encoder", 1e20, slice(3), 1, "in step 4 of epoch 1: the rate is inf", 2),
        ("decoder", np.nan, 0, 5, "in step 4 of epoch 1: the distortion is nan", 0),
        ("decoder", np.nan, 0, 1, "in step 3 of epoch 1: the weights of decoder/layers/", 2),
    ],
    ids=["rate", "distortion", "layer"],
)
def test_the_guard_names_the_first_bad_term_and_restores_the_last_good_weights(
    compiled, grey, capsys, network, number, units, every, reason, good
):
    model = compiled("mlp_vae")
    seen = Record()
    first = model.get_weights()
    callbacks = [seen, Spoil(3, network, number, units), NonFiniteGuard(every)]
    history = model.fit(grey, batch_size=2, epochs=5, verbose=0, callbacks=callbacks)
    assert len(history.epoch) == 1  # it stopped
    said = capsys.readouterr().out
    assert f"Stopped {reason}" in said and "The last good weights are restored." in said
    expected = seen.weights[good - 1] if good else first
    for got, want in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    assert np.isfinite(model.evaluate(grey, verbose=0)).all()
    assert np.isfinite(model.fit(grey, verbose=0).history["loss"]).all()  # the optimizer too


@pytest.mark.parametrize("factory", quick_first(["mlp_vae", "vq_vae", "conv_vae"], 2))
def test_the_guard_stops_what_a_learning_rate_blows_up(compiled, grey, capsys, factory):
    model = compiled(factory)
    model.optimizer.learning_rate = 1e30
    model.fit(grey, batch_size=2, epochs=3, verbose=0, callbacks=[NonFiniteGuard()])
    assert "Stopped in step" in capsys.readouterr().out
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize(
    ("bad", "advice"),
    [
        (0, "No step was made before, so the learning rate is not the cause"),
        (2, "The loss had not grown before: look for NaN in the data of this step"),
    ],
)
def test_the_guard_does_not_blame_the_learning_rate_for_the_data(
    compiled, grey, capsys, bad, advice
):
    class Spoiled(keras.utils.PyDataset):
        num_batches = 4

        def __getitem__(self, i):
            unseen = self.checked  # the first batch is checked before training
            self.checked = True
            return grey[:3] * np.float32(np.nan) if unseen and i == bad else grey[:3]

    data = Spoiled()
    data.checked = False
    compiled("mlp_vae").fit(data, shuffle=False, verbose=0, callbacks=[NonFiniteGuard()])
    said = capsys.readouterr().out
    assert f"in step {bad + 1} of epoch 1" in said and advice in said


def test_the_guard_blames_the_learning_rate_where_the_loss_had_grown():
    guard = NonFiniteGuard()
    guard.losses = [10.0, 1e4]
    assert guard._advice().startswith("The loss had grown from 10 to 1e+04: lower the learning")


@pytest.mark.parametrize("factory", quick_first(["mlp_vae", "vq_vae", "conv_vae"], 2))
def test_the_guard_leaves_a_good_run_alone(compiled, grey, capsys, factory):
    def train(callbacks):
        model = compiled(factory)
        first = model.get_weights()
        model.fit(grey, batch_size=2, epochs=2, verbose=0, shuffle=False, callbacks=callbacks)
        assert any((a != b).any() for a, b in zip(first, model.get_weights()))
        return model.get_weights()

    for got, want in zip(train([NonFiniteGuard(2)]), train([]), strict=True):
        np.testing.assert_array_equal(got, want)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("above", "weight"), quick_first([(1e4, 1e6), (None, 3e38)]))
def test_steps_with_too_large_a_gradient_are_as_if_they_had_not_been(above, weight, capsys):
    """Of a plain autoencoder of binary data, in which no random number matters."""
    x = (np.random.default_rng(0).random((12, 8, 8, 1)) > 0.5).astype("float32")
    weights, finals = np.repeat([1.0, weight, 1.0], 4), []
    first, skip = None, SkipSteps(above)
    for data, each in ((x, weights), (np.concatenate([x[:4], x[8:]]), np.ones(8))):
        model = plain_autoencoder()
        first = first or model.get_weights()
        model.set_weights(first)
        model.compile(keras.optimizers.Adam(0.1))
        fit = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
        history = model.fit(data, sample_weight=each, callbacks=[skip], **fit).history
        finals.append(model.get_weights())
        skip_again = SkipSteps()  # leaves a good run alone, and the optimizer as it was
        model.fit(x, callbacks=[skip_again], **fit)
        if each is weights:
            assert history["skipped"] == [1, 1]
            assert (
                "Left out 1 of 3 steps of epoch 2: the norm of the gra" in capsys.readouterr().out
            )
        else:
            assert history["skipped"] == [0, 0] and capsys.readouterr().out == ""
    for got, want, start in zip(*finals, first, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)
        assert (got != start).any()


def test_a_skipping_callback_is_not_for_a_scaled_loss():
    model = plain_autoencoder()
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)))
    with pytest.raises(ValueError, match="SkipSteps is not for an optimizer that scales the loss"):
        model.fit(np.zeros((2, 8, 8, 1), "float32"), verbose=0, callbacks=[SkipSteps()])
    with pytest.raises(ValueError, match="above must be a number above 0"):
        SkipSteps(0)


def test_the_guard_refuses_weights_that_are_bad_from_the_start(compiled, grey):
    model = compiled("mlp_vae")
    model.decoder.weights[0].assign(np.full(model.decoder.weights[0].shape, np.nan, "float32"))
    with pytest.raises(
        ValueError, match="weights of decoder/layers/.* not finite before the first"
    ):
        model.fit(grey, verbose=0, callbacks=[NonFiniteGuard()])


def _pixels(path):
    from matplotlib.image import imread

    return imread(path)[..., 0]


def test_the_grid_shows_samples_and_reconstructions_every_few_epochs(compiled, grey, tmp_path):
    model = compiled("mlp_vae")
    grid = SampleGrid(tmp_path / "pictures", grey[:8], every=2, num_images=4)
    model.fit(grey, epochs=5, verbose=0, callbacks=[grid])
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    kinds = ("reconstructions", "samples")
    assert names == [f"epoch-{epoch:04d}-{kind}.png" for epoch in (2, 4) for kind in kinds]
    before, after = (_pixels(tmp_path / "pictures" / name) for name in (names[1], names[3]))
    assert before.shape == after.shape and (before != after).any()  # it learned in between
    model.fit(grey, epochs=1, verbose=0, callbacks=[SampleGrid(tmp_path, num_images=4)])
    plots.save(plots.image_grid(model.generate(4, seed=0)), tmp_path / "expected.png")
    np.testing.assert_array_equal(
        _pixels(tmp_path / "epoch-0001-samples.png"), _pixels(tmp_path / "expected.png")
    )


@pytest.mark.usefixtures("eager")
def test_a_model_that_cannot_generate_shows_reconstructions_only(compiled, grey, tmp_path):
    model = compiled("vq_vae")
    model.fit(grey, batch_size=2, epochs=1, verbose=0, callbacks=[SampleGrid(tmp_path, grey[:8])])
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0001-reconstructions.png"]
    with pytest.raises(ValueError, match="no prior to draw samples from: give images"):
        model.fit(grey, epochs=1, verbose=0, callbacks=[SampleGrid(tmp_path)])


def test_the_grid_goes_to_tensorboard_as_it_went_to_the_folder(compiled, grey, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = compiled("mlp_vae")
    grid = SampleGrid(tmp_path, num_images=4, log_dir=tmp_path / "logs")
    model.fit(grey, epochs=2, verbose=0, callbacks=[grid])
    events = EventAccumulator(str(tmp_path / "logs"), size_guidance={"tensors": 0}).Reload()
    assert len(list((tmp_path / "logs").iterdir())) == 1  # one file, not one for each picture
    steps = {event.step: event.tensor_proto.string_val for event in events.Tensors("samples")}
    assert sorted(steps) == [1, 2]
    width, height, png = steps[2][:3]
    logged = _pixels(io.BytesIO(png))
    np.testing.assert_array_equal(logged, _pixels(tmp_path / "epoch-0002-samples.png"))
    assert (int(height), int(width)) == logged.shape


@pytest.mark.parametrize("shape", [(6,), (4, 2), (2, 4, 4, 1)])
def test_data_that_are_not_images_are_refused_before_the_first_epoch(make, tmp_path, shape):
    model, grid = make("mlp_vae", shape), SampleGrid(tmp_path / "pictures")
    with pytest.raises(ValueError, match="data are not images"):
        model.fit(np.zeros((4, *shape), "float32"), verbose=0, callbacks=[grid])
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize("arguments", [{"every": 0}, {"num_images": 0}])
def test_a_grid_of_nothing_is_refused(tmp_path, arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"{name} must be a whole number >= 1"):
        SampleGrid(tmp_path, **arguments)
