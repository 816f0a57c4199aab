"""Commands between images and codes in .npy files: encode, decode."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from keras_vae.cli.base import Computing, Name, Out, app
from keras_vae.cli.sources import (
    Dataset,
    Images,
    Size,
    check_parent,
    check_source,
    default_out,
    images_for,
    picture_path,
    picture_shape,
    report,
    save_picture,
)
from keras_vae.cli.writing import OutDir, check_out_dir, write_images

_BATCH = 256


@app.command(
    cls=Computing, epilog="Example: keras-vae encode my-model --images pictures --out codes.npy"
)
def encode(
    name: Name,
    images: Images = None,
    dataset: Dataset = None,
    size: Size = None,
    out: Annotated[
        Path | None, typer.Option(help="The .npy file to write. Default: NAME-codes.npy.")
    ] = None,
):
    """Encodes images and writes their codes, one row each: posterior means, or a VQ model's codes.

    The pictures of a folder are in the order of their paths. Only a batch of them is in memory.
    """
    from keras_vae import hub
    from keras_vae.files import check_writable, write_rows

    check_source(images, dataset)
    out = default_out(name, "codes", "npy") if out is None else out
    if out.suffix.lower() != ".npy":
        raise ValueError(f"Codes are written to a file that ends in .npy. Received: {out}")
    check_parent(out)
    check_writable(out)
    model = hub.load(name)
    batches = _batches(name, picture_shape(model, size), images, dataset)
    shape = write_rows(out, (model.encode(batch) for batch in batches))
    typer.echo(f"Wrote {out.resolve()}: {shape[0]} codes of shape {shape[1:]}")


@app.command(
    cls=Computing, epilog="Example: keras-vae decode my-model codes.npy --out-dir pictures"
)
def decode(
    name: Name,
    codes: Annotated[Path, typer.Argument(help="An .npy file of codes, as encode writes it.")],
    out: Out = None,
    out_dir: OutDir = None,
):
    """Decodes codes and writes the images as one picture, by default NAME-decoded.png.

    With --out-dir each image is written to a file of its own.
    """
    from keras_vae import hub, plots

    check_out_dir(out, out_dir)
    out = None if out_dir else picture_path(out, name, "decoded")
    array = _read_codes(codes)
    model = hub.load(name)
    plots.check_images(model)
    if out_dir is not None:
        write_images(model, array, out_dir)
        return
    if None not in model.data_shape:
        plots.check_grid(len(array), *model.data_shape[:2])
    images = plots.to_images(model.likelihood, model.decode(np.asarray(array)))
    save_picture(plots.image_grid(*images), out)


def _batches(name, shape, images, dataset):
    """Yields the images given to a command, batch by batch."""
    from keras_vae.data.shards import find_shards

    if images is None or not images.is_dir() or find_shards(images):
        x = images_for(name, shape, images, dataset)
        for start in range(0, len(x), _BATCH):
            yield np.asarray(x[start : start + _BATCH])
        return
    from keras_vae import progress
    from keras_vae.data.folders import LeftOut
    from keras_vae.data.pictures import check_shape, read_batches

    left = LeftOut()
    with progress.bar("Reading pictures") as read:
        yield from read_batches(images, check_shape(shape), _BATCH, left, read)
    report(left)


def _read_codes(path):
    if not path.is_file():
        raise FileNotFoundError(f"No such file: {path}")
    try:
        codes = np.lib.format.open_memmap(path, mode="r")  # it may be larger than memory
    except OSError:
        raise
    except Exception as error:  # as of a damaged file
        raise ValueError(f"{path} cannot be read as an .npy of codes: {error}") from error
    if codes.ndim < 2 or not len(codes):
        shape = f"Found shape: {codes.shape}"
        raise ValueError(f"{path} must hold codes (n, ...), as encode writes them. {shape}")
    return codes
