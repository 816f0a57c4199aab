"""Publishes a finished run into keras_vae/pretrained: python -m zoo.publish NAME --run FOLDER.

The only writer of registry.json. It measures the model first, and puts the weights in their place
last, so that an entry and its file change together. Also draws `zoo/cards/NAME.png`: four rows
of samples (if the model can generate), 16 test images and, below them, their reconstructions.
"""

import argparse
import json
import os
import platform
from pathlib import Path

import numpy as np

from zoo.train import build, read_recipe

# How far a figure may be off on another machine or backend: the noise is the same everywhere.
TOLERANCES = {"elbo": 0.05, "nll": 0.05, "mse": 2e-5, "active_units": 0, "perplexity": 1.0}
CARDS = Path(__file__).parent / "cards"
LICENCES = {"mnist": "CC BY-SA 3.0", "fashion-mnist": "MIT"}
PROTOCOLS = {"mnist": "mnist-dynamic", "fashion-mnist": "fashion-dynamic"}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="name of a recipe in zoo/recipes")
    parser.add_argument("--run", required=True, help="folder of the finished run")
    parser.add_argument("--data", help="an .npz of the recipe's data set, to do without TFDS")
    parser.add_argument("--num-samples", type=int, default=100, help="importance samples of nll")
    options = parser.parse_args()
    recipe = read_recipe(options.name)
    run = Path(options.run)
    state = json.loads((run / "state.json").read_text())
    if state["plan"]["run"] != recipe:
        raise SystemExit(f"{run} was made by another recipe than zoo/recipes/{options.name}.toml")
    if len(state["history"]) != recipe["training"]["epochs"]:
        raise SystemExit(f"{run} is not finished: {len(state['history'])} epochs")

    import keras

    from keras_vae import data, evaluation, hub, plots, registry, weights
    from keras_vae.files import write_json

    model = build(recipe, steps_per_epoch=1)
    model.optimizer.build(model.trainable_variables)
    model.load_weights(run / state["checkpoint"])
    dataset = recipe["data"]["name"]
    protocol = PROTOCOLS[dataset]
    metrics = evaluation.published_metrics(
        model, protocol, source=options.data, num_samples=options.num_samples
    )
    for name, value in metrics.items():
        print(f"{name:20} {value:.6g}")

    factory, arguments = recipe["model"]["factory"], recipe["model"]["arguments"]
    file = f"{options.name}.weights.h5"
    staged = registry.PRETRAINED / f"new-{file}"
    weights.write_weights(model, hub.build(factory, arguments), staged)
    entry = {
        "factory": factory,
        "arguments": arguments,
        "repository": f"keras-vae/{options.name}",
        "revision": None,  # the commit on the Hub, once it is there
        "file": file,
        **weights.describe(model, staged),
        "data": {"name": dataset, "version": data.VERSION, "licence": LICENCES[dataset]},
        "licence": "Apache-2.0",
        "metrics": {"protocol": protocol, "num_samples": options.num_samples, **metrics},
        "tolerances": {name: TOLERANCES[name] for name in TOLERANCES if name in metrics},
        "training": {
            "recipe": f"zoo/recipes/{options.name}.toml",
            "seconds": round(sum(epoch["seconds"] for epoch in state["history"])),
            "backend": keras.backend.backend(),
            "keras": keras.version(),
            "machine": f"{os.cpu_count()} CPU cores, {platform.machine()}",
        },
    }
    images = data.load(options.data or dataset).x_test[:16] / 255.0
    images = np.concatenate([images, model.reconstruct(images)])
    if model.latent.stochastic:
        images = np.concatenate([model.generate(64, seed=0), images])
    plots.save(plots.image_grid(images, columns=16), CARDS / f"{options.name}.png")
    entries = json.loads((registry.PRETRAINED / "registry.json").read_text())
    entries[options.name] = entry
    os.replace(staged, registry.PRETRAINED / file)
    write_json(registry.PRETRAINED / "registry.json", dict(sorted(entries.items())))
    print(f"Published {options.name}: {entry['bytes']} bytes, sha256 {entry['sha256']}")


if __name__ == "__main__":
    main()
