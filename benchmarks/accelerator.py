"""Training on one GPU, on JAX: python -m benchmarks.accelerator [--data mnist.npz] [--smoke].

Images a second that keras_vae trains on (`fit` of a uint8 array), beside a loop in plain JAX on the
same networks, a PyTorch loop with torch.compile and Pythae, where those are installed; the share
of the rate of one large matrix product that this is; what Python costs at each step of a very small
model, before and after the steps of a dispatch became one compiled call; the time of 100 epochs of
a VQ-VAE, and of log-likelihoods with K = 5,000. Each contender runs in a process of its own. It
stops at --minutes; what is measured first matters most. Needs neither TensorFlow nor its data sets
if --data names an .npz file. Writes results/accelerator-gpu.json, or -cpu.json, after each figure.
"""

import importlib.util
import json
import os
import subprocess
import sys
import time

from benchmarks import record
from benchmarks.markdown import markdown

NETWORKS = ("mlp", "conv", "vq", "ladder")
FULL = {
    "images": 49_152,  # 6 x 8192: all batches are full
    "batches": (128, 1024, 8192),
    "seconds": 1.0,
    "repeats": 3,
    "matrix": 8192,
    "small_steps": 256,
    "small_epochs": 4,
    "rounds": 3,
    "epochs": 100,
    "nll": {"images": 10_000, "num_samples": 5000},
    "compiled": True,
}
SMOKE = {
    "images": 32,
    "batches": (8,),
    "seconds": 0.0,
    "repeats": 1,
    "matrix": 64,
    "small_steps": 64,
    "small_epochs": 1,
    "rounds": 1,
    "epochs": 1,
    "nll": {"images": 10, "num_samples": 4},
    "compiled": False,
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
    parser.add_argument("--overhead", action="store_true", help="measure that alone, as on a CPU")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, help="default: all")
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "jax")  # for what is recorded: TensorFlow may be absent
    scale = SMOKE if options.smoke else FULL
    end = time.time() + 60 * options.minutes
    if options.smoke:
        options.networks = options.networks or ["mlp"]
        options.data = str(record.digits(record.folder(options) / "digits.npz"))
    result = {
        "what": "images per second of training: the median of the repeats; of_matmul: FLOP/s, as "
        "XLA counts a step's, over those of one large matrix product of the same dtype; "
        "microseconds: of a step, beyond what it takes if all steps are one compiled call",
        "protocol": scale,
        "rows": [],
    }
    networks = [] if options.overhead else options.networks or NETWORKS
    common = {"scale": scale, "networks": networks, "data": options.data}
    peers = [name for name in ("pythae", "torch") if importlib.util.find_spec(name) and networks]
    for contender in ("jax", *peers):
        left = end - time.time()
        if contender != "jax" and left < 20 and not options.smoke:
            print(f"No time left for {contender}", file=sys.stderr)
            continue
        own = 0.75 * left if contender == "jax" and peers else left
        for figure in _run({**common, "contender": contender, "seconds": own}):
            if "row" in figure:
                result["rows"].append(figure["row"])
            else:
                result.update(figure)
            record.write(options, f"accelerator-{result['device'].partition(':')[0]}", result)
    print(table({**result, **record.circumstances()}))


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
    where = f"{result['device']}, jax {result['jax']}; {result['machine']}"
    text = f"{where}\n\n"
    for dtype, rate in result.get("matmul_tflops", {}).items():
        text += f"One matrix product, {dtype}: {rate:.0f} TFLOP/s\n\n"
    if rows:
        headings = ("network", "dtype", "batch", "contender", "images per second")
        text += markdown((*headings, "of plain JAX", "of matmul"), rows) + "\n"
    if "microseconds" in result:
        steps = [[name, f"{value:,.1f}"] for name, value in result["microseconds"].items()]
        text += markdown(("a step of a very small model", "overhead, microseconds"), steps)
    if vq := result.get("vq_epochs"):
        text += (
            f"\n{vq['epochs']} epochs of the VQ-VAE over {vq['images']:,} images of MNIST, batch "
            f"size {vq['batch']}: {vq['seconds']} s\n"
        )
    if of := result.get("log_likelihood"):
        text += (
            f"\nNLL of `conv-mnist` on {of['images']:,} test images, K = {of['num_samples']:,}: "
            f"{of['nll']} nats, {of['seconds']} s\n"
        )
    return text


def _run(arguments):
    """Yields the figures of a contender's process, as they come."""
    preallocate = "true" if arguments["contender"] == "jax" else "false"
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, json.dumps(arguments)],
        cwd=record.ROOT,
        # JAX would take most of the GPU's memory, also in the process of another.
        env={**os.environ, "KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": preallocate},
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
    """Runs in a contender's process: prints what it measures as JSON lines."""
    end = time.time() + seconds
    if contender == "jax":
        from benchmarks import accelerator_jax

        figures = accelerator_jax.figures(scale, networks, data)
    else:
        from benchmarks import accelerator_peers

        figures = accelerator_peers.figures(contender, scale, networks, data)
    for figure in figures:
        if figure is not None:
            print(json.dumps(figure), flush=True)
        if time.time() > end:
            print(f"{contender}: out of time")
            return


if __name__ == "__main__":
    main()
