"""TFRecord files, read by position: where each record lies, and the records themselves.

A record is its length (uint64), the checksum of that, its content, and the checksum of the content,
all little-endian (`tensorflow/core/lib/io/record_writer.h`).
"""

from pathlib import Path

import numpy as np

from keras_vae.data.crc32c import crc32c

HEAD, TAIL = 12, 4  # bytes before and after the content
_AT_ONCE = 2**16  # heads that are checked together
_PLACES = 64


def masked(checksums) -> np.ndarray:
    """Checksums as TFRecord files hold them, `<u4`."""
    checksums = np.asarray(checksums, "uint32")
    return (((checksums >> 15) | (checksums << 17)) + np.uint32(0xA282EAD8)).astype("<u4")


def framed(contents: np.ndarray) -> np.ndarray:
    """Returns records, uint8 `(n, bytes)`, of contents of one length, `(n, length)`."""
    n, length = contents.shape
    records = np.empty((n, HEAD + length + TAIL), "uint8")
    size = np.array([length], "<u8").view("uint8")
    records[:, :8] = size
    records[:, 8:HEAD] = masked(crc32c(size[None])).view("uint8")
    records[:, HEAD:-TAIL] = contents
    records[:, -TAIL:] = masked(crc32c(contents)).view("uint8").reshape(n, TAIL)
    return records


def find_records(path) -> np.ndarray:
    """Finds the records of a file by their lengths; of the contents nothing is read.

    If the file can be one of records of the first one's length, and those at 64 places in it are,
    all are taken to be: `read_records` refuses any that is not.

    Returns:
        Where each record begins and, last, where the file ends: int64 `(records + 1,)`.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if a length is not what was written, or the file ends within a record.
    """
    size, offset = Path(path).stat().st_size, 0
    offsets, heads = [0], bytearray()
    with open(path, "rb", buffering=0) as file:
        if found := _records_alike(file, size):
            length, count = found
            return length * np.arange(count + 1)
        while offset < size:
            file.seek(offset)
            head = file.read(HEAD)
            if len(head) < HEAD:
                break
            heads += head
            offset += HEAD + int.from_bytes(head[:8], "little") + TAIL
            if offset > size:
                break
            offsets.append(offset)
    _check_heads(path, np.frombuffer(heads, "uint8").reshape(-1, HEAD))
    if offsets[-1] != size:
        raise ValueError(
            f"{path} is cut off: it ends within record {len(offsets) - 1}, counted from 0. Copy or "
            "write the file again."
        )
    return np.array(offsets, "int64")


def read_records(path, offsets, ends, numbers) -> list[bytes]:
    """Returns the contents of some records of a file.

    Args:
        path: the file.
        offsets: where they begin, as `find_records` says.
        ends: where they end.
        numbers: their numbers in the file, for messages.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if a record is not what was written.
    """
    with open(path, "rb", buffering=0) as file:
        records = [_read(file, int(start), int(end)) for start, end in zip(offsets, ends)]
    contents = [record[HEAD:-TAIL] for record in records]
    for record, content, number in zip(records, contents, numbers):
        if int.from_bytes(record[:8], "little") != len(content) or len(content) < TAIL:
            raise _corrupt(path, number)
    wanted = np.frombuffer(b"".join(record[-TAIL:] for record in records), "<u4")
    bad = np.flatnonzero(masked(crc32c(contents)) != wanted)
    if len(bad):
        raise _corrupt(path, numbers[bad[0]])
    return contents


def _records_alike(file, size):
    """The length and number of a file's records, if they seem to have one length, else None."""
    head = file.read(HEAD)
    length = HEAD + int.from_bytes(head[:8], "little") + TAIL
    if len(head) < HEAD or size % length:
        return None
    for number in np.linspace(0, size // length - 1, _PLACES).astype(int).tolist():
        file.seek(number * length)
        if file.read(HEAD) != head:
            return None
    wanted = masked(crc32c([head[:8]])).tobytes()
    return (length, size // length) if wanted == head[8:] else None


def _read(file, start, end):
    file.seek(start)
    record = file.read(end - start)
    while record and len(record) < end - start:  # a read may be interrupted
        more = file.read(end - start - len(record))
        record = record + more if more else b""
    return record


def _check_heads(path, heads):
    for start in range(0, len(heads), _AT_ONCE):
        some = heads[start : start + _AT_ONCE]
        wanted = np.ascontiguousarray(some[:, 8:]).view("<u4")[:, 0]
        bad = np.flatnonzero(masked(crc32c(some[:, :8])) != wanted)
        if len(bad) and not start + bad[0]:
            raise ValueError(
                f"{path} is not a TFRecord file: it does not begin with a record. Compressed files "
                "are not read by position: decompress it."
            )
        if len(bad):
            raise _corrupt(path, start + bad[0])


def _corrupt(path, number):
    return ValueError(
        f"{path} is damaged: record {number}, counted from 0, is not what was written (its "
        "checksum differs). Copy or write the file again."
    )
