"""A latent plane of MNIST beside the one keras.io teaches: python -m benchmarks.latent_plane.

Trains the network of https://keras.io/examples/generative/vae (two latents, 30 epochs of Adam at
1e-3, batches of 128) and measures it under the protocol of `mlp-mnist-2d`:

- as published: on the cross-entropy of grey images, which the encoder sees, too, and on all 70,000
  images, including the test images;
- as keras_vae trains: on the 50,000 training images, binarised by sampling at every step.

Writes results/latent_plane.json.
"""

import time

from benchmarks import record

EPOCHS = 30
BATCH = 128
ADAM = 1e-3
PRINTED_LOSS = 146.95  # of the last epoch: what the page of keras.io shows


def main():
    parser = record.parser(__doc__)
    parser.add_argument("--data", default="mnist", help="an .npz file of MNIST, instead of TFDS")
    options = parser.parse_args()
    epochs, num_samples = (1, 2) if options.smoke else (EPOCHS, 100)
    if options.smoke:
        options.data = record.digits(record.folder(options) / "digits.npz")

    import numpy as np

    from keras_vae import data, likelihoods

    class Grey(likelihoods.Bernoulli):
        """The cross-entropy of grey values, which is not the density of any distribution."""

        def observe(self, x, uniform):
            return x

    parts = data.load(options.data)
    everything = np.concatenate([parts.x_train, parts.x_validation, parts.x_test])
    rows = [
        _row("as published", everything, Grey(), epochs, options.data, num_samples),
        _row("binary images", parts.x_train, "bernoulli", epochs, options.data, num_samples),
    ]
    result = {
        "what": "the network of keras.io's example vae: nats per test image, binarised once; mse "
        "of grey ones; loss: the mean of the last epoch, on what it trained on",
        "protocol": "mnist-dynamic",
        "training": {"epochs": epochs, "batch_size": BATCH, "adam": ADAM, "seed": 0},
        "printed_loss": PRINTED_LOSS,
        "rows": rows,
    }
    record.write(options, "latent_plane", result)


def _row(name, images, likelihood, epochs, source, num_samples):
    """Trains the network on images under a likelihood; measures it under the Bernoulli one."""
    import keras

    import keras_vae
    from keras_vae.verification import published_metrics

    keras.utils.set_random_seed(0)
    encoder, decoder = networks()
    model = keras_vae.VAE(encoder, decoder, likelihood=likelihood)
    model.compile(keras.optimizers.Adam(ADAM))
    start = time.perf_counter()
    history = model.fit(images, batch_size=BATCH, epochs=epochs, verbose=2).history
    row = {
        "trained": name,
        "images": len(images),
        "parameters": encoder.count_params() + decoder.count_params(),
        "loss": history["loss"][-1],
        "seconds": round(time.perf_counter() - start),
    }
    binary = keras_vae.VAE(encoder, decoder, likelihood="bernoulli")
    row["metrics"] = published_metrics(
        binary, "mnist-dynamic", source=source, num_samples=num_samples
    )
    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return row


def networks():
    """The encoder and decoder of keras.io's example `vae`: 69,076 and 65,089 parameters."""
    from keras import Input, Sequential, layers

    conv = {"kernel_size": 3, "padding": "same"}
    encoder = Sequential(
        [
            Input((28, 28, 1)),
            layers.Conv2D(32, strides=2, activation="relu", **conv),
            layers.Conv2D(64, strides=2, activation="relu", **conv),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(2 + 2),  # mean and log-variance
        ],
        name="encoder",
    )
    decoder = Sequential(
        [
            Input((2,)),
            layers.Dense(7 * 7 * 64, activation="relu"),
            layers.Reshape((7, 7, 64)),
            layers.Conv2DTranspose(64, strides=2, activation="relu", **conv),
            layers.Conv2DTranspose(32, strides=2, activation="relu", **conv),
            layers.Conv2DTranspose(1, **conv),  # logits
        ],
        name="decoder",
    )
    return encoder, decoder


if __name__ == "__main__":
    main()
