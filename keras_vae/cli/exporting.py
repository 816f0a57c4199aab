"""The command that makes files for other runtimes: export."""

from pathlib import Path
from typing import Annotated

import typer

from keras_vae.cli.base import Computing, Name, app, complete

# Those of `keras_vae.exporting.FORMATS`, which would load Keras.
FORMAT_NAMES = ("onnx", "saved_model", "tflite")


def _check_format(name: str):
    if name not in FORMAT_NAMES:
        raise typer.BadParameter(f"Must be one of {', '.join(FORMAT_NAMES)}. Got: {name}")
    return name


@app.command(
    cls=Computing, epilog="Example: keras-vae export conv-mnist --format onnx --out conv-mnist-onnx"
)
def export(
    name: Name,
    format: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(FORMAT_NAMES)}.",
            autocompletion=complete(*FORMAT_NAMES),
            callback=_check_format,
        ),
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="The folder to write. Default: NAME-FORMAT.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Pixels a side, for a model that takes images of any size."),
    ] = None,
):
    """Exports encoder, decoder and generator to files that need no Keras, and tests them.

    The format's own runtime reads the files back. Nothing is written unless they compute what the
    model does. Needs: pip install 'keras-vae\\[export]'.
    """
    from keras_vae.exporting import FORMATS
    from keras_vae.exporting import export as write

    if out and out.suffix.lower() in (".onnx", ".tflite", ".zip"):
        raise typer.BadParameter(f"--out is a folder, in which the files go. Got: {out}")
    out = out or Path(f"{Path(name).resolve().name}-{format}")
    shape = None if size is None else (size, size, None)
    metadata = write(name, out, format, input_shape=shape)
    difference = metadata["self_test"]["largest_difference"]
    files = ", ".join(graph["file"] for graph in metadata["graphs"].values())
    typer.echo(f"Read back by {FORMATS[format].runtime}: largest difference {difference:.2g}")
    typer.echo(f"Wrote {out.resolve()}: {files}, metadata.json")
