"""Makes a model from its recipe: python -m zoo.train NAME [--data DATA] [--devices N].

Recipes are toml files in zoo/recipes; `keras_vae.training.recipes` says what they may hold.
"""

import argparse
import os
import tomllib
from pathlib import Path

RECIPES = Path(__file__).parent / "recipes"


def read_recipe(name: str) -> dict:
    """Returns the recipe `zoo/recipes/<name>.toml`."""
    names = sorted(path.stem for path in RECIPES.glob("*.toml"))
    if name not in names:
        raise SystemExit(f"No recipe {name!r}. Available: {', '.join(names)}")
    return tomllib.loads((RECIPES / f"{name}.toml").read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="name of a recipe in zoo/recipes")
    parser.add_argument(
        "--data", help="an .npz file, or a folder of TFRecord files, of the data set"
    )
    parser.add_argument("--out", help="folder of the run (default: runs/NAME); resumes a run there")
    parser.add_argument("--epochs", type=int, help="train each stage for fewer epochs, as a trial")
    parser.add_argument("--devices", type=int, help="GPUs that share each batch (default: one)")
    options = parser.parse_args()
    recipe = read_recipe(options.name)
    if options.devices in (None, 1):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command `keras-vae train` does

    from keras_vae import data, training

    try:
        for stage in training.stages(recipe):
            if options.epochs is not None:
                recipe[stage]["epochs"] = options.epochs
            training.check_devices(options.devices, recipe[stage]["batch_size"])
        training.stages(recipe)  # checks it again, before any data is read
        folder = Path(options.out or f"runs/{options.name}")
        images = data.load(options.data or recipe["data"]["name"])
        training.follow(recipe, images, folder, devices=options.devices)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    print(f"Done. Publish it: python -m zoo.publish {options.name} --run {folder}")


if __name__ == "__main__":
    main()
