"""The command that trains a model on your own images."""

import json
from pathlib import Path
from typing import Annotated

import typer

from keras_vae.checks import LARGEST_SEED
from keras_vae.cli.base import Computing, app, complete
from keras_vae.cli.sources import report

# Those of `keras_vae.FACTORIES`, which would load Keras.
FACTORY_NAMES = ("mlp_vae", "conv_vae", "vq_vae", "tiny_autoencoder", "kl_vae", "vq_gan")


@app.command(
    cls=Computing, epilog="Example: keras-vae train --images pictures --size 64 --out my-model"
)
def train(
    source: Annotated[
        str,
        typer.Option(
            "--data",
            "--images",
            help="A folder of pictures, an .npz file with an array x_train, or a data set: mnist, "
            "fashion-mnist, binarized-mnist, cifar10.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the model; the run is kept in its run/.")],
    factory: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(FACTORY_NAMES)}.",
            autocompletion=complete(*FACTORY_NAMES),
        ),
    ] = "conv_vae",
    size: Annotated[
        str | None,
        typer.Option(
            help="Size that pictures are fitted to: 64, or HEIGHTxWIDTH. Default: their own, up to "
            "64."
        ),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(min=1, max=4, help="1 grey, 3 colour, 4 with opacity. Default: their own."),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Passes over the images. Default: 20; for few images, 3,000 steps."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images per step. Default: 128; 32 for fewer than 10,000 images."),
    ] = None,
    learning_rate: Annotated[float, typer.Option(min=0, help="Learning rate of Adam.")] = 1e-3,
    latent_dim: Annotated[int | None, typer.Option(help="Default: the factory's.")] = None,
    likelihood: Annotated[
        str | None,
        typer.Option(
            help="bernoulli, gaussian or learned_gaussian. Default: the factory's; "
            "learned_gaussian for pictures."
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

    The model saved is that of the epoch with the lowest val_loss, measured on the sixth of the
    images that is held out. Every epoch is kept: if you stop the run (Ctrl-C), the same command
    resumes it.
    """
    named = {"latent_dim": latent_dim, "likelihood": likelihood, "beta": beta}
    arguments = {key: value for key, value in named.items() if value is not None}
    arguments |= dict(map(_parse_setting, settings or ()))

    from keras_vae import data, hub, training

    name = data.find(source)
    if name is None and Path(source).is_dir():
        parts = _read_pictures(source, size, channels)
    elif size or channels:
        raise typer.BadParameter("--size and --channels are for a folder of pictures.")
    else:
        parts = data.load(source)
    recipe = training.default_recipe(
        parts,
        name,
        factory=factory,
        arguments=arguments,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
    )
    run = out / "run"
    try:
        model, history = training.follow(recipe, parts, run)
    except KeyboardInterrupt:
        kept = f"Interrupted. The last finished epoch is kept in {run.resolve()}"
        typer.echo(f"{kept}\nRun the same command again to resume.", err=True)
        raise typer.Exit(130) from None
    hub.save_to_folder(model, out)
    best = training.best_epoch(history)
    typer.echo(f"Saved the model of epoch {best['epoch']}: val_loss {best['val_loss']:.2f}.")
    typer.echo("Load it in Python:")
    typer.echo(f"keras_vae.load({json.dumps(str(out.resolve()), ensure_ascii=False)})")


def _read_pictures(folder, size, channels):
    from keras_vae import data, progress
    from keras_vae.data.pictures import check_size

    size = None if size is None else check_size(size)
    with progress.bar("Reading pictures") as read:
        parts, refused = data.from_pictures(folder, size, channels, read)
    report(refused)
    n = len(parts.x_train) + len(parts.x_validation)
    height, width, channels = parts.x_train.shape[1:]
    typer.echo(f"{n} pictures of {height} x {width}, {channels} channels; {len(refused)} left out.")
    return parts


def _parse_setting(text):
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise typer.BadParameter(f"--set takes KEY=VALUE, such as hidden_units='[64]'. Got: {text}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
