"""How good the published models are, against what is published: python -m benchmarks.quality.

    python -m benchmarks.quality [NAMES...] [--num-samples K] [--data mnist=FILE.npz]
    python -m benchmarks.quality --retrain NAME

The first measures the named models, or all, under the protocol of their registry entries, and
writes results/quality-NAME.json: each figure, and each published one beside what was got here. Of
another K than the published one it writes results/quality-NAME-kK.json, and holds no NLL against
it. The second makes the model anew from its recipe, in runs/NAME (run again, it goes on), and
writes results/retrain-NAME.json. Both exit with 1 if a figure is off.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import record
from keras_vae import data, evaluation, hub

# A model made anew is another one of the same recipe: processors and backends round otherwise.
NATS = 0.3
SHARE = 0.05


def main():
    parser = record.parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="published models (default: all)")
    parser.add_argument("--num-samples", type=int, help="K (default: that of the registry entry)")
    parser.add_argument(
        "--data",
        action="append",
        type=_named_file,
        default=[],
        metavar="DATASET=FILE.npz",
        help="a data set as a file, to do without TFDS; once for each",
    )
    parser.add_argument("--retrain", metavar="NAME", help="make this model anew and measure it")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of --retrain's run")
    options = parser.parse_args()
    if options.retrain:
        passed = retrained(options.retrain, options)
    else:
        passed = all([measured(name, options) for name in options.names or hub.list_models()])
    sys.exit(0 if passed or options.smoke else 1)


def measured(name: str, options) -> bool:
    """Measures a published model, writes what it found, and says whether it is as published."""
    entry = hub.info(name)
    published = entry["metrics"]
    result = _figures(hub.load(name), entry, options)
    k = result["metrics"]["num_samples"]
    checks = _held(result["metrics"], published, entry["tolerances"])
    result = {"name": name, "sha256": entry["sha256"], **result, "checks": checks}
    file = f"quality-{name}" if k == published["num_samples"] else f"quality-{name}-k{k}"
    record.write(options, file, result)
    return _report(name, checks)


def retrained(name: str, options) -> bool:
    """Makes a published model anew; writes and says whether it is as good as the published one."""
    from zoo.train import finished, read_recipe, stages

    entry, recipe = hub.info(name), read_recipe(name)
    run = (record.folder(options) if options.smoke else options.runs).resolve() / name
    command = [sys.executable, "-m", "zoo.train", name, "--out", str(run)]
    if source := _source(entry, options):
        command += ["--data", str(source)]
    if options.smoke:
        command += ["--epochs", "1"]
        for stage in stages(recipe):
            recipe[stage]["epochs"] = 1
    subprocess.run(command, cwd=record.ROOT, check=True)
    model, history = finished(recipe, run)
    result = _figures(model, entry, options)
    checks = _held(result["metrics"], entry["metrics"], tolerances(entry))
    training = {
        "recipe": entry["training"]["recipe"],
        "epochs": len(history),
        "seconds": round(sum(epoch["seconds"] for epoch in history)),
    }
    record.write(
        options, f"retrain-{name}", {"name": name, **result, "training": training, "checks": checks}
    )
    return _report(name, checks)


def tolerances(entry: dict) -> dict:
    """How far the figures of a model made anew may be from those of the published one."""
    published = entry["metrics"]
    allowed = {key: SHARE * published[key] for key in ("mse", "perplexity") if key in published}
    if entry["likelihood"] == "bernoulli":
        return {"elbo": NATS, "nll": NATS, **allowed}
    # A density of grey values is the squared error in other units, but for the rate.
    return {**allowed, "rate": SHARE * published["rate"]}


def _figures(model, entry, options):
    k = options.num_samples or entry["metrics"]["num_samples"]
    start = time.perf_counter()
    metrics = evaluation.published_metrics(
        model,
        entry["metrics"]["protocol"],
        source=_source(entry, options),
        num_samples=2 if options.smoke else k,
    )
    return {
        "data": {key: entry["data"][key] for key in ("name", "version")},
        "likelihood": entry["likelihood"],
        "metrics": metrics,
        "seconds": round(time.perf_counter() - start, 1),
    }


def _held(metrics, published, tolerances):
    """The checks; an NLL of another K is another quantity."""
    same = metrics["num_samples"] == published["num_samples"]
    tolerances = {key: value for key, value in tolerances.items() if same or key != "nll"}
    return evaluation.checks(metrics, published, tolerances)


def _source(entry, options):
    """The .npz of a model's data, or None for TFDS."""
    if options.smoke:
        return record.digits(record.folder(options) / "digits.npz").resolve()
    return dict(options.data).get(entry["data"]["name"])


def _named_file(text):
    """`"mnist=my.npz"` as a pair; the path absolute, as zoo.train runs elsewhere."""
    name, _, path = text.partition("=")
    if name not in data.DATASETS or not path.endswith(".npz"):
        names = ", ".join(data.DATASETS)
        raise argparse.ArgumentTypeError(f"DATASET=FILE.npz, of {names}. Received: {text}")
    return name, Path(path).resolve()


def _report(name, checks):
    for row in checks:
        verdict = "ok" if row["pass"] else "OFF"
        got, published = (f"{row[key]:.6g}" for key in ("got", "published"))
        print(f"{name:14} {row['quantity']:14} {got:>10}  published {published:>10}  {verdict}")
    return all(row["pass"] for row in checks)


if __name__ == "__main__":
    main()
