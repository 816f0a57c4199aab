"""Makes a model from its recipe: python -m zoo.train NAME [--data FILE.npz] [--out FOLDER].

A recipe with a table [prior] has two stages: the model under the uniform prior first; then, in
the run's folder prior/, the prior over the codes alone, with everything else as it is.
"""

import argparse
import json
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


def build(recipe: dict, steps_per_epoch: int = 1):
    """Returns the model of a recipe's first stage, compiled with optimizer and schedule."""
    arguments = recipe["model"]["arguments"]
    if "prior" in recipe:
        arguments = {key: value for key, value in arguments.items() if key != "prior"}
    return _compiled(recipe, recipe["training"], arguments, steps_per_epoch)


def build_for_prior(recipe: dict, first, steps_per_epoch: int = 1):
    """Returns the model of the second stage: that of the first, fixed, and a new prior."""
    arguments = {**recipe["model"]["arguments"], "codebook_update": "fixed"}
    model = _compiled(recipe, recipe["prior"], arguments, steps_per_epoch)
    for name in ("encoder", "decoder", "likelihood"):
        part = getattr(model, name)
        if hasattr(part, "set_weights"):  # a likelihood has some only if it learns its scale
            part.set_weights(getattr(first, name).get_weights())
            part.trainable = False
    model.latent.anchor.assign(first.latent.codebook)
    model.latent.frequency.assign(first.latent.frequency)
    return model


def finished(recipe: dict, run: Path):
    """Returns the model that a finished run made, and the histories of its stages."""
    model, history = _restored(build(recipe), recipe["training"], run)
    if "prior" not in recipe:
        return model, history
    model, more = _restored(build_for_prior(recipe, model), recipe["prior"], run / "prior")
    return model, history + more


def _compiled(recipe, stage, arguments, steps_per_epoch):
    import keras

    from keras_vae import hub

    keras.utils.set_random_seed(stage["seed"])
    model = hub.build(recipe["model"]["factory"], arguments)
    rate = keras.optimizers.schedules.CosineDecay(
        stage["learning_rate"], stage["epochs"] * steps_per_epoch
    )
    model.compile(
        keras.optimizers.Adam(rate, beta_2=stage.get("adam_beta_2", 0.999)),
        jit_compile=stage.get("jit_compile", "auto"),
    )
    return model


def _restored(model, stage, run):
    state = json.loads((run / "state.json").read_text())
    if len(state["history"]) != stage["epochs"]:
        raise SystemExit(f"{run} is not finished: {len(state['history'])} epochs")
    model.optimizer.build(model.trainable_variables)
    model.load_weights(run / state["checkpoint"])
    return model, state["history"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="name of a recipe in zoo/recipes")
    parser.add_argument("--data", help="an .npz of the recipe's data set, to do without TFDS")
    parser.add_argument("--out", help="folder of the run (default: runs/NAME); a run there goes on")
    parser.add_argument("--epochs", type=int, help="stop after fewer epochs, to try things out")
    options = parser.parse_args()
    recipe = read_recipe(options.name)
    stages = [stage for stage in ("training", "prior") if stage in recipe]
    for stage in stages:
        recipe[stage]["epochs"] = options.epochs or recipe[stage]["epochs"]

    from keras_vae import data
    from keras_vae.training import train

    parts = data.load(options.data or recipe["data"]["name"])
    folder = Path(options.out or f"runs/{options.name}")
    model = None
    for name in stages:
        stage = recipe[name]
        steps = math.ceil(len(parts.x_train) / stage["batch_size"])
        model = build_for_prior(recipe, model, steps) if model else build(recipe, steps)
        train(
            model,
            parts.x_train,
            parts.x_validation,
            folder / "prior" if name == "prior" else folder,
            epochs=stage["epochs"],
            batch_size=stage["batch_size"],
            seed=stage["seed"],
            beta_warmup=stage.get("beta_warmup", 0),
            plan=recipe,
        )
    print(f"Done. Publish it: python -m zoo.publish {options.name} --run {folder}")


if __name__ == "__main__":
    main()
