"""The command that makes files for other runtimes: export."""

from pathlib import Path
from typing import Annotated

import typer

from keras_vae.cli.base import Computing, Name, app, complete

# Those of `keras_vae.exporting.FORMATS`, which would load Keras.
FORMAT_NAMES = ("onnx", "saved_model", "tflite")


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
        ),
    ] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="The folder to write. Default: NAME-FORMAT.")
    ] = None,
):
    """Exports encoder, decoder and generator to files that need no Keras, and tests them.

    The format's own runtime reads the files back. Nothing is written unless they compute what the
    model does. Needs: pip install 'keras-vae\\[export]'.
    """
    from keras_vae.exporting import FORMATS
    from keras_vae.exporting import export as write

    out = out or Path(f"{Path(name).resolve().name}-{format}")
    metadata = write(name, out, format)
    difference = metadata["self_test"]["largest_difference"]
    files = ", ".join(graph["file"] for graph in metadata["graphs"].values())
    typer.echo(f"Read back by {FORMATS[format].runtime}: largest difference {difference:.2g}")
    typer.echo(f"Wrote {out.resolve()}: {files}, metadata.json")
