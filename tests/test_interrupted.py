"""Training that an error or Ctrl-C ends leaves the model of the last step."""

import keras
import numpy as np
import pytest

RNG = np.random.default_rng(0)
X = (RNG.random((16, 8, 8, 1)) > 0.5).astype("float32")


class Batches(keras.utils.PyDataset):
    """Four batches, of which the third cannot be read."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        if i == 2:
            raise RuntimeError("the disk is gone")
        return X[4 * i : 4 * i + 4]


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["error", "interrupt"])
def test_the_model_is_that_of_the_last_step(make, factory, how):
    expected, model = make(factory), make(factory)
    model.set_weights(expected.get_weights())
    for one in (expected, model):
        one.compile(keras.optimizers.SGD(1e-3))
    expected.fit(X[:8], batch_size=4, shuffle=False, verbose=0)
    if how == "error":
        with pytest.raises(Exception, match="the disk is gone"):
            model.fit(Batches(), shuffle=False, verbose=0)
    else:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, batch_size=4, shuffle=False, callbacks=[Interrupt()], verbose=0)
    for got, weight in zip(model.get_weights(), expected.get_weights()):
        np.testing.assert_allclose(got, weight, rtol=1e-5, atol=1e-6)
    assert np.isfinite(model.fit(X, verbose=0).history["loss"]).all()
