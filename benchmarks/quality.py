"""The published models' figures, measured again: python -m benchmarks.quality.

    python -m benchmarks.quality [NAMES...] [--num-samples K] [--data mnist=FILE.npz]
    python -m benchmarks.quality --retrain NAME

The first measures the named models, or all, under the protocol of their registry entries, and
writes results/quality-NAME.json, with each published figure beside the one measured here. With
another K than the published one it writes results/quality-NAME-kK.json and does not compare NLLs.
The second trains the model again from its recipe, in runs/NAME (which it resumes), and writes
results/retrain-NAME.json. Both exit with 1 if a figure is outside its tolerance.
"""

import argparse
import sys
import time
from pathlib import Path

from benchmarks import record
from keras_vae import data, hub, registry, training, verification

# A retrained model differs from the published one: processors and backends round differently.
NATS = 0.3
BITS = 0.02
SHARE = 0.05
SMOKE = ("mlp-mnist", "vq-mnist")


def main():
    parser = record.parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="published models (default: all)")
    parser.add_argument("--num-samples", type=int, help="K (default: that of the registry entry)")
    parser.add_argument(
        "--data",
        action="append",
        type=_parse_file,
        default=[],
        metavar="DATASET=FILE.npz",
        help="a data set as an .npz file, instead of TFDS; repeatable",
    )
    parser.add_argument("--retrain", metavar="NAME", help="train this model again and measure it")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of --retrain's run")
    options = parser.parse_args()
    if options.retrain:
        passed = retrain(options.retrain, options)
    else:
        names = options.names or (SMOKE if options.smoke else sorted(registry.entries()))
        passed = all([measure(name, options) for name in names])
    sys.exit(0 if passed or options.smoke else 1)


def measure(name: str, options) -> bool:
    """Measures a published model, writes the result, and returns whether it is as published."""
    entry = hub.info(name)
    published = entry["metrics"]
    result = _figures(hub.load(name), entry, options)
    k = result["metrics"]["num_samples"]
    checks = _compare(result["metrics"], published, entry["tolerances"])
    result = {"name": name, "sha256": entry["sha256"], **result, "checks": checks}
    file = f"quality-{name}" if k == published["num_samples"] else f"quality-{name}-k{k}"
    record.write(options, file, result)
    return _report(name, checks)


def retrain(name: str, options) -> bool:
    """Trains a published model again, writes the result, and returns whether it is as good."""
    from zoo.train import read_recipe

    entry, recipe = hub.info(name), read_recipe(name)
    run = (record.folder(options) if options.smoke else options.runs).resolve() / name
    if options.smoke:
        for stage in training.stages(recipe):
            recipe[stage]["epochs"] = 1
    parts = data.load(_source(entry, options) or entry["data"]["name"])
    model, history = training.follow(recipe, parts, run)
    result = _figures(model, entry, options)
    checks = _compare(result["metrics"], entry["metrics"], tolerances(entry))
    made = {
        "recipe": entry["training"]["recipe"],
        "epochs": len(history),
        "seconds": round(sum(epoch["seconds"] for epoch in history)),
    }
    record.write(
        options, f"retrain-{name}", {"name": name, **result, "training": made, "checks": checks}
    )
    return _report(name, checks)


def tolerances(entry: dict) -> dict:
    """Returns the tolerances of a retrained model's figures, around the published ones."""
    published = entry["metrics"]
    allowed = {key: SHARE * published[key] for key in ("mse", "perplexity") if key in published}
    if entry["observes"] == "levels":
        return {"bits_per_dim": BITS, **allowed}
    if record.is_code_length(entry["likelihood"]):
        return {"elbo": NATS, "nll": NATS, **allowed}
    # A density of grey values is, but for the rate, the squared error in other units.
    return {**allowed, "rate": SHARE * published["rate"]}


def _figures(model, entry, options):
    k = options.num_samples or entry["metrics"]["num_samples"]
    start = time.perf_counter()
    metrics = verification.published_metrics(
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


def _compare(metrics, published, tolerances):
    """Returns the checks, without the NLL if its K differs."""
    same = metrics["num_samples"] == published["num_samples"]
    tolerances = {key: value for key, value in tolerances.items() if same or key != "nll"}
    return verification.checks(metrics, published, tolerances)


def _source(entry, options):
    """Returns the .npz file of a model's data, or None for TFDS."""
    if options.smoke:
        return record.digits(record.folder(options) / "digits.npz")
    return dict(options.data).get(entry["data"]["name"])


def _parse_file(text):
    """Parses `mnist=my.npz`."""
    name, _, path = text.partition("=")
    if name not in data.DATASETS or not path.endswith(".npz"):
        names = ", ".join(data.DATASETS)
        raise argparse.ArgumentTypeError(
            f"Expected DATASET=FILE.npz, with one of {names}. Received: {text}"
        )
    return name, Path(path)


def _report(name, checks):
    for row in checks:
        verdict = "ok" if row["pass"] else "OFF"
        got, published = (f"{row[key]:.6g}" for key in ("got", "published"))
        print(f"{name:14} {row['quantity']:14} {got:>10}  published {published:>10}  {verdict}")
    return all(row["pass"] for row in checks)


if __name__ == "__main__":
    main()
