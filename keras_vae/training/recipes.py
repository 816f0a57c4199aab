"""Recipes: how a model is made, in stages, as plain data (the zoo's are toml files).

A recipe has the tables `model` (`factory`, `arguments`), `data` and one for each stage, with
`epochs`, `batch_size`, `learning_rate` and `seed`. `training` is the first stage. The others
continue from the model that the stage before made, each with an optimizer of its own:

- `refinement` trains the whole model further.
- `prior` trains the prior over the codes and nothing else; until then the prior is uniform.

A stage may also have

- `arguments`: factory arguments that replace the model's in this stage, such as its objective;
- `optimizer`: `"adam"` (default) or `"adamax"`;
- `clip`: the norm that all gradients together are scaled down to (default: none);
- `skip_above`: the norm above which a step is left out, before it is clipped (default: none);
- `warmup`: steps over which the learning rate rises from 0 (default: 0);
- `decay_to`: from there it falls along a cosine to this fraction of itself (default: 0);
- `beta_warmup`: epochs over which beta rises (default: 0);
- `average`: decay per step of an exponential moving average of the weights, which is the result;
- `keep_best`: whether the result is the epoch with the lowest `val_loss` (default: the last);
- `patience`: epochs without a lower `val_loss` after which the stage stops (default: 0, it does
  not);
- `shifts`, `flips`: variants of the training images, as `keras_vae.data.variants` makes them
  (default: none).

Where a stage's learning rate is constant (`decay_to = 1`), a run with other `epochs` goes on from
what there is, if the next stage has not begun. A `conv_vae` with `linear` begins at the components
that `fit_linear` finds.
"""

import math
from pathlib import Path

import keras

from keras_vae import factories
from keras_vae.backends import devices as count_devices
from keras_vae.backends import on_devices
from keras_vae.checks import check_whole
from keras_vae.data.variants import check_variants, count_variants, variants
from keras_vae.training import checkpoints
from keras_vae.training.linear import fit_linear, has_linear
from keras_vae.training.run import apply_average, train
from keras_vae.training.stage_checks import OPTIMIZERS, stages


def follow(recipe: dict, data, folder, *, devices=None, save_minutes=10):
    """Makes the model of a recipe; what is already in the folder is resumed.

    Args:
        recipe: the recipe.
        data: a `keras_vae.data.Data`, of which the training and validation images are used: arrays,
            or sources that read them as they are needed (which have no `shifts` and `flips`).
        folder: the run's folder; stages after the first have folders of their own in it.
        devices: how many devices of this machine share each batch, on TensorFlow and JAX. Their
            number changes the result by rounding only, and a run may be resumed with another one.
            Defaults to None, one (or what a strategy or distribution of yours says).
        save_minutes: after how many minutes an epoch that still goes on is saved. Defaults to 10.

    Returns:
        The model, and the history: a dict of logs for each epoch of all stages. With several
        devices, a new model on one of them, of the same weights.

    Raises:
        ValueError: if the data is not what the model takes, the folder holds another run, there
            are not so many devices, or they do not divide a batch size.
    """
    check_devices(devices, *[recipe[name]["batch_size"] for name in stages(recipe)])
    if devices in (None, 1):
        return _train_stages(recipe, data, folder, save_minutes)
    with on_devices(devices):
        _train_stages(recipe, data, folder, save_minutes)
    return restore(recipe, folder)


def check_devices(devices, *batch_sizes):
    """Raises ValueError if there are not so many devices, or they do not divide a batch size."""
    if devices is None or check_whole("devices", devices, 1) == 1:
        return
    if keras.backend.backend() == "torch":
        raise ValueError(
            "On PyTorch a process trains on one device: start a process for each with torchrun, as "
            "the README shows, and call fit in each. JAX and TensorFlow use several in one. "
            f"Received: devices={devices}"
        )
    if devices > count_devices():
        raise ValueError(
            f"devices must be at most {count_devices()}, as many as {keras.backend.backend()} "
            f"finds on this machine. Received: {devices}"
        )
    for size in batch_sizes:
        if size % devices:
            raise ValueError(
                f"{devices} devices share each batch, so {devices} must divide batch_size. "
                f"Received: batch_size={size}"
            )


def _train_stages(recipe, data, folder, save_minutes):
    model, history = None, []
    for name in stages(recipe):  # all of them before the first is trained
        if checkpoints.has_state(run := _folder(folder, name)):
            _check_plan(recipe, name, run, checkpoints.read_state(run))
    for name in stages(recipe):
        stage = recipe[name]
        steps = math.ceil(len(data.x_train) / stage["batch_size"])
        model = build_stage(recipe, name, model, steps)
        run, x, count = _folder(folder, name), data.x_train, 1
        if stage.get("shifts") or stage.get("flips"):
            check_variants(x)
            count = count_variants(len(x))
            options = {"shifts": stage.get("shifts", 0), "flips": stage.get("flips", False)}
            x = variants(x, count, **options, seed=stage["seed"])
        if has_linear(model) and name == "training" and not checkpoints.has_state(run):
            fit_linear(model, x, data.x_validation)
        history += train(
            model,
            x,
            data.x_validation,
            run,
            epochs=stage["epochs"],
            batch_size=stage["batch_size"],
            seed=stage["seed"],
            beta_warmup=stage.get("beta_warmup", 0),
            keep_best=stage.get("keep_best", False),
            keep_start=has_linear(model) and stage.get("keep_best", False),
            patience=stage.get("patience", 0),
            variants=count,
            skip_above=stage.get("skip_above"),
            save_minutes=save_minutes,
            plan=_plan(recipe, name),
        )
    return model, history


def restore(recipe: dict, folder, *, unfinished=False):
    """Returns the model that a finished run made, and its history, as `follow` does.

    Args:
        recipe: the recipe.
        folder: the run's folder.
        unfinished: whether the last stage may have fewer epochs than the recipe asks for. Defaults
            to False.

    Raises:
        ValueError: if the run is not finished, or was made by another recipe.
    """
    model, history = None, []
    for name in stages(recipe):
        stage, run = recipe[name], _folder(folder, name)
        state = checkpoints.read_state(run)
        done = checkpoints.epochs_done(state["history"])
        stalled = checkpoints.is_stalled(state["history"], stage.get("patience", 0))
        if done < stage["epochs"] and not (stalled or unfinished):
            raise ValueError(f"{run} is not finished: {done} epochs")
        _check_plan(recipe, name, run, state)
        model = build_stage(recipe, name, model)
        best = stage.get("keep_best") and state["history"]  # not if the first epoch is unfinished
        kept = checkpoints.BEST if best else state["checkpoint"]
        checkpoints.restore_checkpoint(model, run / kept)
        apply_average(model)
        history += state["history"]
    return model, history


def build_stage(recipe: dict, name: str = "training", before=None, steps_per_epoch: int = 1):
    """Returns the model of a stage before its training, compiled with optimizer and schedule.

    Args:
        recipe: the recipe.
        name: name of the stage. Defaults to `"training"`, the first.
        before: the model of the stage before; None for the first.
        steps_per_epoch: batches per epoch, for the schedule. Defaults to 1.
    """
    stage = recipe[name]
    arguments = {**_arguments(recipe, name), **stage.get("arguments", {})}
    keras.utils.set_random_seed(stage["seed"])
    model = factories.build(recipe["model"]["factory"], arguments)
    if name == "refinement":
        model.set_weights(before.get_weights())
    if name == "prior":
        _freeze_all_but_prior(model, before)
    model.compile(_optimizer(stage, steps_per_epoch))
    return model


def _optimizer(stage, steps_per_epoch):
    warmup = stage.get("warmup", 0)
    rising = {"warmup_steps": warmup, "warmup_target": stage["learning_rate"]} if warmup else {}
    rate = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else stage["learning_rate"],
        max(1, stage["epochs"] * steps_per_epoch - warmup),
        alpha=stage.get("decay_to", 0.0),
        **rising,
    )
    average = stage.get("average")
    ema = {"use_ema": True, "ema_momentum": average} if average else {}
    return OPTIMIZERS[stage.get("optimizer", "adam")](
        rate, global_clipnorm=stage.get("clip"), **ema
    )


def _freeze_all_but_prior(model, before):
    """Copies everything but the prior from another model, and freezes it."""
    for name in ("encoder", "decoder", "likelihood"):
        part = getattr(model, name)
        if hasattr(part, "set_weights"):  # a likelihood has weights only if it learns a scale
            part.set_weights(getattr(before, name).get_weights())
            part.trainable = False
    for ours, theirs in zip(_codes(model.latent), _codes(before.latent), strict=True):
        ours.assign(theirs)
    model.latent.trainable = False
    model.latent.prior.trainable = True


def _codes(latent):
    """The variables of a latent that are not its prior's."""
    of_prior = {id(variable) for variable in latent.prior.weights} if latent.prior else set()
    return [variable for variable in latent.weights if id(variable) not in of_prior]


def _plan(recipe, name):
    """What must not change in the run of a stage: the model, the data and the stages up to it.

    How long the stage itself is may change if its learning rate is constant, since it goes on. The
    stages before it may not: it began with what they made.
    """
    order = stages(recipe)
    known = ("data", *order[: order.index(name)])
    plan = {key: recipe[key] for key in known if key in recipe}
    plan["model"] = {**recipe["model"], "arguments": _arguments(recipe, name)}
    free = ("epochs", "patience") if recipe[name].get("decay_to", 0) == 1 else ()
    plan[name] = {key: value for key, value in recipe[name].items() if key not in free}
    return plan


def _check_plan(recipe, name, run, state):
    """Raises ValueError if the run of a stage is not that of the recipe, or went on for longer."""
    theirs = {"run": state["plan"].get("run")}
    checkpoints.check_plan(run, theirs, {"run": _plan(recipe, name)})
    done = checkpoints.epochs_done(state["history"])
    if name != stages(recipe)[-1] and done > recipe[name]["epochs"]:
        raise ValueError(
            f"{run} has {done} epochs, and the recipe asks for {recipe[name]['epochs']} before the "
            f"next stage. Give the stage {name} as many, or choose an empty folder."
        )


def _arguments(recipe, name):
    """The arguments of a stage's model: without the prior until the stage that trains it."""
    arguments = recipe["model"]["arguments"]
    if name == "prior" or "prior" not in recipe:
        return arguments
    return {key: value for key, value in arguments.items() if key != "prior"}


def _folder(run, name):
    return Path(run) if name == "training" else Path(run) / name
