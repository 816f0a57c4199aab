"""Speed of training and evaluation: python -m benchmarks.speed [--smoke] [--out FOLDER].

Every contender runs in its own process, and they take turns in every round, so that other load on
the machine affects all of them; a ratio is the median of the rounds' ratios. A plain PyTorch loop
and Pythae 0.1.2 (`pip install "keras-vae[bench]"`) run the same networks with the same precision,
batch size and number of threads. Writes results/speed-PART.json for each part.
"""

import importlib.util
import platform
import statistics
import sys
from pathlib import Path

from benchmarks import record
from benchmarks.speed_worker import Worker

PACKAGES = ("keras", "tensorflow", "jax", "torch", "pythae", "numpy")
OURS, THEIRS = "keras_vae tensorflow", "pythae"
FULL = {"rounds": 7, "seconds": 3.0, "num_samples": 1000, "batch": 128, "matrix": 2048}
SMOKE = {"rounds": 1, "seconds": 0.0, "num_samples": 8, "batch": 8, "matrix": 64}
PRODUCTS = 4  # of two matrices, in every round
MEANING = {
    "rate": "images (nll: decoder passes) a second: median, least and most of the rounds",
    "cpu_rate": "the same a second of processor time, which a busy machine disturbs less",
    "of pythae": "median of the rounds' ratios of rates; in cpu of pythae, of cpu rates",
    "of matmul": "FLOP/s over TensorFlow's for the product of two square matrices; a training "
    "step counts 3 x the forward pass's, 2 for each multiply-add",
    "peak_mib": "largest resident memory of the process up to then",
}


def main():
    parser = record.parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="parts (default: all)")
    parser.add_argument("--threads", type=int, default=2, help="per contender (default: 2)")
    options = parser.parse_args()
    scale = SMOKE if options.smoke else FULL
    parts = options.only or (("training", "nll") if options.smoke else list(PARTS))
    tasks = [task for part in parts for task in PARTS[part](scale)]
    if options.smoke:
        tasks = [task for task in tasks if task["network"] == "mlp"]

    result = {
        "what": MEANING,
        "protocol": {**scale, "threads": options.threads, "precision": "float32"},
        "processor": _processor(),
        "packages": {name: record.installed(name) for name in PACKAGES},
    }
    rows = {part: {} for part in parts}
    contenders = _contenders(options.smoke)
    for network, size in dict.fromkeys((task["network"], task["size"]) for task in tasks):
        group = [task for task in tasks if (task["network"], task["size"]) == (network, size)]
        names = [name for name in contenders if any(_takes(name, task) for task in group)]
        workers = {name: Worker(name, options.threads) for name in names}
        try:
            for worker in workers.values():
                worker.post({**group[0], "task": "make"})
            flops = [worker.read().get("flops") for worker in workers.values()][0]
            for task in group:
                chosen = {name: w for name, w in workers.items() if _takes(name, task)}
                part = task["part"]
                rows[part][task["title"]] = _rounds(chosen, task, scale, flops)
                # After each, so that an interrupted run keeps what it has.
                record.write(options, f"speed-{part}", {**result, "rows": rows[part]})
        finally:
            for worker in workers.values():
                worker.close()
    print("\n".join(table(part, rows[part]) for part in parts))


def table(part: str, rows: dict) -> str:
    """The table of a part of a result, in Markdown."""
    columns = ["per second", "range", "vs Pythae", "in CPU time", "of matmul", "MB"]
    lines = [f"| {part} | | {' | '.join(columns)} |", f"|---|---|{'---:|' * len(columns)}"]
    for title, contenders in rows.items():
        for name, row in contenders.items():
            cells = [
                f"{row['rate']['median']:,.0f}",
                f"{row['rate']['least']:,.0f} to {row['rate']['most']:,.0f}",
                _cell(row.get("of pythae"), "{:.2f} x"),
                _cell(row.get("in cpu of pythae"), "{:.2f} x"),
                _cell(row.get("of matmul"), "{:.0%}"),
                f"{row['peak_mib'] * 2**20 / 1e6:,.0f}",
            ]
            lines.append(f"| {title} | {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cell(value, form):
    return "" if value is None else form.format(value)


def _training(scale):
    for network in ("mlp", "conv", "vq"):
        yield _task("training", network, "train", network, batch=scale["batch"])


def _nll(scale):
    for network in ("mlp", "conv"):
        k = scale["num_samples"]
        yield _task("nll", f"{network}, K = {k}", "nll", network, num_samples=k)


def _inference(scale):
    for network in ("mlp", "conv", "vq"):
        for kind in ("encode", "decode", "generate"):
            if (network, kind) != ("vq", "generate"):  # it has no prior to draw from
                yield _task("inference", f"{network} {kind}", kind, network)


def _batches(scale):
    for network in ("mlp", "conv"):
        for batch in (32, 128, 512, 2048):
            yield _task("batches", f"{network}, batch {batch}", "train", network, batch=batch)


def _sizes(scale):
    for size in (28, 64, 128):
        title = f"conv, {size} x {size}"
        yield _task("sizes", title, "train", "conv", size=size, batch=scale["batch"])


PARTS = {
    "training": _training,
    "nll": _nll,
    "inference": _inference,
    "batches": _batches,
    "sizes": _sizes,
}


def _task(part, title, kind, network, size=28, **arguments):
    return {
        "part": part,
        "title": title,
        "task": kind,
        "network": network,
        "size": size,
    } | arguments


def _takes(name, task):
    """Whether a contender runs a task; how cost grows is shown for two contenders only."""
    if task["part"] in ("batches", "sizes"):
        return name in (OURS, THEIRS)
    return (
        task["part"] == "training"
        or name.startswith("keras")
        or (task["part"] == "nll" and name == THEIRS)
    )


def _rounds(workers, task, scale, flops):
    """Returns {contender: its rates}: a warm-up, then rounds in which the contenders take turns."""
    print(task["part"], task["title"], file=sys.stderr, flush=True)
    counts = {name: _count(worker, task, scale) for name, worker in workers.items()}
    passes = task.get("num_samples", 1)
    rates, cpu_rates = ({name: [] for name in workers} for _ in range(2))
    products = []
    for _ in range(scale["rounds"]):
        product = workers[OURS].ask({"task": "multiply", "n": scale["matrix"], "times": PRODUCTS})
        products.append(PRODUCTS * 2 * scale["matrix"] ** 3 / product["seconds"])
        for name, worker in workers.items():
            answer = worker.ask({**task, "images": counts[name]})
            rates[name].append(counts[name] * passes / answer["seconds"])
            cpu_rates[name].append(counts[name] * passes / answer["cpu_seconds"])
    rows = {}
    for name, worker in workers.items():
        row = rows[name] = {"rate": _spread(rates[name]), "cpu_rate": _spread(cpu_rates[name])}
        if THEIRS in rates:
            row["of pythae"] = _ratio(rates[name], rates[THEIRS])
            row["in cpu of pythae"] = _ratio(cpu_rates[name], cpu_rates[THEIRS])
        if task["task"] == "train":
            # Forward, gradients of activations, gradients of weights: each as many products.
            row["of matmul"] = _ratio([3 * flops * rate for rate in rates[name]], products)
        row |= {"images": counts[name], "peak_mib": worker.peak_mib}
    return rows


def _count(worker, task, scale):
    """Returns the images per repeat, after a warm-up: as many batches as take the wanted seconds.

    Seconds of processor time, so that a busy machine does not shorten the work.
    """
    unit, batches = task.get("batch", 1), 1
    worker.ask({**task, "images": unit})
    while True:
        seconds = worker.ask({**task, "images": unit * batches})["cpu_seconds"]
        if seconds >= scale["seconds"] / 2:
            return unit * batches
        batches = max(2 * batches, int(batches * scale["seconds"] / seconds / 2))


def _spread(rates):
    values = {"median": statistics.median(rates), "least": min(rates), "most": max(rates)}
    return {name: float(f"{value:.4g}") for name, value in values.items()}


def _ratio(rates, others):
    return round(statistics.median(a / b for a, b in zip(rates, others)), 3)


def _contenders(smoke):
    backends = [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)]
    names = [f"keras_vae {name}" for name in (backends[:1] if smoke else backends)]
    names += ["torch-loop"] if "torch" in backends else []
    if importlib.util.find_spec("pythae"):
        return [*names, THEIRS]
    print('Pythae is not installed, skipped: pip install "keras-vae[bench]"', file=sys.stderr)
    return names


def _processor():
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
