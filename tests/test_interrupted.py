"""Training that an error or Ctrl-C ends leaves the model of the last step."""

import keras
import numpy as np
import pytest
from conftest import quick_first
from rewinding import rewinder

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


@pytest.mark.parametrize(
    ("how", "factory"),
    quick_first(
        [
            *(("error", "vq_vae"), ("interrupt", "mlp_vae"), ("error", "mlp_vae")),
            *(("interrupt", "vq_vae"), ("error", "conv_vae"), ("interrupt", "conv_vae")),
            *(("error", "ladder_vae"), ("interrupt", "ladder_vae")),
        ],
        2,
    ),
)
def test_the_model_is_that_of_the_last_step(make, factory, how):
    model = make(factory)
    model.compile(keras.optimizers.SGD(1e-3))
    again = rewinder(model)
    model.fit(X[:8], batch_size=4, shuffle=False, verbose=0)
    expected = model.get_weights()
    again()
    if how == "error":
        with pytest.raises(Exception, match="the disk is gone"):
            model.fit(Batches(), shuffle=False, verbose=0)
    else:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, batch_size=4, shuffle=False, callbacks=[Interrupt()], verbose=0)
    for got, weight in zip(model.get_weights(), expected):
        np.testing.assert_allclose(got, weight, rtol=1e-5, atol=1e-6)
    assert np.isfinite(model.fit(X, verbose=0).history["loss"]).all()
