"""The command that trains a model on one's own images."""

import hashlib
import json
import math
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from keras_vae.checks import LARGEST_SEED
from keras_vae.cli.base import app
from keras_vae.cli.sources import report


@app.command(epilog="Example: keras-vae train --images pictures --size 64 --out my-model")
def train(
    source: Annotated[
        str,
        typer.Option(
            "--data",
            "--images",
            help="A folder of pictures, an .npz with an array x_train, mnist or fashion-mnist.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the model; the run is kept in its run/.")],
    factory: Annotated[str, typer.Option(help="mlp_vae, conv_vae or vq_vae.")] = "conv_vae",
    size: Annotated[
        str | None,
        typer.Option(
            help="What pictures are made: 64, or HEIGHTxWIDTH. Default: theirs, up to 64."
        ),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(min=1, max=4, help="1 grey, 3 colour, 4 with opacity. Default: theirs."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the images. Default: 20; of few, for 3,000 steps."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images per step. Default: 128; 32 of under 10,000.")
    ] = None,
    learning_rate: Annotated[float, typer.Option(min=0, help="Adam's.")] = 1e-3,
    latent_dim: Annotated[int | None, typer.Option(help="Default: the factory's.")] = None,
    likelihood: Annotated[
        str | None,
        typer.Option(
            help="bernoulli, gaussian or learned_gaussian. Default: the factory's; of pictures "
            "learned_gaussian."
        ),
    ] = None,
    beta: Annotated[float, typer.Option(min=0, help="Weight of the rate in the loss.")] = 1.0,
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST_SEED, help="Fixes weights, shuffling and noise.")
    ] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another argument of the factory, as JSON: --set filters='[16, 32]'. Repeatable.",
        ),
    ] = None,
):
    """Trains a model on your images and saves it where keras_vae.load finds it.

    What is saved is the model of the epoch with the lowest val_loss, on the sixth of the images
    that is not trained on. Every epoch is kept: stopped (Ctrl-C) and given again, the same command
    goes on where it was.
    """
    named = {"latent_dim": latent_dim, "likelihood": likelihood, "beta": beta}
    arguments = {key: value for key, value in named.items() if value is not None}
    arguments |= dict(map(_setting, settings or ()))

    import keras

    from keras_vae import data, hub, training

    pictures = source not in data.DATASETS and Path(source).is_dir()
    if pictures:
        parts = _read_pictures(source, size, channels)
        if factory != "vq_vae":  # whose likelihood is a Gaussian as it is
            arguments = {"likelihood": "learned_gaussian", **arguments}
    elif size or channels:
        raise typer.BadParameter("--size and --channels are for a folder of pictures.")
    else:
        parts = data.load(source)
    arguments = {"input_shape": list(parts.x_train.shape[1:]), **arguments}
    keras.utils.set_random_seed(seed)
    model = hub.build(factory, arguments)
    model.compile(keras.optimizers.Adam(learning_rate))
    plan = {
        "factory": factory,
        "arguments": arguments,
        "learning_rate": learning_rate,
        "data": source if source in data.DATASETS else _digest(parts),
    }
    run = out / "run"
    n = len(parts.x_train)
    batch_size = batch_size or (128 if n >= 10_000 else 32)
    epochs = epochs or max(20, math.ceil(3000 / math.ceil(n / batch_size)))
    options = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "plan": plan}
    try:
        history = training.train(
            model, parts.x_train, parts.x_validation, run, keep_best=True, **options
        )
    except KeyboardInterrupt:
        kept = f"Interrupted. The last finished epoch is kept in {run.resolve()}"
        typer.echo(f"{kept}\nGive the same command again to go on from there.", err=True)
        raise typer.Exit(130) from None
    hub.save_to_folder(model, out)
    best = training.best_epoch(history)
    typer.echo(f"Saved as it was after epoch {best['epoch']}: val_loss {best['val_loss']:.2f}.")
    typer.echo("Load it in Python:")
    typer.echo(f"keras_vae.load({json.dumps(str(out.resolve()), ensure_ascii=False)})")


def _read_pictures(folder, size, channels):
    from keras_vae import data, pictures, progress

    size = None if size is None else pictures.check_size(size)
    with progress.bar("Reading pictures") as read:
        parts, refused = data.from_pictures(folder, size, channels, read)
    report(refused)
    n = len(parts.x_train) + len(parts.x_validation)
    height, width, channels = parts.x_train.shape[1:]
    typer.echo(f"{n} pictures of {height} x {width}, {channels} channels; {len(refused)} left out.")
    return parts


def _digest(parts):
    """What tells one's own data from other data, for a run that is taken up again."""
    digest = hashlib.sha256(str(parts.x_train.shape).encode())
    for x in (parts.x_train, parts.x_validation):
        digest.update(np.ascontiguousarray(x))
    return digest.hexdigest()


def _setting(text):
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise typer.BadParameter(f"--set takes KEY=VALUE, such as hidden_units='[64]'. Got: {text}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
