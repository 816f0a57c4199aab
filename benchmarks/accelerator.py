"""Training on one GPU, on JAX: python -m benchmarks.accelerator [--data mnist.npz] [--smoke].

Images a second that keras_vae trains on (`fit` of a uint8 array), beside a loop in plain JAX on the
same networks, a PyTorch loop with torch.compile and Pythae, where those are installed; the share
of the rate of one large matrix product that this is; what Python costs at each step of a very small
model, before and after the steps of a dispatch became one compiled call; the time of 100 epochs of
a VQ-VAE, and of log-likelihoods with K = 5,000. Each contender runs in a process of its own. It
stops at --minutes; what is measured first matters most. Needs neither TensorFlow nor its data sets
if --data names an .npz file. Writes results/accelerator.json after each figure.
"""

import importlib.util
import json
import os
import subprocess
import sys
import time

import numpy as np

from benchmarks import record
from benchmarks.architectures import ARCHITECTURES
from benchmarks.markdown import markdown

NETWORKS = ("mlp", "conv", "vq", "ladder")
DTYPES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
FULL = {
    "images": 49_152,  # 6 x 8192: no batch is smaller than the others
    "batches": (128, 1024, 8192),
    "seconds": 1.0,
    "repeats": 3,
    "matrix": 8192,
    "small_steps": 512,
    "epochs": 100,
    "nll": {"images": 10_000, "num_samples": 5000},
}
SMOKE = {
    "images": 32,
    "batches": (8,),
    "seconds": 0.0,
    "repeats": 1,
    "matrix": 64,
    "small_steps": 8,
    "epochs": 1,
    "nll": {"images": 10, "num_samples": 4},
}
WORKER = """
import json, sys
from benchmarks import accelerator
accelerator.work(**json.loads(sys.argv[1]))
"""


def main():
    parser = record.parser(__doc__)
    parser.add_argument("--data", default="mnist", help="an .npz file of MNIST, instead of TFDS")
    parser.add_argument("--minutes", type=float, default=7.5, help="stop after (default: 7.5)")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "jax")  # for what is recorded: TensorFlow may be absent
    scale = SMOKE if options.smoke else FULL
    end = time.time() + 60 * options.minutes
    if options.smoke:
        options.networks = options.networks[:2] if options.networks == [*NETWORKS] else []
        options.networks = options.networks or ["mlp"]
        options.data = str(record.digits(record.folder(options) / "digits.npz"))
    result = {
        "what": "images per second of training: the median of the repeats; of_matmul: FLOP/s, as "
        "XLA counts a step's, over those of one large matrix product of the same dtype; "
        "microseconds: what a step takes beyond its part of an epoch in a single call",
        "protocol": scale,
        "rows": [],
    }
    common = {"scale": scale, "networks": options.networks, "data": options.data}
    peers = [name for name in ("torch", "pythae") if importlib.util.find_spec(name)]
    for contender in ("jax", *peers):
        left = end - time.time()
        if contender != "jax" and left < 20 and not options.smoke:
            print(f"No time left for {contender}", file=sys.stderr)
            continue
        for figure in _run({**common, "contender": contender, "seconds": left}):
            if "row" in figure:
                result["rows"].append(figure["row"])
            else:
                result.update(figure)
            record.write(options, "accelerator", result)
    print(table(result))


def table(result: dict) -> str:
    """The table of a result, in Markdown."""
    raw = {
        (row["network"], row["dtype"], row["batch"]): row["images_per_second"]
        for row in result["rows"]
        if row["contender"] == "plain JAX"
    }
    rows = []
    for row in result["rows"]:
        beside = raw.get((row["network"], row["dtype"], row["batch"]))
        share = row.get("of_matmul")
        rows.append(
            [
                row["network"],
                row["dtype"],
                str(row["batch"]),
                row["contender"],
                f"{row['images_per_second']:,.0f}",
                f"{row['images_per_second'] / beside:.0%}" if beside else "",
                "" if share is None else f"{share:.1%}",
            ]
        )
    headings = ("network", "dtype", "batch", "contender", "images per second")
    text = f"{result.get('device', '')}\n\n"
    text += markdown((*headings, "of plain JAX", "of matmul"), rows) + "\n"
    if "microseconds" in result:
        steps = [[name, f"{value:,.1f}"] for name, value in result["microseconds"].items()]
        text += markdown(("a step of a very small model", "overhead, microseconds"), steps) + "\n"
    for name in ("vq_epochs", "log_likelihood"):
        if name in result:
            figures = ", ".join(f"{key} {value}" for key, value in result[name].items())
            text += f"{name}: {figures}\n"
    return text


def _run(arguments):
    """Yields the figures of a contender's process, as they come."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, json.dumps(arguments)],
        cwd=record.ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
            else:
                print(line, end="", file=sys.stderr)
    if process.returncode and arguments["contender"] == "jax":
        raise SystemExit("The process on JAX failed.")


def work(contender, scale, networks, data, seconds):
    """Runs in a contender's process: prints figures as JSON lines, the most important ones first."""
    end = time.time() + seconds
    figures = (_on_jax if contender == "jax" else _on_torch)(contender, scale, networks, data)
    for figure in figures:
        if figure is not None:
            print(json.dumps(figure), flush=True)
        if time.time() > end:
            print(f"{contender}: out of time")
            return


def _on_jax(_, scale, networks, data):
    import jax
    import keras

    device = jax.local_devices()[0]
    yield {"device": f"{device.platform}: {device.device_kind}", "jax": jax.__version__}
    rates = {dtype: _product_rate(dtype, scale) for dtype in DTYPES}
    yield {"matmul_tflops": {dtype: round(rate / 1e12, 3) for dtype, rate in rates.items()}}
    yield {"microseconds": _overhead(scale)}
    images = _images(data, scale["images"])
    for batch in scale["batches"]:
        for dtype, policy in DTYPES.items():
            keras.config.set_dtype_policy(policy)
            for network in networks:
                yield from _rows(network, dtype, batch, images, rates[dtype], scale)
            keras.config.set_dtype_policy("float32")
        if batch == scale["batches"][0]:
            yield {"vq_epochs": _vq_epochs(data, scale)}
            yield {"log_likelihood": _log_likelihood(data, scale)}


def _rows(network, dtype, batch, images, matmul, scale):
    import jax

    from benchmarks.accelerator_raw import RawLoop

    model = _model(network)
    raw = RawLoop(_model(network) if network == "ladder" else network, dtype)
    on_device = jax.device_put(images)

    def fit(epochs):
        model.fit(images, batch_size=batch, epochs=epochs, verbose=0)

    def loop(epochs):
        for _ in range(epochs):
            raw.train(on_device, batch)

    flops = _flops(model, images[:batch]) / batch
    for contender, train in (("keras_vae", fit), ("plain JAX", loop)):
        rate = _rate(train, len(images), scale)
        row = {"network": network, "dtype": dtype, "batch": batch, "contender": contender}
        yield {"row": {**row, **rate, "of_matmul": rate["images_per_second"] * flops / matmul}}


def _rate(train, images, scale):
    """Images per second of a function of a number of epochs, after two that warm up."""
    train(2)
    start = time.perf_counter()
    train(1)
    epochs = max(1, round(scale["seconds"] / (time.perf_counter() - start)))
    rates = []
    for _ in range(scale["repeats"]):
        start = time.perf_counter()
        train(epochs)
        rates.append(epochs * images / (time.perf_counter() - start))
    spread = {"images_per_second": np.median(rates), "least": min(rates), "most": max(rates)}
    return {name: float(f"{value:.4g}") for name, value in spread.items()}


def _model(network):
    from keras_vae import FACTORIES

    arguments = ARCHITECTURES[network]
    return FACTORIES[f"{network}_vae"]((28, 28, 1), **arguments, seed=0)


def _images(data, n):
    from keras_vae import data as sets

    return np.resize(sets.load(data).x_train, (n, 28, 28, 1))


def _flops(model, x):
    """Those of a training step on a batch: three times the forward pass's, as XLA counts them."""
    import jax

    values = [
        [v.value for v in vs] for vs in (model.trainable_variables, model.non_trainable_variables)
    ]
    forward = jax.jit(
        lambda *state: model.stateless_call(*state, {"data": x}, training=True)[0].log_prob
    )
    return 3 * forward.lower(*values).cost_analysis()["flops"]


def _product_rate(dtype, scale):
    """FLOP/s of the product of two large square matrices: the best of several timings."""
    import jax
    from jax import numpy as jnp

    n, times = scale["matrix"], 4

    @jax.jit
    def products(a):
        for _ in range(times):
            a = a @ a / n
        return a

    a, seconds = jnp.ones((n, n), dtype), []
    for _ in range(4):
        start = time.perf_counter()
        products(a).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return times * 2 * n**3 / min(seconds)


def _overhead(scale):
    """Microseconds of a step of a very small model beyond those in one call for all steps."""
    import keras_vae

    class StepByStep(keras_vae.VAE):
        """With a step of its own, which is left to Keras's loop."""

        def train_step(self, *args):
            return super().train_step(*args)

    steps = scale["small_steps"]
    x = np.random.default_rng(0).integers(0, 256, (128 * steps, 8, 8, 1)).astype("uint8")

    def microseconds(kind, at_once):
        parts = keras_vae.mlp_vae((8, 8, 1), 2, (16,), seed=0)
        model = kind(parts.encoder, parts.decoder, seed=0)
        model.compile("adam", steps_per_execution=at_once)

        def train(epochs):
            model.fit(x, batch_size=128, epochs=epochs, verbose=0)

        return 1e6 / (_rate(train, steps, scale)["images_per_second"])

    least = microseconds(keras_vae.VAE, steps)
    contenders = {
        "Keras's loop, 1 step per execution": (StepByStep, 1),
        "Keras's loop, 32 steps per execution": (StepByStep, 32),
        "keras_vae, 32 steps per execution": (keras_vae.VAE, 32),
        "keras_vae, steps_per_execution='auto'": (keras_vae.VAE, "auto"),
    }
    found = {name: microseconds(*pair) - least for name, pair in contenders.items()}
    return {"the step itself": round(least, 2)} | {
        name: round(value, 2) for name, value in found.items()
    }


def _vq_epochs(data, scale):
    """The time of some epochs of the VQ-VAE on the training images, compiled before."""
    from keras_vae import data as sets

    x, model = sets.load(data).x_train, _model("vq")
    model.fit(x, batch_size=128, epochs=1, verbose=0)
    start = time.perf_counter()
    model.fit(x, batch_size=128, epochs=scale["epochs"], verbose=0)
    seconds = round(time.perf_counter() - start, 2)
    return {"epochs": scale["epochs"], "images": len(x), "batch": 128, "seconds": seconds}


def _log_likelihood(data, scale):
    """The time of the NLL of conv-mnist on test images, compiled before."""
    import keras_vae
    from keras_vae import data as sets

    x = sets.binarized_once(sets.load(data))[1][: scale["nll"]["images"]]
    model, k = keras_vae.load("conv-mnist"), scale["nll"]["num_samples"]
    model.log_likelihood(x[:1000], 40, seed=0)
    start = time.perf_counter()
    nll = -float(np.mean(model.log_likelihood(x, k, seed=0), dtype="float64"))
    seconds = round(time.perf_counter() - start, 2)
    return {"images": len(x), "num_samples": k, "nll": round(nll, 3), "seconds": seconds}


def _on_torch(contender, scale, networks, data):
    import torch

    from benchmarks import peers

    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = _images(data, scale["images"])

    class Compiled(peers.TorchLoop):
        def __init__(self, network, dtype):
            super().__init__(network, 28)
            self.encoder = torch.compile(self.encoder.to(device))
            self.decoder = torch.compile(self.decoder.to(device))
            if network == "vq":
                names = ("codebook", "sums", "frequency")
                self.__dict__ |= {name: getattr(self, name).to(device) for name in names}
            self.x = peers.as_tensor(images).to(device)
            self.autocast = torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16")

        def epochs(self, number, batch):
            for _ in range(number):
                for indices in torch.randperm(len(self.x), device=device).split(batch):
                    with self.autocast:
                        loss = self.batch_loss(self.x[indices])
                    self.optimizer.zero_grad()
                    loss.backward()
                    self.optimizer.step()
            loss.item()

    for batch in scale["batches"]:
        for dtype in DTYPES if contender == "torch" else ["float32"]:
            for network in (name for name in networks if name != "ladder"):
                row = {"network": network, "dtype": dtype, "batch": batch}
                try:
                    if contender == "torch":
                        loop = Compiled(network, dtype)
                        rate = _rate(lambda n: loop.epochs(n, batch), len(images), scale)
                    else:
                        other = peers.Pythae(network, 28)
                        rate = _rate(
                            lambda n: [other.train(images, batch) for _ in range(n)],
                            len(images),
                            scale,
                        )
                except Exception as error:  # such as a machine without a compiler for torch.compile
                    print(f"{contender} skipped {network}, {dtype}, {batch}: {error!r}"[:300])
                    yield None
                    continue
                name = "PyTorch, torch.compile" if contender == "torch" else "Pythae"
                yield {"row": {**row, "contender": name, **rate}}


if __name__ == "__main__":
    main()
