"""Commands about published models: list and info."""

import json
from typing import Annotated

import typer

from keras_vae.cli.base import Json, app, console, number


@app.command("list", epilog="Example: keras-vae list '*mnist*'")
def list_models(
    pattern: Annotated[str, typer.Argument(help="Which names, such as '*mnist*'.")] = "*",
    as_json: Json = False,
):
    """Lists the published models."""
    from rich.table import Table

    from keras_vae import hub

    entries = {name: hub.info(name) for name in hub.list_models(pattern)}
    if as_json:
        rows = [{"name": name, **entry} for name, entry in entries.items()]
        typer.echo(json.dumps(rows, indent=2))
        return
    if not entries:
        published = ", ".join(hub.list_models()) or "none"
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
def info(name: Annotated[str, typer.Argument(help="A published model.")], as_json: Json = False):
    """Shows what is known of a published model: arguments, data, licence, measured numbers."""
    from rich.table import Table

    from keras_vae import hub

    entry = {"name": name, **hub.info(name)}
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
