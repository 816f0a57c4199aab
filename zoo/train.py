"""Makes a model from its recipe: python -m zoo.train NAME [--data FILE.npz] [--out FOLDER].

The table [training] is the first stage of a recipe. Others go on from what the one before made,
each with an optimizer and a schedule of its own, in the run's folder of their name:

- [refinement] trains all of the model on.
- [prior] trains the prior over the codes alone, with everything else as it is; the model before
  it has the uniform prior.

A stage's `arguments` are added to those of the model there: objectives may differ by stage. The
learning rate falls along a cosine to `decay_to` of itself, which is 0 unless the stage says so.
With `average`, what comes of a stage is the exponential moving average of its weights, of that
decay a step.
"""

import argparse
import json
import math
import tomllib
from pathlib import Path

RECIPES = Path(__file__).parent / "recipes"
STAGES = ("training", "refinement", "prior")


def read_recipe(name: str) -> dict:
    """Returns the recipe `zoo/recipes/<name>.toml`."""
    names = sorted(path.stem for path in RECIPES.glob("*.toml"))
    if name not in names:
        raise SystemExit(f"No recipe {name!r}. Available: {', '.join(names)}")
    return tomllib.loads((RECIPES / f"{name}.toml").read_text())


def stages(recipe: dict) -> list:
    """Returns the names of a recipe's stages, in their order."""
    return [name for name in STAGES if name in recipe]


def build(recipe: dict, name: str = "training", before=None, steps_per_epoch: int = 1):
    """Returns the model of a stage, compiled with optimizer and schedule.

    Args:
        recipe: as `read_recipe` returns it.
        name: of the stage. Defaults to `"training"`, the first.
        before: the model that the stage before made; None for the first.
        steps_per_epoch: batches in an epoch, for the schedule. Defaults to 1.
    """
    stage, arguments = recipe[name], dict(recipe["model"]["arguments"])
    arguments |= stage.get("arguments", {})
    if name == "prior":
        arguments["codebook_update"] = "fixed"
    elif "prior" in recipe:
        del arguments["prior"]
    model = _compiled(recipe, stage, arguments, steps_per_epoch)
    if name == "refinement":
        model.set_weights(before.get_weights())
    if name == "prior":
        _fix(model, before)
    return model


def finished(recipe: dict, run: Path):
    """Returns the model that a finished run made, and the histories of its stages."""
    model, history = None, []
    for name in stages(recipe):
        model, more = _restored(build(recipe, name, model), recipe[name], _folder(run, name))
        history += more
    return model, history


def _folder(run, name):
    return run if name == "training" else run / name


def _fix(model, before):
    """Gives a model all but the prior over codes of the one before, not to be trained."""
    for name in ("encoder", "decoder", "likelihood"):
        part = getattr(model, name)
        if hasattr(part, "set_weights"):  # a likelihood has some only if it learns its scale
            part.set_weights(getattr(before, name).get_weights())
            part.trainable = False
    model.latent.anchor.assign(before.latent.codebook)
    model.latent.frequency.assign(before.latent.frequency)


def _compiled(recipe, stage, arguments, steps_per_epoch):
    import keras

    from keras_vae import hub

    keras.utils.set_random_seed(stage["seed"])
    model = hub.build(recipe["model"]["factory"], arguments)
    rate = keras.optimizers.schedules.CosineDecay(
        stage["learning_rate"], stage["epochs"] * steps_per_epoch, alpha=stage.get("decay_to", 0.0)
    )
    average = stage.get("average")
    averaged = {"use_ema": True, "ema_momentum": average} if average else {}
    model.compile(keras.optimizers.Adam(rate, **averaged))
    return model


def _restored(model, stage, run):
    from keras_vae.training import finish

    state = json.loads((run / "state.json").read_text())
    if len(state["history"]) != stage["epochs"]:
        raise SystemExit(f"{run} is not finished: {len(state['history'])} epochs")
    model.optimizer.build(model.trainable_variables)
    model.load_weights(run / state["checkpoint"])
    finish(model)
    return model, state["history"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="name of a recipe in zoo/recipes")
    parser.add_argument("--data", help="an .npz of the recipe's data set, to do without TFDS")
    parser.add_argument("--out", help="folder of the run (default: runs/NAME); a run there goes on")
    parser.add_argument("--epochs", type=int, help="stop after fewer epochs, to try things out")
    options = parser.parse_args()
    recipe = read_recipe(options.name)
    for name in stages(recipe):
        recipe[name]["epochs"] = options.epochs or recipe[name]["epochs"]

    from keras_vae import data
    from keras_vae.training import train

    parts = data.load(options.data or recipe["data"]["name"])
    folder = Path(options.out or f"runs/{options.name}")
    model = None
    for name in stages(recipe):
        stage = recipe[name]
        steps = math.ceil(len(parts.x_train) / stage["batch_size"])
        model = build(recipe, name, model, steps)
        train(
            model,
            parts.x_train,
            parts.x_validation,
            _folder(folder, name),
            epochs=stage["epochs"],
            batch_size=stage["batch_size"],
            seed=stage["seed"],
            beta_warmup=stage.get("beta_warmup", 0),
            plan=recipe,
        )
    print(f"Done. Publish it: python -m zoo.publish {options.name} --run {folder}")


if __name__ == "__main__":
    main()
