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


def read_json(path) -> dict:
    """Reads a file that holds a JSON object.

    Raises:
        ValueError: if the file cannot be read or is not a JSON object.
    """
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object.")
    return content


def sha256(path) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
