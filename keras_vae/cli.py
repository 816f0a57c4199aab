"""The `keras-vae` command: list, info, generate, reconstruct, train.

Each command imports what it needs when it runs, so that help is quick. What the library refuses
(ValueError, OSError) is shown as one sentence.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from typer.core import TyperGroup


class _Sentences(TyperGroup):
    """Shows an expected error as one sentence on stderr, and exits with 1."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # `keras-vae list | head` is no error
        except (ValueError, OSError) as error:
            typer.echo(f"Error: {_sentence(error)}", err=True)
            raise typer.Exit(1) from error


def _sentence(error):
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    return " ".join(str(error).split())


app = typer.Typer(
    cls=_Sentences,
    help="Variational autoencoders for Keras 3: pretrained, trainable, measured.",
    epilog="Example: keras-vae generate conv-mnist",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(help="A published model, or a folder made by train.")]
Out = Annotated[Path | None, typer.Option(help="The PNG file to write, in a folder that is there.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]


def main():
    """Runs the command."""
    app(prog_name="keras-vae")


@app.command("list", epilog="Example: keras-vae list '*mnist*'")
def list_models(
    pattern: Annotated[str, typer.Argument(help="Which names, such as '*mnist*'.")] = "*",
    as_json: Json = False,
):
    """Lists the published models."""
    from rich.table import Table

    from keras_vae import hub

    entries = {name: hub.info(name) for name in hub.list_models(pattern)}
    if as_json:
        rows = [{"name": name, **entry} for name, entry in entries.items()]
        typer.echo(json.dumps(rows, indent=2))
        return
    if not entries:
        published = ", ".join(hub.list_models()) or "none"
        typer.echo(f"No published model matches {pattern!r}. Available: {published}.")
        return
    table = Table("model", "factory", "data")
    for heading in ("ELBO, nats", "NLL, nats", "MSE", "parameters", "size"):
        table.add_column(heading, justify="right")
    for name, entry in entries.items():
        metrics = [_number(entry["metrics"].get(key)) for key in ("elbo", "nll", "mse")]
        size = f"{entry['bytes'] / 1e6:.1f} MB"
        what = name, entry["factory"], entry["data"]["name"]
        table.add_row(*what, *metrics, f"{entry['parameters']:,}", size)
    _console().print(table)


@app.command(epilog="Example: keras-vae info conv-mnist")
def info(name: Annotated[str, typer.Argument(help="A published model.")], as_json: Json = False):
    """Shows what is known of a published model: arguments, data, licence, measured numbers."""
    from rich.table import Table

    from keras_vae import hub

    entry = {"name": name, **hub.info(name)}
    if as_json:
        typer.echo(json.dumps(entry, indent=2))
        return
    table = Table(show_header=False, show_lines=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in entry.items():
        if isinstance(value, dict):
            value = "\n".join(f"{part}: {_number(number)}" for part, number in value.items())
        elif key == "fingerprint":
            value = ", ".join(map(_number, value))
        table.add_row(key, str(value))
    _console().print(table, markup=False)


@app.command(epilog="Example: keras-vae generate conv-mnist --n 100 --seed 1 --out digits.png")
def generate(
    name: Name,
    n: Annotated[int, typer.Option("--n", min=1, help="Number of images.")] = 64,
    seed: Annotated[int | None, typer.Option(min=0, help="Fixes the images.")] = None,
    out: Out = None,
):
    """Generates images and writes them as one picture, by default NAME-samples.png."""
    from keras_vae import hub, plots

    out = out or _default_out(name, "samples")
    plots.save(plots.image_grid(hub.load(name).generate(n, seed=seed)), out)
    typer.echo(f"Wrote {out.resolve()}")


@app.command(epilog="Example: keras-vae reconstruct conv-mnist --images pictures.npz --n 8")
def reconstruct(
    name: Name,
    images: Annotated[
        Path | None,
        typer.Option(help="An .npz (its x_test, x, x_train or only array), an .npy or a picture."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="mnist or fashion-mnist, the test images. Default: the model's own."),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Number of images: the first ones.")] = 16,
    out: Out = None,
):
    """Writes a picture of images above their reconstructions, by default NAME-reconstructions.png.

    Prints the mean squared error per pixel, of values in [0, 1].
    """
    from keras_vae import data, hub, plots
    from keras_vae.checks import scaled

    if images is not None and dataset is not None:
        raise typer.BadParameter("Give --images or --dataset, not both.")
    if dataset is not None and dataset not in data.DATASETS:
        raise typer.BadParameter(f"--dataset is one of {', '.join(data.DATASETS)}.")
    model = hub.load(name)
    if images is not None:
        x = _read_images(images, model.data_shape)[:n]
    else:
        x = data.load(dataset or _own_dataset(name)).x_test[:n]
    reconstructions = model.reconstruct(x)
    error = np.mean(np.square(scaled(x) - reconstructions))
    out = out or _default_out(name, "reconstructions")
    plots.save(plots.reconstruction_pairs(x, reconstructions), out)
    typer.echo(f"Mean squared error per pixel, {len(x)} images: {error:.6g}")
    typer.echo(f"Wrote {out.resolve()}")


@app.command(epilog="Example: keras-vae train --factory conv_vae --data mnist --out my-model")
def train(
    factory: Annotated[str, typer.Option(help="mlp_vae, conv_vae or vq_vae.")],
    source: Annotated[
        str, typer.Option("--data", help="mnist, fashion-mnist, or an .npz with an array x_train.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the model; the run is kept in its run/.")],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 20,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per step.")] = 128,
    learning_rate: Annotated[float, typer.Option(min=0, help="Adam's.")] = 1e-3,
    latent_dim: Annotated[int | None, typer.Option(help="Default: the factory's.")] = None,
    likelihood: Annotated[str | None, typer.Option(help="bernoulli or gaussian.")] = None,
    beta: Annotated[float, typer.Option(min=0, help="Weight of the rate in the loss.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Fixes weights, shuffling and noise.")] = 0,
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

    Every epoch is kept: stopped (Ctrl-C) and given again, the same command goes on where it was.
    """
    named = {"latent_dim": latent_dim, "likelihood": likelihood, "beta": beta}
    arguments = {key: value for key, value in named.items() if value is not None}
    arguments |= dict(map(_setting, settings or ()))

    import keras

    from keras_vae import data, hub, training
    from keras_vae.files import sha256

    parts = data.load(source)
    arguments = {"input_shape": list(parts.x_train.shape[1:]), **arguments}
    keras.utils.set_random_seed(seed)
    model = hub.build(factory, arguments)
    model.compile(keras.optimizers.Adam(learning_rate))
    plan = {
        "factory": factory,
        "arguments": arguments,
        "learning_rate": learning_rate,
        "data": source if source in data.DATASETS else sha256(source),
    }
    run = out / "run"
    options = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "plan": plan}
    try:
        training.train(model, parts.x_train, parts.x_validation, run, **options)
    except KeyboardInterrupt:
        kept = f"Interrupted. The last finished epoch is kept in {run.resolve()}"
        typer.echo(f"{kept}\nGive the same command again to go on from there.", err=True)
        raise typer.Exit(130) from None
    hub.save_to_folder(model, out, factory=factory, arguments=arguments)
    typer.echo("Saved. Load it in Python:")
    typer.echo(f"keras_vae.load({json.dumps(str(out.resolve()), ensure_ascii=False)})")


def _console():
    from rich.console import Console

    # A pipe has no width; rich would cut its lines at 80.
    return Console(width=None if sys.stdout.isatty() else 120)


def _number(value):
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _default_out(name, what):
    return Path(f"{Path(name).resolve().name}-{what}.png")


def _own_dataset(name):
    from keras_vae import hub

    if name not in hub.list_models():
        raise ValueError(f"It is not known what {name} was trained on: give --images or --dataset.")
    return hub.info(name)["data"]["name"]


def _setting(text):
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise typer.BadParameter(f"--set takes KEY=VALUE, such as hidden_units='[64]'. Got: {text}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _read_images(path, shape):
    """Images of a file, `(n, height, width, channels)`; a picture is made to fit the shape."""
    if not path.is_file():
        raise FileNotFoundError(f"No such file: {path}")
    try:
        is_array = path.suffix.lower() in (".npz", ".npy")
        x = np.atleast_1d(_read_arrays(path) if is_array else _read_picture(path, shape))
    except (OSError, ValueError):
        raise
    except Exception as error:  # zipfile, zlib and Pillow have errors of their own
        raise ValueError(f"{path} cannot be read: {error}") from error
    return x[..., None] if (*x.shape[1:], 1) == shape else x


def _read_arrays(path):
    with open(path, "rb") as file:
        content = np.load(file, allow_pickle=False)
        return content if isinstance(content, np.ndarray) else _images_among(content, path)


def _images_among(arrays, path):
    for name in ("x_test", "x", "x_train"):
        if name in arrays.files:
            return arrays[name]
    if len(arrays.files) == 1:
        return arrays[arrays.files[0]]
    raise ValueError(
        f"{path} must hold one array, or one named x_test, x or x_train. "
        f"Received: {', '.join(arrays.files) or 'nothing'}"
    )


def _read_picture(path, shape):
    from PIL import Image, ImageOps

    modes = {1: "L", 3: "RGB", 4: "RGBA"}
    if len(shape) != 3 or shape[-1] not in modes:
        raise ValueError(f"This model takes data of shape {shape}, not pictures: give an .npz.")
    with Image.open(path) as picture:
        if picture.mode[0] in "IF":
            raise ValueError(f"{path} must have 8 bits a channel. Received mode: {picture.mode}")
        picture = ImageOps.exif_transpose(picture).convert(modes[shape[-1]])
    if picture.size != (shape[1], shape[0]):
        picture = picture.resize((shape[1], shape[0]), Image.Resampling.LANCZOS)
    return np.asarray(picture)[None]
