"""Commands that make pictures: generate and reconstruct."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from keras_vae.cli.base import Name, Out, app

Images = Annotated[
    Path | None,
    typer.Option(help="An .npz (its x_test, x, x_train or only array), an .npy or a picture."),
]
Dataset = Annotated[
    str | None,
    typer.Option(help="mnist or fashion-mnist, the test images. Default: the model's own."),
]


@app.command(epilog="Example: keras-vae generate conv-mnist --n 100 --seed 1 --out digits.png")
def generate(
    name: Name,
    n: Annotated[int, typer.Option("--n", min=1, help="Number of images.")] = 64,
    seed: Annotated[int | None, typer.Option(min=0, help="Fixes the images.")] = None,
    out: Out = None,
):
    """Generates images and writes them as one picture, by default NAME-samples.png."""
    from keras_vae import hub, plots

    out = out or default_out(name, "samples")
    plots.save(plots.image_grid(hub.load(name).generate(n, seed=seed)), out)
    typer.echo(f"Wrote {out.resolve()}")


@app.command(epilog="Example: keras-vae reconstruct conv-mnist --images pictures.npz --n 8")
def reconstruct(
    name: Name,
    images: Images = None,
    dataset: Dataset = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Number of images: the first ones.")] = 16,
    out: Out = None,
):
    """Writes a picture of images above their reconstructions, by default NAME-reconstructions.png.

    Prints the mean squared error per pixel, of values in [0, 1].
    """
    from keras_vae import hub, plots
    from keras_vae.checks import scaled

    check_choice(images, dataset)
    model = hub.load(name)
    x = chosen_images(name, model, images, dataset)
    if x is None:
        raise ValueError(f"It is not known what {name} was trained on: give --images or --dataset.")
    x = x[:n]
    reconstructions = model.reconstruct(x)
    error = np.mean(np.square(scaled(x) - reconstructions))
    out = out or default_out(name, "reconstructions")
    plots.save(plots.reconstruction_pairs(x, reconstructions), out)
    typer.echo(f"Mean squared error per pixel, {len(x)} images: {error:.6g}")
    typer.echo(f"Wrote {out.resolve()}")


def check_choice(images, dataset):
    """Refuses what is no choice of images, before a model is loaded for them."""
    from keras_vae import data

    if images is not None and dataset is not None:
        raise typer.BadParameter("Give --images or --dataset, not both.")
    if dataset is not None and dataset not in data.DATASETS:
        raise typer.BadParameter(f"--dataset is one of {', '.join(data.DATASETS)}.")


def chosen_images(name, model, images, dataset):
    """The images of a file, else of a data set, else of a published model's own; or None."""
    from keras_vae import data, hub

    if images is not None:
        return read_images(images, model.data_shape)
    if dataset is None and name in hub.list_models():
        dataset = hub.info(name)["data"]["name"]
    return None if dataset is None else data.load(dataset).x_test


def default_out(name, what, ending="png"):
    """Where a command writes what it makes of a model: the current folder."""
    return Path(f"{Path(name).resolve().name}-{what}.{ending}")


def read_images(path, shape):
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
