"""Commands about models as they are kept: list, info, verify, download, publish."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from keras_vae.cli.base import (
    Computing,
    Json,
    Name,
    app,
    complete_model,
    console,
    load_tensorflow,
    number,
    to_json,
)
from keras_vae.cli.sources import read_images
from keras_vae.files import megabytes
from keras_vae.progress import in_terminal

_OF_LIKELIHOODS = ("elbo", "nll", "distortion", "bits_per_dim")


@app.command("list", epilog="Example: keras-vae list '*mnist*'")
def list_models(
    pattern: Annotated[str, typer.Argument(help="Which names, such as '*mnist*'.")] = "*",
    as_json: Json = False,
):
    """Lists the published models: our own, and autoencoders of others, which load downloads.

    ELBO and NLL are those of binary images. A model of levels has bits per dimension; a model of
    real values has densities, in other units: info shows them.
    """
    from keras_vae import registry

    entries = {name: registry.info(name) for name in registry.list_models(pattern)}
    if as_json:
        rows = [{"name": name, **entry} for name, entry in entries.items()]
        typer.echo(to_json(rows))
        return
    if not entries:
        published = ", ".join(registry.list_models()) or "none"
        typer.echo(f"No published model matches {pattern!r}. Available: {published}.")
        return
    ours = {name: entry for name, entry in entries.items() if "files" not in entry}
    if ours:
        _list_ours(ours)
    if others := {name: entry for name, entry in entries.items() if name not in ours}:
        _list_others(others)


def _list_ours(entries):
    from rich.table import Table

    table = Table("model", "factory", "data")
    columns = {"elbo": "ELBO, nats", "nll": "NLL, nats", "bits_per_dim": "bits/dim", "mse": "MSE"}
    if all(entry["observes"] != "levels" for entry in entries.values()):
        del columns["bits_per_dim"]
    for heading in (*columns.values(), "parameters", "size"):
        table.add_column(heading, justify="right")
    for name, entry in entries.items():
        # Densities, and probabilities of levels, share no column with those of binary images.
        shown = ["mse"]
        if entry["observes"] == "levels":
            shown.append("bits_per_dim")
        elif entry["code_length"]:
            shown += ["elbo", "nll"]
        metrics = [number(entry["metrics"].get(key) if key in shown else None) for key in columns]
        what = name, entry["factory"], entry["data"]["name"]
        table.add_row(*what, *metrics, f"{entry['parameters']:,}", megabytes(entry["bytes"]))
    console().print(table)
    densities = [name for name, entry in entries.items() if not entry["code_length"]]
    if densities:
        typer.echo(
            f"{', '.join(densities)}: a density of real values, in other units than these ELBOs. "
            f"See: keras-vae info {densities[0]}"
        )


def _list_others(entries):
    from rich.table import Table

    table = Table("autoencoder", "codes", "for", "licence")
    for heading in ("parameters", "download"):
        table.add_column(heading, justify="right")
    for name, entry in entries.items():
        what = name, entry["codes"], entry["use"], entry["licence"]
        sizes = [file["bytes"] for file in entry["files"]]
        size = "-" if None in sizes else megabytes(sum(sizes))
        table.add_row(*what, f"{entry['parameters']:,}", size)
    console().print(table)


@app.command(epilog="Example: keras-vae info conv-mnist")
def info(
    name: Annotated[
        str,
        typer.Argument(
            help="A published model, a folder made by train, or a .keras file.",
            autocompletion=complete_model,
        ),
    ],
    as_json: Json = False,
):
    """Shows what is known of a model: arguments, size; if published, data and measured numbers."""
    from rich.table import Table

    from keras_vae import registry

    entry = {"name": name, **registry.info(name)}
    if as_json:
        typer.echo(to_json(entry))
        return
    table = Table(show_header=False, show_lines=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in entry.items():
        if value is None and key == "fingerprint":
            value = f"not known yet: keras-vae verify {name} computes it"
        if value not in (None, ""):
            table.add_row(key, _shown(key, value, entry))
    console().print(table, markup=False)


def _shown(key, value, entry):
    """A part of an entry as text; without control characters, as anyone may have written it."""
    if key == "bytes" and isinstance(value, int):
        return f"{value:,} ({megabytes(value)})"
    if key == "architecture":
        return "described layer by layer: --json shows it"
    if key == "fingerprint" and not isinstance(value, str):
        return ", ".join(map(number, value))
    if key == "metrics":
        value = _with_errors(value, entry.get("code_length"))
    if key == "files":
        return "\n".join(_plain(_file(file)) for file in value)
    if isinstance(value, dict):
        return "\n".join(f"{_plain(part)}: {_plain(item)}" for part, item in value.items())
    return f"{value:,}" if key == "parameters" else _plain(value)


def _file(file):
    """A file of another library: its name, or a dict of its name, bytes and sha256."""
    if isinstance(file, str):
        return file
    size = "size unknown" if file["bytes"] is None else f"{file['bytes']:,} bytes"
    return f"{file['name']}: {size}, sha256 {file['sha256']}"


def _with_errors(metrics, code_length):
    """Each figure beside its standard error; densities are called so."""
    figures = {}
    for key, value in metrics.items():
        error = metrics.get(f"{key}_stderr")
        if not key.endswith("_stderr"):
            figures[key] = number(value) + ("" if error is None else f" ± {error:.2g}")
            if code_length is False and key in _OF_LIKELIHOODS:
                figures[key] += " (a density: not comparable with figures of binary images)"
    return figures


def _plain(value):
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value)
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(letter if letter.isprintable() else "?" for letter in text)


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

    from keras_vae import verification

    if data is not None and not (data.suffix.lower() == ".npz" and data.is_file()):
        raise typer.BadParameter(f"--data must be an .npz file with the array x_test. Got: {data}")
    entries = {name: verification.published_entry(name) for name in names}
    rows = []
    if not (quick or data):
        load_tensorflow()
    for name in entries:
        if in_terminal(sys.stderr):  # stdout is the table's
            typer.echo(f"Measuring {name}" + (" (minutes)" if not quick else ""), err=True)
        found = verification.verify(name, source=data, quick=quick)
        rows += [{"model": name, **row} for row in found]
    failed = [row for row in rows if row["pass"] is False]
    if as_json:
        typer.echo(to_json(rows))
    else:
        table = Table("model", "quantity")
        for heading in ("got", "published", "tolerance"):
            table.add_column(heading, justify="right")
        table.add_column("pass")
        for row in rows:
            figures = [
                "-" if row[key] is None else f"{row[key]:.{digits}g}"
                for key, digits in (("got", 7), ("published", 7), ("tolerance", 2))
            ]
            passed = {True: "yes", False: "[red]NO[/red]", None: "-"}[row["pass"]]
            table.add_row(row["model"], row["quantity"], *figures, passed)
        console().print(table)
        for name, entry in entries.items():
            files = entry.get("files", [entry])
            sha256 = ", ".join(file["sha256"] for file in files)
            typer.echo(f"{name}: sha256 of the weights is {sha256}, as published.")
            if entry["fingerprint"] is None:
                got = [row["got"] for row in rows if row["model"] == name]
                typer.echo(
                    f"No one has computed a fingerprint of {name} before: please report it, so "
                    f"that later ones are compared with it. {json.dumps(got)}"
                )
        if not quick and all("metrics" in entry for entry in entries.values()):
            typer.echo("Measured on test images, on which no model was trained or selected.")
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
        typer.echo(to_json({"source": source, "folder": str(folder)}))
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
            help="A data set such as mnist, or as --images of other commands: the card shows 16.",
        ),
    ] = None,
    as_json: Json = False,
):
    """Publishes a model on the Hugging Face Hub, in one commit, with its card."""
    from keras_vae import data, hub, registry
    from keras_vae.hub.publish import check

    if (namespace is None) == (repository is None):
        raise typer.BadParameter("Give --namespace or --repository, one of them.")
    repository = repository or f"{namespace}/{Path(name).resolve().name}"
    check(name, repository)  # before data are read
    x, dataset = None, source and data.find(source)
    if dataset is not None:
        load_tensorflow()
        x = data.load(dataset).x_test
    elif source is not None and Path(source).is_dir():
        x = read_images(Path(source), hub.load(name, compile=False).data_shape, 1000)
    elif source is not None:
        x = read_images(Path(source), hub.load(name, compile=False).data_shape)
    commit = hub.publish(name, repository, private=private, licence=licence, x=x)
    if as_json:
        typer.echo(to_json({"repository": repository, "commit": commit}))
        return
    typer.echo(f"Published commit {commit}. Load it in Python:")
    typer.echo(f'keras_vae.load("hf://{repository}@{commit}")')
    if name in registry.entries():
        pin = f"python -m zoo.publish {name} --pin {commit} --repository {repository}"
        typer.echo(f"Pin it in the registry: {pin}")
