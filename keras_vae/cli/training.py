"""The command that trains a model on your own images."""

import json
import math
import shutil
from pathlib import Path
from typing import Annotated, Literal

import typer

from keras_vae.checks import LARGEST_SEED
from keras_vae.cli import interrupts
from keras_vae.cli.base import Computing, app, complete, counted, load_tensorflow
from keras_vae.cli.sources import Channels, FittedSize, report

# Those of `keras_vae.FACTORIES`, which would load Keras.
FACTORY_NAMES = (
    *("mlp_vae", "conv_vae", "vq_vae", "ladder_vae"),
    *("tiny_autoencoder", "kl_vae", "vq_gan"),
)
# Those of `keras_vae.likelihoods.LIKELIHOODS`, as well.
LIKELIHOOD_NAMES = (
    *("bernoulli", "gaussian", "learned_gaussian", "image_gaussian", "pixel_gaussian"),
    *("laplace", "student_t", "discretised_logistic", "logistic_mixture", "categorical"),
    *("poisson", "negative_binomial"),
)
# Those of `keras_vae.training.defaults.QUALITIES`.
Quality = Literal["fast", "best"]


@app.command(
    cls=Computing, epilog="Example: keras-vae train --images pictures --size 64 --out my-model"
)
def train(
    source: Annotated[
        str,
        typer.Option(
            "--data",
            "--images",
            help="A folder of pictures, one of TFRecord files as pack writes them, an .npz file "
            "with an array x_train, or a data set such as mnist or cifar10.",
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
    quality: Annotated[
        Quality,
        typer.Option(
            help="fast: minutes. best: three times as many epochs of a slower network; of pictures "
            "the latents lie on a map, which keeps far more detail, and their bits per dimension "
            "are reported."
        ),
    ] = "fast",
    size: FittedSize = None,
    channels: Channels = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Passes over the images, at most. Default: 20; for few images, 3,000 steps; three "
            "times as many for the best quality.",
        ),
    ] = None,
    patience: Annotated[
        int,
        typer.Option(min=0, help="Epochs without a lower val_loss before it stops; 0: never."),
    ] = 10,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images per step. Default: 128; 32 for fewer than 10,000 images."),
    ] = None,
    learning_rate: Annotated[float, typer.Option(min=0, help="Learning rate of Adam.")] = 1e-3,
    latent_dim: Annotated[int | None, typer.Option(help="Default: the factory's.")] = None,
    likelihood: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(LIKELIHOOD_NAMES)}. Default: the factory's; "
            "for pictures learned_gaussian, or with --quality best logistic_mixture.",
            autocompletion=complete(*LIKELIHOOD_NAMES),
        ),
    ] = None,
    beta: Annotated[
        float | None, typer.Option(min=0, help="Weight of the rate in the loss. Default: 1.")
    ] = None,
    shifts: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Pixels by which images are shifted at random. Default: a 16th of the size of "
            "pictures, if there are up to 10,000.",
        ),
    ] = None,
    flips: Annotated[
        bool, typer.Option("--flips", help="Train on mirror images, too, left to right.")
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST_SEED, help="Fixes weights, shuffling and noise.")
    ] = 0,
    devices: Annotated[
        int | None,
        typer.Option(
            min=1, help="GPUs that share each batch, on TensorFlow and JAX. Default: one."
        ),
    ] = None,
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
    images that is held out (10,000 at most of TFRecord files). The run is kept after every epoch
    and every ten minutes: if you stop it (Ctrl-C), the best epoch so far is saved, and the same
    command goes on, as it does with another --epochs. Images in TFRecord files may take more than
    memory: all are read once to check them, and then as they are needed.
    """
    named = {"latent_dim": latent_dim, "likelihood": likelihood, "beta": beta}
    arguments = {key: value for key, value in named.items() if value is not None}
    for key, value in map(_parse_setting, settings or ()):
        if key in arguments:
            raise typer.BadParameter(f"{key} is given twice.")
        arguments[key] = value
    arguments.setdefault("beta", 1.0)

    from keras_vae import data, factories, likelihoods, registry, training
    from keras_vae.data.shards import find_shards
    from keras_vae.files import check_writable
    from keras_vae.layouts import check_own
    from keras_vae.locks import locked

    # All that can be wrong is refused before any image is read.
    factories.check(factory, arguments)
    likelihoods.get(arguments.get("likelihood", "bernoulli"))
    training.check_devices(devices, *filter(None, [batch_size]))
    name, path = data.find(source), Path(source)
    pictures = name is None and path.is_dir() and not find_shards(path)
    if not pictures and (size or channels):
        raise typer.BadParameter("--size and --channels are for a folder of pictures.")
    if name is not None and path.exists():
        typer.echo(f"Using the data set {source}. For the path, pass ./{source}", err=True)
    if str(out) in registry.entries():
        raise typer.BadParameter(
            f"{out} is the name of a published model, which commands would take instead. Choose "
            f"another --out, such as runs/{out}."
        )
    check_own(out)
    check_writable(out / "run" / "state.json")
    load_tensorflow()  # by Keras, to set its seed, or for a data set
    with locked(out):
        for staged in out.glob(".saving-*"):  # of a process that was killed
            shutil.rmtree(staged, ignore_errors=True)
        if pictures:
            shape = _shape_of_pictures(path, size, channels)
        else:
            shape = data.DATASETS[name].shape if name else None
        if shape:
            factories.build(factory, {"input_shape": shape, **arguments})
        parts = _read_pictures(path, shape) if pictures else data.load(source)
        recipe = training.default_recipe(
            parts,
            name,
            factory=factory,
            arguments=arguments,
            quality=quality,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            patience=patience,
            shifts=shifts,
            flips=flips,
            seed=seed,
        )
        run = out / "run"
        _record_source(run, parts.x_train)
        with interrupts.grace(60):  # for the saving
            try:
                with interrupts.grace(5):
                    model, history = training.follow(recipe, parts, run, devices=devices)
                _save(model, history, parts, out)
            except KeyboardInterrupt:
                _save_interrupted(recipe, parts, out)
                raise typer.Exit(interrupts.CODE) from None
    _report_quality(model, parts)
    typer.echo("Load it in Python:")
    typer.echo(f"keras_vae.load({json.dumps(str(out.resolve()), ensure_ascii=False)})")


def _record_source(run, x):
    """Reads all images of a source once, before a run begins: notes each, and checks its record."""
    from keras_vae import progress, training
    from keras_vae.data import Source
    from keras_vae.training import seen

    if not isinstance(x, Source) or (training.has_state(run) and training.trained_on(run)):
        return
    run.mkdir(parents=True, exist_ok=True)
    with progress.bar("Reading all images once") as read:
        seen.record(run, x, read)


def _save(model, history, parts, out):
    from keras_vae import hub, training
    from keras_vae.data import Source
    from keras_vae.training import seen

    hub.save_to_folder(model, out)
    if not isinstance(parts.x_train, Source):
        seen.record(out / "run", parts.x_train)
    if not history:
        typer.echo("Saved the model as it is in its first epoch.")
        return
    best = training.best_epoch(history)
    typer.echo(
        f"Saved the model of epoch {best['epoch']} of {history[-1]['epoch']}: "
        f"val_loss {best['val_loss']:.2f}."
    )


def _save_interrupted(recipe, parts, out):
    """Saves the best epoch so far, if there is one."""
    from keras_vae import training

    run = out / "run"
    if not training.has_state(run):
        typer.echo("Interrupted before the run was first saved: nothing is kept.", err=True)
        return
    _save(*training.restore(recipe, run, unfinished=True), parts, out)
    typer.echo(
        f"Interrupted. {training.place_of(run)} is kept in {run.resolve()}\n"
        "Run the same command again to resume.",
        err=True,
    )


def _report_quality(model, parts):
    """Says how well held-out images are reconstructed, and how well PCA would do it.

    Of levels it also says how many bits they take.
    """
    from keras_vae.training.components import psnr, psnr_of_components
    from keras_vae.training.linear import measured

    x, read, bits = measured(parts.x_validation), model.likelihood.read, ""
    if model.likelihood.observes == "levels" and not model.latent.no_bound:
        nats = -float(model.elbo(x, seed=0).mean(dtype="float64"))
        number = model.likelihood.bits_per_dim(nats, math.prod(x.shape[1:]))
        bits = f"; {number:.2f} bits per dimension (ELBO)"
    codes = model.encode(x)
    ours = psnr(read(x) - model.decode(codes))
    pca, count = psnr_of_components(parts.x_train, x, read, math.prod(codes.shape[1:]))
    typer.echo(
        f"{counted(len(x), 'held-out image')}: reconstructed at {ours:.2f} dB from "
        f"{counted(codes[0].size, 'number')} each{bits}; PCA with {counted(count, 'component')}: "
        f"{pca:.2f} dB."
    )


def _shape_of_pictures(folder, size, channels):
    from keras_vae.data.pictures import check_size, shape_of_folder

    return shape_of_folder(folder, None if size is None else check_size(size), channels)


def _read_pictures(folder, shape):
    from keras_vae import data, progress

    with progress.bar("Reading pictures") as read:
        parts, left = data.from_pictures(folder, shape[:2], shape[2], read)
    report(left)
    n = len(parts.x_train) + len(parts.x_validation)
    height, width, channels = shape
    of = counted(channels, "channel")
    typer.echo(f"{counted(n, 'picture')} of {height} x {width}, {of}; {len(left)} left out.")
    return parts


def _parse_setting(text):
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise typer.BadParameter(f"--set takes KEY=VALUE, such as hidden_units='[64]'. Got: {text}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
