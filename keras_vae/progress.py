"""Progress bars, shown only in a terminal."""

from contextlib import contextmanager


def in_terminal(stream) -> bool:
    """Whether `stream` is a terminal. `sys.stdout` and `sys.stderr` are None if they are closed."""
    return stream is not None and stream.isatty()


@contextmanager
def bar(what, total=None):
    """Yields `update(done, total)`, which moves the bar; `total` may be given late, or never."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(what, total=total)
        yield lambda done, total=total: shown.update(task, completed=done, total=total)
