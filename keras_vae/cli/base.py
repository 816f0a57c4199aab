"""The Typer application, and what its commands share."""

import contextlib
import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from keras_vae import __version__, registry
from keras_vae.cli import interrupts
from keras_vae.progress import in_terminal


class _Sentences(TyperGroup):
    """Shows an expected error as one sentence on stderr, and exits with 1."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(interrupts.CODE) from None
        except BrokenPipeError:
            raise  # `keras-vae list | head` is no error
        except (ValueError, OSError) as error:
            typer.echo(f"Error: {_sentence(error)}", err=True)
            raise typer.Exit(1) from error


class Computing(TyperCommand):
    """A command that needs Keras: it is loaded once the arguments are known to be good."""

    def invoke(self, ctx):
        # TensorFlow's faster kernels for CPUs, which it uses by itself on some processors only.
        # With them one of several devices fails if a batch has no example for it (TensorFlow 2.21).
        if ctx.params.get("devices") in (None, 1):
            os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        with _quiet_start():
            import keras

            keras.ops.zeros(1)  # the backend looks for devices now, and not in mid-command
        with interrupts.grace(1):
            return super().invoke(ctx)


def load_tensorflow():
    """Imports TensorFlow, if it is there, where it will be used, without what it writes."""
    with _quiet_start(), contextlib.suppress(ImportError):
        import tensorflow  # noqa: F401


@contextlib.contextmanager
def _quiet_start():
    """Holds back what C++ libraries write to stderr while they start; shows it if that fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if sys.stderr is None:  # closed: nobody reads it
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def to_json(content):
    """Indented JSON; infinity and NaN, which JSON does not have, become null."""
    return json.dumps(_finite(content), indent=2)


def _finite(content):
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def counted(count, what):
    """`"1 image"`, `"1,234 images"`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _sentence(error):
    if isinstance(error, OSError) and error.strerror and error.filename:
        # The second is the file asked for, where one was written to be moved there.
        return f"{error.strerror}: {error.filename2 or error.filename}"
    return " ".join(str(error).split())


app = typer.Typer(
    cls=_Sentences,
    help="Variational autoencoders for Keras 3: pretrained, trainable, measured.",
    epilog="Example: keras-vae generate conv-mnist",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool):
    if wanted:
        typer.echo(f"keras-vae {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
):
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def complete_model(incomplete: str):
    """The names of published models that begin with what was typed."""
    return [name for name in registry.list_models() if name.startswith(incomplete)]


def _check_model(ctx: typer.Context, name: str):
    """Refuses a name that is no model before Keras is loaded."""
    if not ctx.resilient_parsing:  # as completion parses
        registry.check_source(name)
    return name


def complete(*words):
    """A completion of an option by one of a few words."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


Name = Annotated[
    str,
    typer.Argument(
        help="A published model, a folder made by train, or hf://NAMESPACE/NAME.",
        autocompletion=complete_model,
        callback=_check_model,
    ),
]
Out = Annotated[Path | None, typer.Option(help="The PNG file to write, in an existing folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]


def console():
    """A rich console for tables."""
    from rich.console import Console

    # A pipe has no width; rich would cut its lines at 80.
    return Console(width=None if in_terminal(sys.stdout) else 120)


def number(value):
    """A figure as it is shown: five digits of a float, a dash for none."""
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
