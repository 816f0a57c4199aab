"""Writes images to files, one each, batch by batch."""

import io
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from keras_vae.cli.base import counted

OutDir = Annotated[
    Path | None,
    typer.Option(help="Write each image to a PNG file in this folder, instead of one picture."),
]
_BATCH = 256


def check_out_dir(out, out_dir):
    """Refuses --out beside --out-dir, and a folder that cannot be written to."""
    from keras_vae.files import check_writable

    if out is not None and out_dir is not None:
        raise typer.BadParameter("Give --out or --out-dir, not both.")
    if out_dir is not None:
        check_writable(out_dir / "0.png")


def write_images(model, codes, folder):
    """Decodes codes and writes the images as 0.png, 1.png, ...; prints where they are.

    The files are 8-bit pictures of what the likelihood reads: the model reads them back.

    Raises:
        ValueError: if the model's data are not pictures.
        OSError: if a file cannot be written.
    """
    from keras_vae.data.pictures import check_shape

    check_shape(model.data_shape)
    digits = len(str(len(codes) - 1))
    for start in range(0, len(codes), _BATCH):
        images = model.decode(np.asarray(codes[start : start + _BATCH]))
        folder.mkdir(parents=True, exist_ok=True)
        levels = np.rint(np.clip(images * model.likelihood.uint8_scale, 0, 255)).astype("uint8")
        for index, image in enumerate(levels, start):
            _write_png(image, folder / f"{index:0{digits}d}.png")
    typer.echo(f"Wrote {counted(len(codes), 'image')} to {folder.resolve()}")


def _write_png(image, path):
    from PIL import Image

    from keras_vae.files import write_bytes

    content = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(content, "PNG")
    write_bytes(path, content.getvalue())
