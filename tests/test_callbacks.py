"""Callbacks: schedules to the numbers that papers give, and a watch that sees a collapse."""

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae.callbacks import CollapseWatch, Ramp


class Seen(keras.callbacks.Callback):
    def __init__(self, name):
        super().__init__()
        self.name, self.values = name, []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(float(getattr(self.model, self.name)))


@pytest.mark.parametrize(
    "ramp, expected",
    [
        (Ramp("beta", 0), [1, 1, 1, 1, 1, 1]),
        (Ramp("beta", 3), [0.25, 0.5, 0.75, 1, 1, 1]),
        (Ramp("beta", 1, period=3), [0.5, 1, 1, 0.5, 1, 1]),
        (Ramp("capacity", 1), [0.5, 1, 1, 1, 1, 1]),
    ],
    ids=["none", "linear", "cyclical", "capacity"],
)
def test_a_ramp_raises_what_the_loss_weighs(make, grey, ramp, expected):
    model = make("mlp_vae", beta=4.0, capacity=4.0)
    seen = Seen(ramp.name)
    # The watcher comes first: what it sees was set before the epoch's first batch.
    model.fit(grey, epochs=6, batch_size=12, verbose=0, callbacks=[seen, ramp])
    assert seen.values == [4.0 * share for share in expected]
    assert float(getattr(model, ramp.name)) == 4.0


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
        (("gamma", 3), 'name must be "beta" or "capacity"'),
        (("beta", -1), "epochs must be a whole number >= 0"),
        (("beta", 2.5), "epochs must be a whole number"),
    ],
)
def test_ramps_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Ramp(*arguments)


def test_a_period_must_be_longer_than_its_ramp():
    with pytest.raises(ValueError, match="period must be a whole number >= 6"):
        Ramp("beta", 5, period=5)


def test_a_capacity_that_is_not_there_cannot_be_raised(make, grey):
    with pytest.raises(ValueError, match="made without capacity"):
        make("mlp_vae").fit(grey, verbose=0, callbacks=[Ramp("capacity", 3)])


@pytest.mark.parametrize("collapsed", [True, False])
def test_the_watch_sees_a_collapse(grey, capsys, collapsed):
    model = keras_vae.mlp_vae((8, 8, 1), 3, ())
    kernel, bias = model.encoder.get_weights()
    units = 1 if collapsed else 3
    spread = np.zeros_like(kernel)
    spread[:, :units] = np.random.default_rng(0).normal(size=(64, units))
    model.encoder.set_weights([spread, bias])
    model.compile(keras.optimizers.SGD(0.0))
    assert (model.encode(grey).var(axis=0) > 0.01).sum() == units
    history = model.fit(grey, epochs=2, verbose=0, callbacks=[CollapseWatch(grey)]).history
    assert history["active_units"] == [units, units]
    line = "2 of 3 latents inactive: lower beta, warm up longer, or set free bits to 0.25."
    assert capsys.readouterr().out.count(line) == (2 if collapsed else 0)


def test_the_watch_counts_the_codes_in_use(make, grey, capsys):
    model = make("vq_vae", num_codes=64)  # an image has 16 codes
    history = model.fit(grey[:1], epochs=1, verbose=0, callbacks=[CollapseWatch(grey[:1])])
    used = len(np.unique(model.encode(grey[:1])))
    assert history.history["codebook_usage"] == [used / 64] and used <= 16
    assert f"{64 - used} of 64 codes inactive: raise revive_below" in capsys.readouterr().out
