"""A training run in a folder: every epoch is saved, and an interrupted run resumes."""

import math
from pathlib import Path

import keras

from keras_vae.callbacks import Ramp
from keras_vae.checks import check_data, check_whole
from keras_vae.training import defaults
from keras_vae.training.checkpoints import BEST, Checkpoints, resume
from keras_vae.training.checkpoints import best_epoch as best_epoch
from keras_vae.training.feeding import epochs_of_batches
from keras_vae.training.progress import Progress


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
    plan=None,
):
    """Trains a compiled model, saving each epoch, and resumes from the last one saved.

    The order of the examples and the noise depend on `seed` and the epoch only, so a resumed run
    equals an uninterrupted one. If the optimizer averages the weights (`use_ema=True`), the
    averaged weights are validated, and the model ends up with them.

    Args:
        model: a compiled `keras_vae.VAE`.
        x: training data `(n, *data_shape)`.
        x_validation: validation data, or None.
        folder: where the checkpoint and `state.json` are written; created if necessary.
        epochs: passes over `x`. Defaults to None, as many as `schedule` says.
        batch_size: examples per step. Defaults to None, as `schedule` says.
        seed: whole number. Defaults to 0.
        beta_warmup: epochs over which beta rises linearly to the model's. Defaults to 0.
        keep_best: whether the model ends up with the weights of the epoch with the lowest
            `val_loss`, instead of the last ones. Needs validation data. Defaults to False.
        plan: anything JSON that identifies the run; a folder with another plan is refused.

    Returns:
        The history: a list with a dict of logs for each epoch.

    Raises:
        ValueError: if the data is not what the model takes, the model is not built or not compiled,
            `keep_best` lacks validation data, or the folder holds a run of another plan.
    """
    model.check_built()
    if not model.compiled:
        raise ValueError(
            "The model is not compiled: call model.compile(optimizer) before training.train."
        )
    if keep_best and x_validation is None:
        raise ValueError(
            "keep_best=True keeps the epoch with the lowest val_loss, which needs validation data: "
            "give x_validation, or leave keep_best=False."
        )
    # All of it, here: `fit` sees batches drawn from it, and checks only the first.
    x = check_data(x, model.data_shape, model.likelihood, "x_train")
    if x_validation is not None:
        x_validation = check_data(x_validation, model.data_shape, model.likelihood, "x_validation")
    epochs, batch_size = defaults.schedule(len(x), epochs, batch_size)
    check_whole("epochs", epochs, 1)
    check_whole("batch_size", batch_size, 1)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "n": len(x), "run": plan}
    history = resume(model, folder, plan)
    if len(history) < epochs:
        checkpoints = Checkpoints(folder, plan, history, seed, keep_best)
        ramp = Ramp("beta", beta_warmup)
        _fit(model, x, x_validation, checkpoints, epochs, batch_size, seed, ramp)
    if keep_best:
        model.load_weights(folder / BEST)
    apply_average(model)
    return history


def apply_average(model):
    """Gives a model the averaged weights, if its optimizer keeps an average (`use_ema=True`)."""
    model.optimizer.finalize_variable_values(model.trainable_variables)


def _fit(model, x, x_validation, checkpoints, epochs, batch_size, seed, ramp):
    done, steps = len(checkpoints.history), math.ceil(len(x) / batch_size)
    # Validation is of the average, as that is the result.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # of loss scaling
    average = [keras.callbacks.SwapEMAWeights()] if optimizer.use_ema else []
    with Progress(epochs, steps) as progress:
        # One `fit` for all epochs: at the end of each `fit`, TensorFlow may wait for the thread
        # that tunes its input pipeline, about as long as the epoch took.
        model.fit(
            epochs_of_batches(x, batch_size, seed, range(done, epochs)),
            steps_per_epoch=steps,
            initial_epoch=done,
            epochs=epochs,
            shuffle=False,
            validation_data=None if x_validation is None else (x_validation, None),
            validation_batch_size=500,
            verbose=0,
            callbacks=[ramp, *average, checkpoints, progress],
        )
