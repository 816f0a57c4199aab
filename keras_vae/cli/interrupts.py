"""Ctrl-C in a command: one line on stderr, at once, and exit code 130."""

import contextlib
import os
import signal
import socket
import threading
import time

CODE = 130  # 128 + SIGINT, as a shell has it


def start():
    """Makes Ctrl-C end the process, also while it imports or computes outside of Python.

    Python itself would wait until a call of TensorFlow returns, and show a traceback of whatever
    was being imported. Where the caller ignores Ctrl-C, as nohup does, so does the process.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return
    try:
        stderr = os.dup(2)  # commands redirect it
    except OSError:  # closed
        stderr = None
    signal.signal(signal.SIGINT, _Interrupt(stderr))
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    # The thread keeps both ends open.
    threading.Thread(target=_watch, args=(reader, writer), daemon=True).start()


@contextlib.contextmanager
def grace(seconds):
    """A context in which Ctrl-C is a KeyboardInterrupt, and the process may take time to end."""
    before = signal.getsignal(signal.SIGINT)
    if not isinstance(before, _Interrupt):  # the command was not started by `main`
        yield
        return
    signal.signal(signal.SIGINT, _Interrupt(before.stderr, seconds))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Interrupt:
    leaving = threading.RLock()  # the watcher and the main thread may want to at the same time

    def __init__(self, stderr, grace=0):
        self.stderr, self.grace = stderr, grace

    def __call__(self, number, frame):
        if not self.grace:
            self.leave()
        raise KeyboardInterrupt

    def leave(self):
        self.leaving.acquire()  # never released: the other thread waits for the end
        if self.stderr is not None:
            # The cursor is hidden while a progress bar is shown.
            show_cursor = b"\x1b[?25h\r\n" if os.isatty(self.stderr) else b""
            with contextlib.suppress(OSError):
                os.write(self.stderr, show_cursor + b"Interrupted.\n")
        os._exit(CODE)


def _watch(reader, writer):
    """Ends the process after Ctrl-C if the main thread does not do so in time."""
    while number := reader.recv(1):
        interrupt = signal.getsignal(signal.SIGINT)
        if number[0] == signal.SIGINT and isinstance(interrupt, _Interrupt):
            _wait(interrupt.grace)
            interrupt.leave()


def _wait(grace):
    """Waits as long as the context of the signal allows, or one that is entered meanwhile."""
    begun = time.monotonic()
    while (left := begun + grace - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
        grace = max(grace, getattr(signal.getsignal(signal.SIGINT), "grace", 0))
