"""What benchmarks.accelerator measures on JAX: keras_vae, and a plain loop beside it."""

import time

import jax
import keras
import numpy as np
from jax import numpy as jnp

import keras_vae
from benchmarks.accelerator_raw import RawLoop
from benchmarks.architectures import ARCHITECTURES
from keras_vae import data as sets

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
SMALL = {"batch_size": 16, "verbose": 0}
PRODUCTS = 4


def figures(scale, networks, data):
    """Yields what is measured, parts of the result or rows; what matters most comes first."""
    device = jax.local_devices()[0]
    yield {"device": f"{device.platform}: {device.device_kind}", "jax": jax.__version__}
    yield {"microseconds": overhead(scale)}
    if not networks:
        return
    matmul = {dtype: product_rate(dtype, scale["matrix"]) for dtype in POLICIES}
    yield {"matmul_tflops": {dtype: round(rate / 1e12, 3) for dtype, rate in matmul.items()}}
    yield {"vq_epochs": _vq_epochs(data, scale["epochs"])}
    yield {"log_likelihood": _log_likelihood(data, **scale["nll"])}
    images = images_of(data, scale["images"])
    for batch in scale["batches"]:
        for dtype, policy in POLICIES.items():
            keras.config.set_dtype_policy(policy)
            for network in networks:
                yield from _rows(network, dtype, batch, images, matmul[dtype], scale)
            keras.config.set_dtype_policy("float32")


def images_of(data, n):
    """The first n training images, uint8 `(n, 28, 28, 1)`, over again if they are fewer."""
    return np.resize(sets.load(data).x_train, (n, 28, 28, 1))


def rate(train, images, scale):
    """Images per second of a function of a number of epochs, after two that warm up."""
    train(2)
    start = time.perf_counter()
    train(1)
    epochs = max(1, round(scale["seconds"] / (time.perf_counter() - start)))
    rates = [epochs * images / _seconds(train, epochs) for _ in range(scale["repeats"])]
    spread = {"images_per_second": np.median(rates), "least": min(rates), "most": max(rates)}
    return {name: float(f"{value:.4g}") for name, value in spread.items()}


def product_rate(dtype, n):
    """FLOP/s of the product of two square matrices: the best of several timings."""

    @jax.jit
    def products(a):
        for _ in range(PRODUCTS):
            a = a @ a / n
        return a

    a = jnp.ones((n, n), dtype)
    seconds = [_seconds(lambda a: products(a).block_until_ready(), a) for _ in range(5)]
    return PRODUCTS * 2 * n**3 / min(seconds)


def overhead(scale):
    """Microseconds of a step of a very small model beyond what one takes if all are one call.

    The contenders take turns; each figure is the least of the rounds, as other load only adds.
    """

    class StepByStep(keras_vae.VAE):
        """With a step of its own, which is left to Keras's loop."""

        def train_step(self, *args):
            return super().train_step(*args)

    steps = scale["small_steps"]
    x = np.random.default_rng(0).integers(0, 256, (SMALL["batch_size"] * steps, 4, 4, 1))
    x = x.astype("uint8")
    contenders = {
        "all steps in one call": (keras_vae.VAE, steps),
        "Keras's loop, 1 step per execution": (StepByStep, 1),
        "Keras's loop, 32 steps per execution": (StepByStep, 32),
        "keras_vae, 32 steps per execution": (keras_vae.VAE, 32),
        "keras_vae, steps_per_execution='auto'": (keras_vae.VAE, "auto"),
    }
    models = {}
    for name, (kind, at_once) in contenders.items():
        parts = keras_vae.mlp_vae((4, 4, 1), 2, (8,), seed=0)
        models[name] = kind(parts.encoder, parts.decoder, seed=0)
        models[name].compile("adam", steps_per_execution=at_once)
        models[name].fit(x, epochs=2, **SMALL)
    epochs = scale["small_epochs"]
    rounds = [
        {name: _seconds(model.fit, x, epochs=epochs, **SMALL) for name, model in models.items()}
        for _ in range(scale["rounds"])
    ]
    least = {name: 1e6 / epochs / steps * min(of[name] for of in rounds) for name in models}
    whole = least["all steps in one call"]
    extra = {name: round(value - whole, 2) for name, value in least.items() if value != whole}
    return {"the step itself, all in one call": round(whole, 2), **extra}


def _seconds(function, *args, **kwargs):
    start = time.perf_counter()
    function(*args, **kwargs)
    return time.perf_counter() - start


def _rows(network, dtype, batch, images, matmul, scale):
    model, on_device = _model(network), jax.device_put(images)
    raw = RawLoop(_model(network) if network == "ladder" else network, dtype)

    def fit(epochs):
        model.fit(images, batch_size=batch, epochs=epochs, verbose=0)

    def loop(epochs):
        for _ in range(epochs):
            raw.train(on_device, batch)

    flops = _flops(model, images[:batch]) / batch
    for contender, train in (("keras_vae", fit), ("plain JAX", loop)):
        row = {"network": network, "dtype": dtype, "batch": batch, "contender": contender}
        row |= rate(train, len(images), scale)
        yield {"row": {**row, "of_matmul": row["images_per_second"] * flops / matmul}}


def _model(network):
    arguments = ARCHITECTURES[network]
    return keras_vae.FACTORIES[f"{network}_vae"]((28, 28, 1), **arguments, seed=0)


def _flops(model, x):
    """Those of a training step on a batch: three times the forward pass's, as XLA counts them."""

    def forward(*state):
        return model.stateless_call(*state, {"data": x}, training=True)[0].log_prob

    variables = (model.trainable_variables, model.non_trainable_variables)
    values = [[variable.value for variable in kind] for kind in variables]
    return 3 * jax.jit(forward).lower(*values).cost_analysis()["flops"]


def _vq_epochs(data, epochs):
    """The time of some epochs of the VQ-VAE on the training images, compiled before."""
    x, model = sets.load(data).x_train, _model("vq")
    options = {"batch_size": 128, "verbose": 0}
    model.fit(x, epochs=1, **options)
    seconds = _seconds(model.fit, x, epochs=epochs, **options)
    return {"epochs": epochs, "images": len(x), "batch": 128, "seconds": round(seconds, 2)}


def _log_likelihood(data, images, num_samples):
    """The NLL of conv-mnist on test images, and its time, compiled before."""
    x = sets.binarized_once(sets.load(data))[1][:images]
    model = keras_vae.load("conv-mnist")
    model.log_likelihood(x[:1000], min(num_samples, 40), seed=0)
    start = time.perf_counter()
    nll = -float(np.mean(model.log_likelihood(x, num_samples, seed=0), dtype="float64"))
    seconds = round(time.perf_counter() - start, 2)
    return {"images": len(x), "num_samples": num_samples, "nll": round(nll, 3), "seconds": seconds}
