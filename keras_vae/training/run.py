"""A training run in a folder: it is saved as it goes, and an interrupted run resumes."""

import math
from pathlib import Path

import keras

from keras_vae.backends import processes
from keras_vae.callbacks import Ramp, SkipSteps
from keras_vae.checks import check_number, check_seed, check_whole
from keras_vae.locks import locked
from keras_vae.training import defaults
from keras_vae.training.checkpoints import (
    BEST,
    Checkpoints,
    build_optimizer,
    epochs_done,
    is_stalled,
    read_checkpoint,
    remove_partial,
    restore_checkpoint,
    resume,
)
from keras_vae.training.checkpoints import best_epoch as best_epoch
from keras_vae.training.feeding import (
    CheckedSource,
    check_examples,
    epochs_of_batches,
    own_errors,
    validation_data,
)
from keras_vae.training.progress import Progress

_VALIDATION_BATCH = 500


def train(
    model,
    x,
    x_validation,
    folder,
    *,
    epochs=None,
    batch_size=None,
    seed=0,
    beta_warmup=0,
    keep_best=False,
    keep_start=False,
    patience=0,
    variants=1,
    skip_above=None,
    save_minutes=10,
    plan=None,
):
    """Trains a compiled model, saving it as it goes, and resumes from where it was saved last.

    It is saved after each epoch and, in long ones, every ten minutes. The order of the examples
    depends on `seed` and the epoch only, and the noise is saved, so a resumed run equals an
    uninterrupted one. A finished run goes on if it is given more epochs. If the optimizer
    averages the weights (`use_ema=True`), the averaged weights are validated, and the model ends up
    with them.

    Args:
        model: a compiled `keras_vae.VAE`.
        x: training data `(n, *data_shape)`, or `(variants * n, *data_shape)`. Or a source, as
            `keras_vae.data.Source` takes it, whose examples are read as they are needed, in the
            same order: of these, 1,000 are checked at once, and the others when they are read.
        x_validation: validation data or such a source, or None.
        folder: where the checkpoint and `state.json` are written; created if necessary.
        epochs: passes over `x`. Defaults to None, as many as `schedule` says.
        batch_size: examples per step. Defaults to None, as `schedule` says.
        seed: whole number. Defaults to 0.
        beta_warmup: epochs over which beta rises linearly to the model's. Defaults to 0.
        keep_best: whether the model ends up with the weights of the epoch with the lowest
            `val_loss`, instead of the last ones. Needs validation data. Defaults to False.
        keep_start: whether the model as it is given is saved as epoch 0, and may be the best one.
            Needs validation data. Defaults to False.
        patience: epochs without a lower `val_loss` after which the run stops. Needs validation
            data. Defaults to 0: it does not stop.
        variants: how many variants of each example `x` holds, as `keras_vae.data.variants` makes
            them; an epoch takes one of each. Not for a source. Defaults to 1.
        skip_above: norm of the gradient above which a step is left out, as by
            `keras_vae.callbacks.SkipSteps`. Defaults to None: no step is.
        save_minutes: after how many minutes an epoch that still goes on is saved. Defaults to 10.
        plan: anything JSON that identifies the run; a folder with another plan is refused.

    Returns:
        The history: a list with a dict of logs for each epoch.

    Raises:
        OSError: if a source cannot be read.
        ValueError: if the data is not what the model takes, the model is not built or not compiled,
            `keep_best` lacks validation data, the folder holds a run of another plan, or several
            processes train together, which `fit` is for.
    """
    model.check_built()
    if processes() > 1:
        raise ValueError(
            f"train keeps its run in one folder, which the {processes()} processes of a training "
            "run cannot share. Call model.fit in each of them."
        )
    if not model.compiled:
        raise ValueError(
            "The model is not compiled: call model.compile(optimizer) before training.train."
        )
    check_whole("patience", patience, 0)
    seed = check_seed(check_whole("seed", seed, 0))
    if (keep_best or keep_start or patience) and x_validation is None:
        raise ValueError(
            "keep_best, keep_start and patience compare the val_loss of epochs, which needs "
            "validation data: give x_validation, or leave them out."
        )
    check_number("save_minutes", save_minutes, 0)
    # All of an array, here: `fit` sees batches drawn from it, and checks only the first.
    x = check_examples(x, model, "x_train")
    if x_validation is not None:
        x_validation = check_examples(x_validation, model, "x_validation")
    if variants != 1 and isinstance(x, CheckedSource):
        raise ValueError(
            "Variants are made in memory, of arrays: x_train is a source, so variants must be 1. "
            f"Received: variants={variants}"
        )
    n = len(x) // check_whole("variants", variants, 1)
    epochs, batch_size = defaults.schedule(n, epochs, batch_size)
    folder = Path(folder)
    with locked(folder):
        # Not the number of epochs, nor patience: a run may go on for longer than was planned.
        plan = {"batch_size": batch_size, "seed": seed, "n": n, "run": plan}
        remove_partial(folder)
        history, unfinished = resume(model, folder, plan)
        if keep_best and epochs_done(history):
            read_checkpoint(model, folder / BEST)  # else it would be missed after the last epoch
        checkpoints = Checkpoints(
            folder, plan, history, unfinished, seed, keep_best, patience, save_minutes
        )
        if keep_start and not history:
            build_optimizer(model)
            checkpoints.set_model(model)
            with own_errors(x_validation):
                checkpoints.keep_start(validation_data(x_validation, _VALIDATION_BATCH))
        if epochs_done(history) < epochs and not is_stalled(history, patience):
            own = [Ramp("beta", beta_warmup)]
            if skip_above is not None:
                own.append(SkipSteps(skip_above))
            batches = {"batch_size": batch_size, "seed": seed, "variants": variants}
            with own_errors(x, x_validation):
                _fit(model, x, x_validation, checkpoints, epochs, own, n, batches)
        if keep_best:
            restore_checkpoint(model, folder / BEST)
        apply_average(model)
    return history


def apply_average(model):
    """Gives a model the averaged weights, if its optimizer keeps an average (`use_ema=True`)."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # of loss scaling
    # Before the first step Keras's average is zero: the result is the start itself.
    if int(keras.ops.convert_to_numpy(optimizer.iterations)):
        model.optimizer.finalize_variable_values(model.trainable_variables)


def _fit(model, x, x_validation, checkpoints, epochs, own, n, batches):
    steps, held_out = math.ceil(n / batches["batch_size"]), None
    if x_validation is not None:
        held_out = validation_data(x_validation, _VALIDATION_BATCH), None
    # Validation is of the average, as that is the result.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # of loss scaling
    average = [keras.callbacks.SwapEMAWeights()] if optimizer.use_ema else []
    with Progress(epochs, steps, checkpoints) as progress:

        def fit(to_epoch):
            done, skip = epochs_done(checkpoints.history), checkpoints.first_step
            model.fit(
                epochs_of_batches(x, epochs=range(done, to_epoch), skip=skip, **batches),
                steps_per_epoch=steps - skip,
                initial_epoch=done,
                epochs=to_epoch,
                shuffle=False,
                validation_data=held_out,
                validation_batch_size=None if held_out is None else _VALIDATION_BATCH,
                verbose=0,
                callbacks=[*own, *average, checkpoints, progress],
            )

        if checkpoints.first_step:
            fit(epochs_done(checkpoints.history) + 1)  # the rest of an epoch
        # One `fit` for all epochs: at the end of each `fit`, TensorFlow may wait for the thread
        # that tunes its input pipeline, about as long as the epoch took.
        history = checkpoints.history
        if epochs_done(history) < epochs and not is_stalled(history, checkpoints.patience):
            fit(epochs)
