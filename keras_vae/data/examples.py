"""Images in `tf.train.Example`, the content of TFRecord files, read and written without TensorFlow.

An image is the bytes feature `image`: a PNG or JPEG file, as tensorflow-datasets writes it, or raw
uint8 values beside an integer feature `shape`. The messages are those of
`tensorflow/core/example/example.proto` and `feature.proto`.
"""

import io
import math

import numpy as np

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers
_ENCODED = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_AS_THEY_ARE = ("L", "RGB", "RGBA")
_AS_RGB = ("1", "P", "CMYK", "YCbCr")


def write_prefix(shape) -> bytes:
    """Returns what stands before the raw values of an image of a shape in its Example."""
    sizes = b"".join(map(_varint, shape))
    of_shape = _field(3, _field(1, sizes))  # Feature.int64_list, Int64List.value
    size = math.prod(shape)
    value = _tag(1) + _varint(size)  # BytesList.value, of which the values follow
    feature = _tag(1) + _varint(len(value) + size) + value  # Feature.bytes_list
    image = _field(1, b"image") + _tag(2) + _varint(len(feature) + size) + feature
    entry = _tag(1) + _varint(len(image) + size) + image
    entries = _field(1, _field(1, b"shape") + _field(2, of_shape)) + entry
    return _tag(1) + _varint(len(entries) + size) + entries  # Example.features


def read_image(content: bytes, key="image") -> np.ndarray:
    """Returns the image of an Example, uint8 `(height, width, channels)` or of its own shape.

    Args:
        content: the Example.
        key: name of the feature. Defaults to `"image"`.

    Raises:
        ValueError: if it is no Example with such an image.
    """
    try:
        features = _features(content)
        value = _first_bytes(features.get(key, b""))
        shape = _integers(features.get("shape", b""))
    except (IndexError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError("it is not a tf.train.Example.") from error
    if key not in features:
        found = ", ".join(sorted(features)) or "nothing"
        raise ValueError(f"it has no feature {key!r}. It has: {found}.")
    if value.startswith(_ENCODED):
        return _decode(value)
    if not shape or math.prod(shape) != len(value):
        raise ValueError(
            f"its {key} is neither a PNG nor a JPEG file, nor raw uint8 values of a shape that an "
            f"integer feature 'shape' gives. Received {len(value)} bytes and shape {shape}."
        )
    return np.frombuffer(value, "uint8").reshape(shape)


def _decode(value):
    from PIL import Image

    try:
        with Image.open(io.BytesIO(value), formats=("PNG", "JPEG")) as picture:
            if picture.mode not in (*_AS_THEY_ARE, *_AS_RGB):
                raise ValueError(f"its values are not of 8 bits (mode {picture.mode}).")
            image = np.asarray(picture.convert("RGB") if picture.mode in _AS_RGB else picture)
    except OSError as error:  # Pillow's own, of a damaged file
        raise ValueError(f"its image cannot be decoded: {error}") from error
    return image if image.ndim == 3 else image[..., None]


def _features(content):
    """The features of an Example by their names, each an undecoded Feature."""
    features = {}
    for number, value in _fields(content):
        if number == 1:  # Example.features
            for _, entry in _fields(value):
                parts = dict(_fields(entry))
                features[bytes(parts[1]).decode()] = parts.get(2, b"")
    return features


def _first_bytes(feature):
    for number, values in _fields(feature):
        if number == 1:  # Feature.bytes_list
            for _, value in _fields(values):
                return bytes(value)
    return b""


def _integers(feature):
    found = []
    for number, values in _fields(feature):
        if number == 3:  # Feature.int64_list, whose values may be packed
            for _, value in _fields(values):
                if isinstance(value, int):
                    found.append(value)
                    continue
                at = 0
                while at < len(value):
                    integer, at = _read_varint(value, at)
                    found.append(integer)
    return tuple(found)


def _fields(message):
    """Yields the fields of a message: their numbers, and bytes or integers."""
    message, at = memoryview(message), 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _read_varint(message, at)
        else:
            if kind == _BYTES:
                size, at = _read_varint(message, at)
            elif kind in (_FIXED32, _FIXED64):
                size = 4 if kind == _FIXED32 else 8
            else:
                raise IndexError(f"no field has the wire type {kind}")
            value, at = message[at : at + size], at + size
            if at > len(message):
                raise IndexError("a field is longer than its message")
        yield tag >> 3, value


def _read_varint(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _tag(number):
    return bytes([number << 3 | _BYTES])


def _field(number, content):
    return _tag(number) + _varint(len(content)) + content
