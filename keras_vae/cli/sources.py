"""Where a command reads images from (a file, a folder, a data set) and where it writes to."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.lib.format import MAGIC_PREFIX, open_memmap

from keras_vae.cli.base import counted, load_tensorflow

Images = Annotated[
    Path | None,
    typer.Option(
        "--images",
        "--data",
        help="A picture, a folder of pictures or TFRecord files, an .npy, or an .npz (its x_test, "
        "x, x_train or only array).",
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(help="A data set such as mnist: its test images. Default: the model's own."),
]

Size = Annotated[
    str | None,
    typer.Option(help="64, or HEIGHTxWIDTH: of pictures, for a model of images of any size."),
]
# Of commands that read a folder of pictures for training.
FittedSize = Annotated[
    str | None,
    typer.Option(
        "--size",
        help="Size that pictures are fitted to: 64, or HEIGHTxWIDTH. Default: their own, up to 64.",
    ),
]
Channels = Annotated[
    int | None,
    typer.Option(min=1, max=4, help="1 grey, 3 colour, 4 with opacity. Default: their own."),
]

_BATCH = 512


def check_source(images, dataset):
    """Refuses two sources, a missing file or an unknown data set, before a model is loaded."""
    from keras_vae import data

    if images is not None and dataset is not None:
        raise typer.BadParameter("Give --images or --dataset, not both.")
    if dataset is not None and data.find(dataset) is None:
        raise typer.BadParameter(f"--dataset must be one of {', '.join(data.DATASETS)}.")
    if images is not None and not images.exists():
        raise FileNotFoundError(f"No such file: {images}")


def load(name, images, dataset, n=None, size=None):
    """Returns a model, and the images given to the command, else those of its own data set.

    Args:
        name: of the model.
        images: the command's option; None if it was not given.
        dataset: as well.
        n: how many images are needed at most. Defaults to None, all.
        size: the command's option.
    """
    from keras_vae import hub

    check_source(images, dataset)
    model = hub.load(name)
    return model, images_for(name, picture_shape(model, size), images, dataset, n)


def picture_shape(model, size=None):
    """Returns the shape that a model's pictures are fitted to; None where they choose it.

    Args:
        model: a `keras_vae.VAE`.
        size: the command's option. Defaults to None: the model's own size; if it takes any, that
            of `factories.PHOTOGRAPHS`.
    """
    from keras_vae.data.pictures import check_size
    from keras_vae.factories import PHOTOGRAPHS

    shape = model.data_shape
    if size is not None:
        chosen = check_size(size)
        if None not in shape and chosen != shape[:-1]:
            raise ValueError(f"This model takes images of {' x '.join(map(str, shape[:-1]))} only.")
        return (*chosen, shape[-1])
    side = PHOTOGRAPHS.get((model.made_by or {}).get("factory"))
    return (side, side, shape[-1]) if side and None in shape else shape


def load_to_measure(name, images, dataset, n=None, size=None):
    """Does as `load`, but leaves out images that the model was trained on, if there are others.

    Returns:
        The model, the images, and words that say which they are.
    """
    from keras_vae import hub, registry
    from keras_vae.training import trained_on

    check_source(images, dataset)
    known = None if name in registry.entries() else trained_on(Path(name) / "run")
    model = hub.load(name)
    shape = picture_shape(model, size)
    if images is None or known is None:
        x = images_for(name, shape, images, dataset, n)
        of = "" if images else f" of {dataset or hub.info(name)['data']['name']}"
        return model, x, counted(len(x), "test image" if of else "image") + of
    x = images_for(name, shape, images, dataset, n, lambda x: ~known(x))
    if len(x):
        return model, x, f"{counted(len(x), 'image')} that it was not trained on"
    x = images_for(name, shape, images, dataset, n)
    typer.echo(
        f"{name} was trained on all of these images: its figures on others will be worse.", err=True
    )
    return model, x, f"{counted(len(x), 'image')} that it was trained on"


def which(x, measured):
    """For JSON: the words of `load_to_measure`, if they say more than how many images there are."""
    return {} if measured == counted(len(x), "image") else {"measured": measured}


def images_for(name, shape, images, dataset, n=None, wanted=None):
    """Returns the images given to a command, else a published model's own test images.

    Args:
        name: of the model.
        shape: of its data.
        images: the command's option; None if it was not given.
        dataset: as well.
        n: how many images are needed at most. Defaults to None, all.
        wanted: a function of images that says which of them to return. Defaults to None, all.
    """
    from keras_vae import data, registry

    if images is not None:
        return read_images(images, shape, n, wanted)
    if dataset is None:
        if name not in registry.entries():
            raise ValueError(
                f"The data that {name} was trained on is not recorded: give --images or --dataset."
            )
        dataset = registry.info(name)["data"]["name"]
    load_tensorflow()
    return data.load(dataset).x_test[:n]


def read_images(path, shape, n=None, wanted=None):
    """Reads images `(n, height, width, channels)`; pictures are fitted to the shape.

    For a model of any size, pictures get the size that `read_folder` chooses. `n` and `wanted` are
    as in `images_for`; of a folder, the n pictures are drawn from all of it. Those of TFRecord
    files have their own shape; if all are wanted, they are a `keras_vae.data.Source`.
    """
    from keras_vae.data.shards import find_shards

    if find_shards(path):
        return _read_shards(path, n, wanted)
    if path.is_dir():
        from keras_vae import progress
        from keras_vae.data.pictures import check_shape, read_folder

        check_shape(shape)
        size = None if None in shape else shape[:2]
        with progress.bar("Reading pictures") as read:
            x, left = read_folder(path, size, shape[2], read, n, wanted)
        report(left)
        return x
    if not path.is_file():
        raise FileNotFoundError(f"No such file: {path}")
    x = _read_file(path, shape)
    return x[slice(None) if wanted is None else wanted(x)][:n]


def _read_shards(path, n, wanted):
    """The test images of TFRecord files, else those that validate, else all of the one set."""
    from keras_vae import data
    from keras_vae.data.sources import sample

    parts = data.load(path)
    x = parts.x_validation if parts.x_test is None else parts.x_test
    x = data.Source(x.source)  # of one set the model may have seen some, as `wanted` says
    if wanted is not None:
        parts = (slice(start, start + _BATCH) for start in range(0, len(x), _BATCH))
        chosen = np.flatnonzero(np.concatenate([wanted(x[part]) for part in parts]))
        x = x.take(chosen) if len(chosen) else x[:0]
    return x if n is None else sample(x, n)


def picture_path(out, name, what):
    """Returns the PNG file that a command writes; refuses it if it cannot be written there."""
    from keras_vae.files import check_writable

    out = default_out(name, what) if out is None else out
    if out.suffix.lower() != ".png":
        raise ValueError(f"A picture's path must end in .png. Received: {out}")
    check_parent(out)
    check_writable(out)
    return out


def check_parent(out):
    """Raises FileNotFoundError if the folder of a file to write is missing."""
    folder = out.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"No such folder: {folder}. Make it first.")


def default_out(name, what, suffix="png"):
    """Returns the file in the current folder that a command writes by default."""
    return Path(f"{Path(name).resolve().name}-{what}.{suffix}")


def save_picture(figure, out):
    """Writes a command's picture and prints its path."""
    from keras_vae import plots

    plots.save(figure, out)
    typer.echo(f"Wrote {out.resolve()}")


def report(left):
    """Reports which files of a folder were left out and why."""
    for line in left.lines():
        typer.echo(f"Left out: {line}", err=True)


def _read_file(path, shape):
    if path.suffix.lower() not in (".npz", ".npy"):
        from keras_vae.data.pictures import check_shape, common_shape, read_picture

        check_shape(shape)
        if None in shape:
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


def _read_arrays(path):
    with open(path, "rb") as file:
        if file.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX:
            return open_memmap(path, mode="r")  # it may be larger than memory
        file.seek(0)
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
