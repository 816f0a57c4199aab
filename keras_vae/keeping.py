"""Files of Keras's own: `save`, `save_weights` and `export` for a VAE."""

import numpy as np

from keras_vae.backends import alone, calls_together

NO_HDF5 = (
    "Keras's legacy HDF5 files (.h5, .hdf5) cannot hold this model: nothing could read them back. "
    'Use model.save("my_model.keras"), or model.save_weights("my_model.weights.h5").'
)


class Keeping:
    """`save`, `save_weights` and `export` of `keras.Model`."""

    def save(self, filepath, *args, **kwargs):
        """Saves the whole model in a `.keras` file, as `keras.Model.save` does.

        Raises:
            ValueError: if the file is to be one of the legacy HDF5 format; or if several processes
                of JAX train the model, and its optimizer has no state yet.
        """
        if calls_together() and self.compiled and not self.optimizer.built:
            raise ValueError(
                "Several processes train this model, and must make its optimizer's variables "
                "together: save it after fit, or call "
                "model.optimizer.build(model.trainable_variables) in all of them before."
            )
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(NO_HDF5)
        with alone():
            return super().save(filepath, *args, **kwargs)

    def save_weights(self, filepath, *args, **kwargs):
        """Saves the weights, as `keras.Model.save_weights` does."""
        with alone():
            return super().save_weights(filepath, *args, **kwargs)

    def export(self, filepath, *args, **kwargs):
        """Exports `model(x)`, the reconstruction of float32 data, as `keras.Model.export` does.

        `keras_vae.export` writes encoder, decoder and generator, each by itself, and checks them.
        """
        self.check_built()
        self(np.zeros((1, *self.example_shape()), "float32"))  # Keras asks for a call before
        return super().export(filepath, *args, **kwargs)


def check_config(config):
    """Raises ValueError if Keras asks for a config in the style of its legacy HDF5 files."""
    if _is_legacy(config):
        raise ValueError(NO_HDF5)


def _is_legacy(config):
    """Whether objects are described without their module, as in that style."""
    if isinstance(config, (list, tuple)):
        return any(map(_is_legacy, config))
    if not isinstance(config, dict):
        return False
    is_object = {"class_name", "config"} <= config.keys() and "module" not in config
    is_legacy = is_object and not str(config["class_name"]).startswith("__")  # tensors
    return is_legacy or any(map(_is_legacy, config.values()))
