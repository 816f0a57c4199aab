"""The command that writes a model's latent explorer: explore."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from keras_vae.cli.base import Computing, Name, app, load_tensorflow
from keras_vae.cli.sources import Dataset, Images, check_source, default_out, read_images


@app.command(cls=Computing, epilog="Example: keras-vae explore conv-mnist")
def explore(
    name: Name,
    images: Images = None,
    dataset: Dataset = None,
    out: Annotated[
        Path | None, typer.Option(help="The HTML file to write, in an existing folder.")
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve it and open it in the browser, until Ctrl-C.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port for --serve. Default: any free one.")
    ] = None,
):
    """Writes the latent explorer: one HTML file that runs the model, by default NAME-explorer.html.

    Open it in a browser to move the latents, or to draw and see how the model encodes the drawing.
    It needs no network. --serve serves it to this machine only, and writes a file only with --out.
    """
    from keras_vae import data, explorer, hub, registry
    from keras_vae.explorer.page import check_path
    from keras_vae.files import write_bytes

    check_source(images, dataset)
    if port is not None and not serve:
        raise typer.BadParameter("--port belongs to --serve: give both.")
    if out is None and not serve:
        out = default_out(name, "explorer", "html")
    if out is not None:
        check_path(out)
    model = hub.load(name)
    title = Path(name).resolve().name
    # The data of a user's own model is not known.
    given = images is not None or dataset is not None or name in registry.entries()
    explorer.check(model, given)
    x = labels = None
    if images is not None:
        x = read_images(images, model.data_shape, 1000)
    elif given:
        load_tensorflow()
        parts = data.load(dataset or registry.info(name)["data"]["name"])
        x, labels = parts.x_test, parts.y_test
    page = explorer.render(model, x, labels=labels, name=title)
    if out is not None:
        write_bytes(out, page.encode())
        typer.echo(f"Wrote {out.resolve()}")
    if serve:
        with explorer.server(page, port or 0) as server:
            _serve(server)


def _serve(server):
    address = f"http://127.0.0.1:{server.server_port}/"
    typer.echo(f"Serving {address} to this machine only. Ctrl-C ends it.")
    webbrowser.open(address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        typer.echo("Ended.")
