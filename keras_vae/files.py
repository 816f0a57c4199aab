"""Reading, writing and hashing files; writes are atomic, so no partial file is ever read."""

import hashlib
import json
import os
from pathlib import Path


def write_bytes(path, content: bytes):
    """Writes a file atomically: under a temporary name in the same folder, then renamed."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path, content):
    """Writes indented JSON that ends with a newline."""
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


def read_json(path, largest: int | None = None) -> dict:
    """Reads a file that holds a JSON object.

    Args:
        path: the file.
        largest: how many bytes it may have. Defaults to None, any number.

    Raises:
        ValueError: if the file cannot be read, is too large or is not a JSON object.
    """
    if largest and Path(path).is_file() and Path(path).stat().st_size > largest:
        raise ValueError(f"{path} has more than the {largest} bytes allowed.")
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object.")
    return content


def megabytes(count: int) -> str:
    """A number of bytes as it is shown, in megabytes of 10^6 bytes: `"3.9 MB"`."""
    return f"{count / 1e6:.1f} MB"


def sha256(path) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
