"""The command that measures a model on images: evaluate."""

from typing import Annotated

import typer

from keras_vae.cli.base import Computing, Json, Name, app, console, number, to_json
from keras_vae.cli.sources import Dataset, Images, Size, load_to_measure, which


@app.command(cls=Computing, epilog="Example: keras-vae evaluate my-model --images pictures.npz")
def evaluate(
    name: Name,
    images: Images = None,
    dataset: Dataset = None,
    n: Annotated[int | None, typer.Option("--n", min=1, help="Images. Default: all.")] = None,
    size: Size = None,
    num_samples: Annotated[
        int, typer.Option("--num-samples", "-k", min=1, help="Posterior samples K for the NLL.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the noise.")] = 0,
    fid: Annotated[
        bool, typer.Option("--fid", help="Also the FID of as many samples (downloads 88 MB).")
    ] = False,
    as_json: Json = False,
):
    """Measures a model: ELBO, rate, distortion, NLL (nats per image), MSE, use of the latent.

    With a likelihood of levels, such as discretised_logistic, also bits per dimension.

    For a Bernoulli model, grey images are binarised by sampling. Published figures are measured on
    binary images that are drawn once: keras-vae verify recomputes those.
    Images that the model was trained on (keras-vae train records them) are left out if there are
    others. What was measured is said.
    """
    from rich.table import Table
    from rich.text import Text

    from keras_vae import evaluation

    model, x, measured = load_to_measure(name, images, dataset, n, size)
    figures = evaluation.evaluate(model, x, num_samples=num_samples, seed=seed, fid=fid)
    figures = {"images": len(x), **which(x, measured), **figures}
    if as_json:
        typer.echo(to_json(figures))
        return
    # As Text, because square brackets in a string would be markup.
    table = Table("quantity", title=Text(f"{name}, {measured}"))
    for heading in ("value", "standard error"):
        table.add_column(heading, justify="right")
    for key, value in figures.items():
        if not (key.endswith("stderr") or isinstance(value, list) or key == "measured"):
            table.add_row(key, number(value), number(figures.get(f"{key}_stderr")))
    console().print(table)
    if "nll" in figures and model.likelihood.no_bits_per_dim:
        typer.echo(f"Likelihoods are in other units: {model.likelihood.no_bits_per_dim}")
