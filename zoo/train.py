"""Makes a model from its recipe: python -m zoo.train NAME [--data FILE.npz] [--out FOLDER]."""

import argparse
import math
import tomllib
from pathlib import Path

RECIPES = Path(__file__).parent / "recipes"


def read_recipe(name: str) -> dict:
    """Returns the recipe `zoo/recipes/<name>.toml`."""
    names = sorted(path.stem for path in RECIPES.glob("*.toml"))
    if name not in names:
        raise SystemExit(f"No recipe {name!r}. Available: {', '.join(names)}")
    return tomllib.loads((RECIPES / f"{name}.toml").read_text())


def build(recipe: dict, steps_per_epoch: int):
    """Returns the recipe's model, compiled with its optimizer and learning-rate schedule."""
    import keras

    from keras_vae import hub

    keras.utils.set_random_seed(recipe["training"]["seed"])
    model = hub.build(recipe["model"]["factory"], recipe["model"]["arguments"])
    training = recipe["training"]
    rate = keras.optimizers.schedules.CosineDecay(
        training["learning_rate"], training["epochs"] * steps_per_epoch
    )
    model.compile(
        keras.optimizers.Adam(rate, beta_2=training.get("adam_beta_2", 0.999)),
        jit_compile=training.get("jit_compile", "auto"),
    )
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="name of a recipe in zoo/recipes")
    parser.add_argument("--data", help="an .npz of the recipe's data set, to do without TFDS")
    parser.add_argument("--out", help="folder of the run (default: runs/NAME); a run there goes on")
    parser.add_argument("--epochs", type=int, help="stop after fewer epochs, to try things out")
    options = parser.parse_args()
    recipe = read_recipe(options.name)
    if options.epochs:
        recipe["training"]["epochs"] = options.epochs

    from keras_vae import data
    from keras_vae.training import train

    parts = data.load(options.data or recipe["data"]["name"])
    training = recipe["training"]
    steps = math.ceil(len(parts.x_train) / training["batch_size"])
    folder = Path(options.out or f"runs/{options.name}")
    model = build(recipe, steps)
    train(
        model,
        parts.x_train,
        parts.x_validation,
        folder,
        epochs=training["epochs"],
        batch_size=training["batch_size"],
        seed=training["seed"],
        beta_warmup=training.get("beta_warmup", 0),
        plan=recipe,
    )
    print(f"Done. Publish it: python -m zoo.publish {options.name} --run {folder}")


if __name__ == "__main__":
    main()
