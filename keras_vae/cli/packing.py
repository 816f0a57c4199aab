"""The command that packs a folder of pictures into TFRecord files, for training beyond memory."""

from pathlib import Path
from typing import Annotated

import typer

from keras_vae.cli.base import Computing, app, counted
from keras_vae.cli.sources import Channels, FittedSize, report


@app.command(
    cls=Computing, epilog="Example: keras-vae pack --images pictures --size 64 --out shards"
)
def pack(
    images: Annotated[
        Path, typer.Option("--images", "--data", help="A folder of pictures, of any number.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the TFRecord files.")],
    size: FittedSize = None,
    channels: Channels = None,
):
    """Packs a folder of pictures, shuffled, into TFRecord files that train --data reads.

    Of these, training reads images as it needs them: they may take more than memory. Pictures are
    fitted to one size as train does it. The files have their names when all are written; if you
    stop the command, nothing is left.
    """
    from keras_vae import progress
    from keras_vae.data.packing import pack_pictures
    from keras_vae.data.pictures import check_size
    from keras_vae.files import check_writable, megabytes

    size = None if size is None else check_size(size)
    check_writable(out / "images.tfrecord")
    with progress.bar("Packing pictures") as packed:
        paths, left = pack_pictures(images, out, size, channels, packed)
    report(left)
    total = megabytes(sum(path.stat().st_size for path in paths))
    typer.echo(
        f"Wrote {counted(len(paths), 'file')}, {total}, to {out.resolve()}; {len(left)} left out."
    )
