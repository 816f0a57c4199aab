"""The `keras-vae` command, one file for each kind of subcommand.

Each command imports what it needs when it runs, so that help is quick. What the library refuses
(ValueError, OSError) is shown as one sentence, and Ctrl-C as one line.
"""

import os
import sys


def main():
    """Runs the command."""
    from keras_vae.cli import interrupts

    interrupts.start()
    from keras_vae.cli.commands import app

    try:
        app(prog_name="keras-vae")
    except SystemExit as end:
        if end.code == interrupts.CODE:  # at once: the backend takes its time to shut down
            for stream in filter(None, (sys.stdout, sys.stderr)):
                stream.flush()
            os._exit(interrupts.CODE)
        raise


def __getattr__(name):
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not at the top: Ctrl-C is handled before the commands are imported.
    from keras_vae.cli.commands import app

    return app
