"""Commands that make pictures: generate, reconstruct, interpolate, traverse."""

from typing import Annotated

import numpy as np
import typer

from keras_vae.cli.base import Computing, Json, Name, Out, app, to_json
from keras_vae.cli.sources import (
    Dataset,
    Images,
    Size,
    check_source,
    load,
    load_to_measure,
    picture_path,
    save_picture,
    which,
)
from keras_vae.cli.writing import OutDir, check_out_dir, write_images


@app.command(
    cls=Computing, epilog="Example: keras-vae generate conv-mnist --n 100 --seed 1 --out digits.png"
)
def generate(
    name: Name,
    n: Annotated[int, typer.Option("--n", min=1, help="Number of images.")] = 64,
    seed: Annotated[int | None, typer.Option(min=0, help="Fixes the images.")] = None,
    size: Annotated[
        str | None,
        typer.Option(help="64, or HEIGHTxWIDTH: for a model that takes images of any size."),
    ] = None,
    out: Out = None,
    out_dir: OutDir = None,
):
    """Generates images and writes them as one picture, by default NAME-samples.png.

    With --out-dir each image is written to a file of its own.
    """
    from keras_vae import hub, plots
    from keras_vae.data.pictures import check_size

    size = None if size is None else check_size(size)
    check_out_dir(out, out_dir)
    out = None if out_dir else picture_path(out, name, "samples")
    model = hub.load(name)
    plots.check_images(model)
    if size is None and None in model.data_shape:
        raise ValueError("This model takes images of any size: choose one, such as --size 64.")
    if out_dir is None:
        plots.check_grid(n, *(size or model.data_shape[:2]))
    codes = model.sample_prior(n, seed, size=size)
    if out_dir is not None:
        write_images(model, codes, out_dir)
        return
    images = plots.to_images(model.likelihood, model.decode(codes))
    save_picture(plots.image_grid(*images), out)


@app.command(
    cls=Computing, epilog="Example: keras-vae reconstruct conv-mnist --images pictures.npz --n 8"
)
def reconstruct(
    name: Name,
    images: Images = None,
    dataset: Dataset = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Number of images.")] = 16,
    size: Size = None,
    out: Out = None,
    as_json: Json = False,
):
    """Writes a picture of images above their reconstructions, by default NAME-reconstructions.png.

    Prints the mean squared error per pixel, of the values that the model reads. Of a folder, the
    pictures are drawn from all of it; those that the model was trained on are left out if there
    are others.
    """
    from keras_vae import plots

    check_source(images, dataset)
    out = picture_path(out, name, "reconstructions")
    model, x, measured = load_to_measure(name, images, dataset, n, size)
    plots.check_images(model)
    reconstructions = model.reconstruct(x)
    error = np.mean(np.square(model.likelihood.read(x) - reconstructions))
    pairs = plots.to_images(model.likelihood, x, reconstructions)
    plots.save(plots.reconstruction_pairs(*pairs), out)
    if as_json:
        figures = {"mse": float(error), "images": len(x), **which(x, measured)}
        typer.echo(to_json({**figures, "picture": str(out.resolve())}))
        return
    typer.echo(f"Mean squared error per pixel, {measured}: {error:.6g}")
    typer.echo(f"Wrote {out.resolve()}")


@app.command(cls=Computing, epilog="Example: keras-vae interpolate conv-mnist --n 6 --steps 11")
def interpolate(
    name: Name,
    images: Images = None,
    dataset: Dataset = None,
    n: Annotated[
        int, typer.Option("--n", min=1, help="Rows: the first n images to the next n.")
    ] = 6,
    steps: Annotated[int, typer.Option(min=2, help="Decoded images in a row.")] = 9,
    size: Size = None,
    out: Out = None,
):
    """Draws steps between pairs of images in latent space, by default NAME-interpolation.png.

    The originals are at the ends of each row, beside what they decode to.
    """
    from keras_vae import plots

    check_source(images, dataset)
    out = picture_path(out, name, "interpolation")
    model, x = load(name, images, dataset, 2 * n, size)
    if len(x) < 2:
        raise ValueError(f"An interpolation needs two images. Received: {len(x)}")
    half = len(x) // 2
    save_picture(plots.interpolation(model, x[:half], x[half : 2 * half], steps), out)


@app.command(cls=Computing, epilog="Example: keras-vae traverse conv-mnist --units 5")
def traverse(
    name: Name,
    images: Images = None,
    dataset: Dataset = None,
    units: Annotated[int, typer.Option(min=1, help="Latents, those used most first.")] = 10,
    steps: Annotated[int, typer.Option(min=2, help="Values of each.")] = 9,
    span: Annotated[
        float | None, typer.Option(min=0, help="From -span to span. Default: the codes' range.")
    ] = None,
    out: Out = None,
):
    """Draws what each latent does to the first image, by default NAME-traversal.png.

    The latents are sorted by their mean rate over up to 1000 of the images, or by the variance of
    their posterior means if the rate is not a sum over latents.
    """
    from keras_vae import plots

    check_source(images, dataset)
    out = picture_path(out, name, "traversal")
    model, x = load(name, images, dataset, 1000)
    save_picture(plots.traversal(model, x, units=units, steps=steps, span=span), out)
