"""CRC-32C (Castagnoli), the checksum of TFRecord files, of many records at once.

A CRC is linear over GF(2): a record is cut into pieces whose remainders are computed side by side,
and joined two by two. That of `b"123456789"` is 0xE3069283 (RFC 3720, appendix B.4, has others).
"""

import functools

import numpy as np

_POLYNOMIAL = 0x82F63B78  # reflected
_PIECE = 128  # bytes, about: longer pieces are fewer numbers in each of more operations
_LEAST = 4  # bytes


def crc32c(records) -> np.ndarray:
    """Returns the CRC-32C of each of some records, uint32 `(n,)`.

    Args:
        records: bytes or uint8 arrays of at least four bytes, or an array `(n, length)` of records
            of one length.
    """
    longest = max(map(len, records))
    pieces = 1 << max(0, (longest // _PIECE).bit_length() - 1)
    size = -(-longest // pieces)
    size += size % 2
    # Zeros in front change nothing in a remainder that begins at 0. The one of CRC-32C begins at
    # 0xFFFFFFFF, which is as if the first four bytes were inverted.
    padded = np.zeros((len(records), pieces * size), "uint8")
    if isinstance(records, np.ndarray):
        padded[:, -longest:] = records
        padded[:, padded.shape[1] - longest :][:, :_LEAST] ^= 0xFF
    else:
        for row, record in zip(padded, records):
            own = row[len(row) - len(record) :]
            own[:] = np.frombuffer(record, "uint8")
            own[:_LEAST] ^= 0xFF
    words = padded.view("<u2").reshape(len(records) * pieces, size // 2)
    found = np.zeros(len(words), "uint32")
    table = _after_two_bytes()
    for word in np.ascontiguousarray(words.T):
        found = table.take(found.astype("uint16") ^ word) ^ (found >> 16)
    found = found.reshape(len(records), pieces)
    while found.shape[1] > 1:
        found = _shifted(found[:, ::2], size) ^ found[:, 1::2]
        size *= 2
    return ~found[:, 0]


@functools.cache
def _after_two_bytes():
    """What becomes of each remainder below 2^16 after two bytes of zeros."""
    remainders = np.arange(2**16, dtype="uint32")
    for _ in range(16):
        odd = remainders & 1
        remainders = (remainders >> 1) ^ (odd * np.uint32(_POLYNOMIAL))
    return remainders


def _shifted(remainders, size):
    """What becomes of remainders after so many bytes of zeros."""
    low, high = _shifts(size)
    return low[remainders & 0xFFFF] ^ high[remainders >> 16]


@functools.lru_cache(maxsize=64)
def _shifts(size):
    """What becomes of the two halves of a remainder after an even number of bytes of zeros."""
    table = _after_two_bytes()
    bits = np.uint32(1) << np.arange(32, dtype="uint32")
    for _ in range(size // 2):
        bits = table[bits & 0xFFFF] ^ (bits >> 16)
    halves = []
    for of_half in (bits[:16], bits[16:]):
        values = np.zeros(1, "uint32")
        for bit in of_half:
            values = np.concatenate([values, values ^ bit])
        halves.append(values)
    return halves
