"""Locks on folders: one process at a time works in a folder; a lock ends with its process."""

import contextlib
import os
from pathlib import Path

_NAME = ".lock"


@contextlib.contextmanager
def locked(folder):
    """Makes a folder and holds a lock on it; if it is still empty at the end, it is removed.

    The operating system releases the lock when the process ends, in whatever way: no stale lock
    is left behind by a process that was killed.

    Args:
        folder: the folder.

    Raises:
        ValueError: if another process holds the lock.
    """
    folder = Path(folder)
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _NAME
    file = open(path, "a+")  # noqa: SIM115 - it is closed at the end
    try:
        if not _lock(file) or not _is_still_there(file, path):
            file.seek(0)
            raise ValueError(
                f"Another process ({file.read() or 'its number is not known'}) is working in "
                f"{folder}. Wait for it, stop it, or choose another folder."
            )
        try:
            file.truncate(0)
            with contextlib.suppress(OSError):  # the disk is full: the lock holds all the same
                os.write(file.fileno(), str(os.getpid()).encode())
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
    finally:
        file.close()
        for parent in made:
            with contextlib.suppress(OSError):  # it is not empty
                parent.rmdir()


def _is_still_there(file, path):
    """Whether no other process has removed and made the file again since it was opened."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    return False


def _lock(file):
    """Locks an open file, without waiting; False if another process has locked it."""
    try:
        import fcntl
    except ImportError:
        import msvcrt  # Windows

        with contextlib.suppress(OSError):
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            return True
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
