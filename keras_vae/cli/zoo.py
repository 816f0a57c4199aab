"""Commands about published models: list, info, verify, download, publish."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from keras_vae.cli.base import (
    Computing,
    Json,
    Name,
    Published,
    app,
    complete_model,
    console,
    number,
)
from keras_vae.cli.sources import read_images
from keras_vae.progress import in_terminal


@app.command("list", epilog="Example: keras-vae list '*mnist*'")
def list_models(
    pattern: Annotated[str, typer.Argument(help="Which names, such as '*mnist*'.")] = "*",
    as_json: Json = False,
):
    """Lists the published models."""
    from rich.table import Table

    from keras_vae import registry

    entries = {name: registry.info(name) for name in registry.list_models(pattern)}
    if as_json:
        rows = [{"name": name, **entry} for name, entry in entries.items()]
        typer.echo(json.dumps(rows, indent=2))
        return
    if not entries:
        published = ", ".join(registry.list_models()) or "none"
        typer.echo(f"No published model matches {pattern!r}. Available: {published}.")
        return
    table = Table("model", "factory", "data")
    for heading in ("ELBO, nats", "NLL, nats", "MSE", "parameters", "size"):
        table.add_column(heading, justify="right")
    for name, entry in entries.items():
        metrics = [number(entry["metrics"].get(key)) for key in ("elbo", "nll", "mse")]
        size = f"{entry['bytes'] / 1e6:.1f} MB"
        what = name, entry["factory"], entry["data"]["name"]
        table.add_row(*what, *metrics, f"{entry['parameters']:,}", size)
    console().print(table)


@app.command(epilog="Example: keras-vae info conv-mnist")
def info(name: Published, as_json: Json = False):
    """Shows what is known of a published model: arguments, data, licence, measured numbers."""
    from rich.table import Table

    from keras_vae import registry

    entry = {"name": name, **registry.info(name)}
    if as_json:
        typer.echo(json.dumps(entry, indent=2))
        return
    table = Table(show_header=False, show_lines=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in entry.items():
        if isinstance(value, dict):
            value = "\n".join(f"{part}: {number(item)}" for part, item in value.items())
        elif key == "fingerprint":
            value = ", ".join(map(number, value))
        table.add_row(key, str(value))
    console().print(table, markup=False)


@app.command(cls=Computing, epilog="Example: keras-vae verify conv-mnist")
def verify(
    names: Annotated[
        list[str], typer.Argument(help="Published models.", autocompletion=complete_model)
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="Check only sha256 and fingerprint; needs no data set.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(help="An .npz file of the data set. Default: tensorflow-datasets."),
    ] = None,
    as_json: Json = False,
):
    """Recomputes the published figures on this machine; exits with 1 if one differs."""
    from rich.table import Table

    from keras_vae import hub, verification

    entries = {name: hub.info(name) for name in names}
    rows = []
    for name in entries:
        if in_terminal(sys.stderr):  # stdout is the table's
            typer.echo(f"Measuring {name}" + (" (minutes)" if not quick else ""), err=True)
        found = verification.verify(name, source=data, quick=quick)
        rows += [{"model": name, **row} for row in found]
    failed = [row for row in rows if not row["pass"]]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        table = Table("model", "quantity")
        for heading in ("got", "published", "tolerance"):
            table.add_column(heading, justify="right")
        table.add_column("pass")
        for row in rows:
            figures = (f"{row['got']:.7g}", f"{row['published']:.7g}", f"{row['tolerance']:.2g}")
            passed = "yes" if row["pass"] else "[red]NO[/red]"
            table.add_row(row["model"], row["quantity"], *figures, passed)
        console().print(table)
        for name, entry in entries.items():
            typer.echo(f"{name}: sha256 of the weights is {entry['sha256']}, as published.")
        if failed:
            typer.echo(f"{len(failed)} of {len(rows)} figures differ from the published ones.")
    if failed:
        raise typer.Exit(1)


@app.command(cls=Computing, epilog="Example: keras-vae download hf://keras-vae/conv-mnist")
def download(
    source: Annotated[
        str,
        typer.Argument(
            help="A published model, or hf://NAMESPACE/NAME.", autocompletion=complete_model
        ),
    ],
    revision: Annotated[
        str | None, typer.Option(help="Commit, tag or branch. Default: the published one.")
    ] = None,
    cache_dir: Annotated[
        Path | None, typer.Option(help="Default: the cache of huggingface_hub, see HF_HOME.")
    ] = None,
    as_json: Json = False,
):
    """Downloads a model into the cache, to load it later without a network."""
    from keras_vae import hub

    folder = hub.download(source, revision=revision, cache_dir=cache_dir)
    if as_json:
        typer.echo(json.dumps({"source": source, "folder": str(folder)}, indent=2))
        return
    typer.echo(f"{source} is in {folder}")


@app.command(cls=Computing, epilog="Example: keras-vae publish my-model --namespace me")
def publish(
    name: Name,
    namespace: Annotated[
        str | None, typer.Option(help="User or organization: publishes as NAMESPACE/NAME.")
    ] = None,
    repository: Annotated[
        str | None, typer.Option(help="NAMESPACE/NAME, to give it another name.")
    ] = None,
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private.")
    ] = False,
    licence: Annotated[
        str | None, typer.Option(help="Of the weights, such as apache-2.0 or mit.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="A data set such as mnist, an .npz or a folder of pictures; the card shows 16.",
        ),
    ] = None,
    as_json: Json = False,
):
    """Publishes a model on the Hugging Face Hub, in one commit, with its card."""
    from keras_vae import data, hub, registry

    if (namespace is None) == (repository is None):
        raise typer.BadParameter("Give --namespace or --repository, one of them.")
    repository = repository or f"{namespace}/{Path(name).resolve().name}"
    x = None
    if source is not None and Path(source).is_dir():
        x = read_images(Path(source), hub.load(name, compile=False).data_shape)
    elif source is not None:
        parts = data.load(source)
        x = parts.x_validation if parts.x_test is None else parts.x_test
    commit = hub.publish(name, repository, private=private, licence=licence, x=x)
    if as_json:
        typer.echo(json.dumps({"repository": repository, "commit": commit}, indent=2))
        return
    typer.echo(f"Published commit {commit}. Load it in Python:")
    typer.echo(f'keras_vae.load("hf://{repository}@{commit}")')
    if name in registry.entries():
        pin = f"python -m zoo.publish {name} --pin {commit} --repository {repository}"
        typer.echo(f"Pin it in the registry: {pin}")
