"""What takes long shows a bar, in a terminal and nowhere else."""

from contextlib import contextmanager


def in_terminal(stream) -> bool:
    """Whether somebody reads along: `sys.stdout` and `sys.stderr` are None where closed."""
    return stream is not None and stream.isatty()


@contextmanager
def bar(what, total=None):
    """Yields a function that shows how many are done, and of how many if that is known later."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(what, total=total)
        yield lambda done, total=total: shown.update(task, completed=done, total=total)
