"""Pictures of samples and reconstructions while a model is trained."""

from pathlib import Path

import keras
import numpy as np

from keras_vae import plots
from keras_vae.checks import check_whole


class SampleGrid(keras.callbacks.Callback):
    """Writes pictures at the end of every few epochs: samples, and data above reconstructions.

    They are `epoch-0010-samples.png` and `epoch-0010-reconstructions.png`; a model without a prior
    to draw from has only the second. The same seed is used each time, so that the pictures can be
    compared.

    Args:
        folder: where the pictures go; created if necessary.
        x: images `(n, height, width, channels)` to reconstruct. Defaults to None, none.
        every: epochs between pictures. Defaults to 1.
        num_images: images generated for a picture. Defaults to 64.
        seed: seed of the samples. Defaults to 0.
        log_dir: a TensorBoard folder to which the pictures are also written, on any backend.
            Defaults to None, none.

    Raises:
        ValueError: if an argument is out of its range, or the model has nothing to show.

    Example:

    >>> grid = keras_vae.callbacks.SampleGrid("pictures", x_validation[:16], every=5)
    >>> model.fit(x, epochs=50, callbacks=[grid])
    """

    def __init__(self, folder, x=None, *, every=1, num_images=64, seed=0, log_dir=None):
        super().__init__()
        self.folder = Path(folder)
        self.x = x
        self.every = check_whole("every", every, 1)
        self.num_images = check_whole("num_images", num_images, 1)
        self.seed = None if seed is None else check_whole("seed", seed, 0)
        self.log_dir = log_dir

    def on_train_begin(self, logs=None):
        if self.x is None and not self.model.latent.generates:
            raise ValueError(
                "This model has no prior to draw samples from: give images to reconstruct, x=."
            )
        plots.check_images(self.model)
        self.size = None
        if None in self.model.data_shape:
            if self.x is None:
                raise ValueError(
                    "A model of any size needs images, x=, which say what size to show."
                )
            self.size = np.shape(self.x)[1:-1]
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.log_dir is not None:
            import tensorflow as tf  # for TensorBoard's writer, whatever the backend

            self.writer = tf.summary.create_file_writer(str(self.log_dir))

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        figures, model = {}, self.model
        if model.latent.generates:
            images = model.generate(self.num_images, seed=self.seed, size=self.size)
            figures["samples"] = plots.image_grid(*plots.to_images(model.likelihood, images))
        if self.x is not None:
            pairs = plots.to_images(model.likelihood, self.x, model.reconstruct(self.x))
            figures["reconstructions"] = plots.reconstruction_pairs(*pairs)
        for what, figure in figures.items():
            path = self.folder / f"epoch-{epoch + 1:04d}-{what}.png"
            plots.save(figure, path)
            if self.log_dir is not None:
                self._log(what, path, epoch + 1)

    def on_train_end(self, logs=None):
        if self.log_dir is not None:
            self.writer.close()

    def _log(self, what, path, step):
        import tensorflow as tf

        with self.writer.as_default():
            picture = tf.io.decode_png(tf.io.read_file(str(path)))
            tf.summary.image(what, picture[None], step=step)
            self.writer.flush()
