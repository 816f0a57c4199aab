"""Publishes a finished run into keras_vae/pretrained: python -m zoo.publish NAME --run FOLDER.

Only this script writes registry.json. It measures the model first and moves the weights into place
last, so that an entry and its file change together. It also draws `zoo/cards/NAME.png` (four rows
of samples if the model generates, then 16 test images above their reconstructions) and
`NAME-latents.png` (how the model uses its latents).

With --measure it measures the published weights again and redraws both pictures.
With --pin COMMIT it only records the commit on the Hub that holds the entry's weights, as printed
by `keras-vae publish`.
"""

import argparse
import json
import os
import re
import tempfile
from pathlib import Path

from zoo.train import read_recipe

# Tolerances of figures on another machine or backend; the noise is the same everywhere.
TOLERANCES = {"elbo": 0.05, "nll": 0.05, "mse": 2e-5, "active_units": 0, "perplexity": 1.0}
OF_LEVELS = {"bits_per_dim": 1e-3}  # beside these, if the likelihood is of levels
OF_NATS = 5e-5  # of the figure, where that is more than the tolerance above
OF_ERRORS = 0.05  # of the figure, where that is less
CARDS = Path(__file__).parent / "cards"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="name of a recipe in zoo/recipes")
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--run", help="folder of the finished run")
    task.add_argument("--measure", action="store_true", help="measure the published weights again")
    task.add_argument("--pin", metavar="COMMIT", help="the commit on the Hub with these weights")
    parser.add_argument("--repository", help="with --pin: ORG/NAME on the Hub, if it changes")
    parser.add_argument("--data", help="an .npz file of the data set, instead of TFDS")
    parser.add_argument(
        "--float16", action="store_true", help="with --run: store the weights in 16 bits"
    )
    parser.add_argument("--num-samples", type=int, default=100, help="importance samples of nll")
    options = parser.parse_args()
    if options.pin:
        pin(options.name, options.pin, options.repository)
    elif options.measure:
        measure(options.name, options.data, options.num_samples)
    else:
        publish(options.name, Path(options.run), options.data, options.num_samples, options.float16)
    print("Then: python -m zoo.table && python -m zoo.cards")


def pin(name: str, commit: str, repository: str | None = None):
    """Records where on the Hub the weights of an entry are."""
    from keras_vae.hub.publish import check_repository

    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise SystemExit(
            f"A commit is 40 hexadecimal digits, not a branch or tag. Received: {commit}"
        )
    entries = _entries()
    if name not in entries:
        raise SystemExit(f"{name} is not published. Available: {', '.join(entries)}")
    repository = repository or entries[name]["repository"]
    check_repository(repository)
    entries[name] |= {"repository": repository, "revision": commit}
    _write(entries)
    print(f"Pinned {name} to {repository}@{commit}")


def measure(name: str, source: str | None, num_samples: int):
    """Measures an entry's weights again and replaces its figures."""
    from keras_vae import hub

    model, dataset = hub.load(name), hub.info(name)["data"]["name"]
    figures = _figures(model, dataset, source, num_samples)
    _draw(model, name, source or dataset)
    entries = _entries()
    _write({**entries, name: {**entries[name], **figures}})


def publish(name: str, run: Path, source: str | None, num_samples: int, float16: bool):
    """Measures the model of a finished run and makes it the published model of its recipe."""
    from keras_vae import data, hub, registry, training
    from keras_vae.hub import folder
    from keras_vae.training import checkpoints

    recipe = read_recipe(name)
    try:
        made_on = checkpoints.read_state(run)["made_on"]
        model, history = training.restore(recipe, run)
        asked = sum(recipe[stage]["epochs"] for stage in training.stages(recipe))
        done = sum(epoch["epoch"] > 0 for epoch in history)
        if done > asked:
            raise ValueError(f"{run} has {done} epochs, and the recipe asks for {asked}.")
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    dataset = recipe["data"]["name"]
    record = data.DATASETS[dataset]
    file = f"{name}.weights.h5"
    with tempfile.TemporaryDirectory(prefix="new-", dir=registry.PRETRAINED) as staged:
        folder.save_to_folder(model, staged, float16=float16)
        model = hub.load(staged)  # as it is stored
        figures = _figures(model, dataset, source, num_samples)
        facts = folder.read_metadata(staged)
        _draw(model, name, source or dataset)
        os.replace(Path(staged, folder.WEIGHTS), registry.PRETRAINED / file)
    del facts["saved_with"]
    entries = _entries()
    entry = {
        "factory": recipe["model"]["factory"],
        "arguments": recipe["model"]["arguments"],
        "repository": entries.get(name, {}).get("repository", f"keras-vae/{name}"),
        "revision": None,  # until these weights are on the Hub
        "file": file,
        **facts,
        "data": {"name": dataset, "version": record.version, "licence": record.licence},
        "licence": "Apache-2.0",
        **figures,
        "training": {
            "recipe": f"zoo/recipes/{name}.toml",
            "seed": recipe["training"]["seed"],
            "seconds": round(sum(epoch["seconds"] for epoch in history)),
            **_memory(history),
            **_variants(recipe),
            **made_on,
        },
    }
    _write({**entries, name: entry})
    print(f"Published {name}: {entry['bytes']} bytes, sha256 {entry['sha256']}")


def _memory(history):
    """Peak memory of a run's processes, if it was recorded."""
    noted = [epoch["peak_memory_mb"] for epoch in history if epoch.get("peak_memory_mb")]
    return {"peak_memory_mb": max(noted)} if noted else {}


def _variants(recipe):
    """What a model was trained on beside the images themselves, for people."""
    stages = [stage for stage in recipe.values() if "epochs" in stage]
    most = max(stage.get("shifts", 0) for stage in stages)
    kinds = ["mirror images"] * any(stage.get("flips") for stage in stages)
    kinds += [f"shifts of up to {most} pixel{'s' * (most > 1)}"] if most else []
    return {"variants": " and ".join(kinds)} if kinds else {}


def _figures(model, dataset, source, num_samples):
    """The part of an entry that says how good its model is."""
    from keras_vae import data, verification

    protocol = data.DATASETS[dataset].protocol
    metrics = verification.published_metrics(
        model, protocol, source=source, num_samples=num_samples
    )
    for quantity, value in metrics.items():
        print(f"{quantity:20} {value}")
    return {"metrics": metrics, "tolerances": tolerances(metrics, model.likelihood.observes)}


def tolerances(metrics: dict, observes: str) -> dict:
    """Returns the tolerance of each figure that `verify` compares.

    Args:
        metrics: the published figures.
        observes: what the likelihood observes, such as `"binary"` or `"levels"`.
    """
    known = {**TOLERANCES, **(OF_LEVELS if observes == "levels" else {})}
    result = {key: known[key] for key in known if key in metrics}
    for key in {"elbo", "nll"} & set(result):
        result[key] = max(result[key], OF_NATS * abs(metrics[key]))
    if "mse" in result:
        result["mse"] = min(result["mse"], OF_ERRORS * metrics["mse"])
    return result


def _draw(model, name, source):
    from keras_vae import data, plots

    parts = data.load(source)
    plots.save(plots.overview(model, parts.x_test), CARDS / f"{name}.png")
    figure = plots.latent_use(model, parts.x_test, parts.y_test)
    plots.save(figure, CARDS / f"{name}-latents.png")


def _entries():
    from keras_vae import registry

    return json.loads((registry.PRETRAINED / "registry.json").read_text())


def _write(entries):
    from keras_vae import registry
    from keras_vae.files import write_json

    write_json(registry.PRETRAINED / "registry.json", dict(sorted(entries.items())))


if __name__ == "__main__":
    main()
