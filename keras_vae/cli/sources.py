"""Where a command reads images from (a file, a folder, a data set) and where it writes to."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

Images = Annotated[
    Path | None,
    typer.Option(
        help="A picture, a folder of pictures, an .npy, or an .npz (its x_test, x, x_train or only "
        "array)."
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(help="A data set such as mnist: its test images. Default: the model's own."),
]


def check_source(images, dataset):
    """Refuses two sources, or an unknown data set, before a model is loaded."""
    from keras_vae import data

    if images is not None and dataset is not None:
        raise typer.BadParameter("Give --images or --dataset, not both.")
    if dataset is not None and data.find(dataset) is None:
        raise typer.BadParameter(f"--dataset must be one of {', '.join(data.DATASETS)}.")


def load(name, images, dataset):
    """Returns a model, and the images given to the command, else those of its own data set."""
    from keras_vae import hub

    check_source(images, dataset)
    model = hub.load(name)
    return model, images_for(name, model.data_shape, images, dataset)


def images_for(name, shape, images, dataset):
    """Returns the images given to a command, else a published model's own test images."""
    from keras_vae import data, registry

    if images is not None:
        return read_images(images, shape)
    if dataset is None:
        if name not in registry.entries():
            raise ValueError(
                f"The data that {name} was trained on is not recorded: give --images or --dataset."
            )
        dataset = registry.info(name)["data"]["name"]
    return data.load(dataset).x_test


def read_images(path, shape):
    """Reads images `(n, height, width, channels)`; pictures are fitted to the shape.

    For a model of any size, pictures get the size that `read_folder` chooses.
    """
    any_size = None in shape
    if path.is_dir():
        from keras_vae import progress
        from keras_vae.data.pictures import check_shape, read_folder

        check_shape(shape)
        with progress.bar("Reading pictures") as read:
            x, refused = read_folder(path, None if any_size else shape[:2], shape[2], read)
        report(refused)
        return x
    if not path.is_file():
        raise FileNotFoundError(f"No such file: {path}")
    if path.suffix.lower() not in (".npz", ".npy"):
        from keras_vae.data.pictures import check_shape, common_shape, read_picture

        check_shape(shape)
        if any_size:
            shape = (*common_shape([path])[0], shape[2])
        return read_picture(path, shape)[None]
    try:
        x = np.atleast_1d(_read_arrays(path))
    except (OSError, ValueError):
        raise
    except Exception as error:  # zipfile and zlib raise their own
        raise ValueError(f"{path} cannot be read: {error}") from error
    with_channel = (*x.shape[1:], 1)
    fits = all(size in (None, got) for size, got in zip(shape, with_channel))
    return x[..., None] if fits and len(shape) == len(with_channel) else x


def default_out(name, what, suffix="png"):
    """Returns the file in the current folder that a command writes by default."""
    return Path(f"{Path(name).resolve().name}-{what}.{suffix}")


def save_picture(figure, out):
    """Writes a command's picture and prints its path."""
    from keras_vae import plots

    plots.save(figure, out)
    typer.echo(f"Wrote {out.resolve()}")


def report(refused):
    """Reports which files of a folder were left out and why, the first ten."""
    for reason in list(refused.values())[:10]:
        typer.echo(f"Left out: {reason}", err=True)
    if len(refused) > 10:
        typer.echo(f"Left out: {len(refused) - 10} more.", err=True)


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
