"""Picture files of any kind and size, read as images of one shape; what is left out is reported."""

import contextlib
import functools
import itertools
import re
import warnings
from pathlib import Path

import numpy as np

from keras_vae.data.folders import LeftOut, find_files

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_LARGEST_DEFAULT = 64  # pixels a side
# Known by the first bytes of a file, whatever its name. Others need their extension.
_KNOWN_BY_CONTENT = (
    *("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "PNG", "PPM", "PSD", "QOI", "TIFF", "WEBP"),
)
# Pillow cannot decode these, or starts another program to do so.
_NEVER = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")
_ANIMATED = ("AVIF", "FLI", "GIF", "HEIF", "PNG", "TIFF", "WEBP")


def read_folder(folder, size=None, channels=None, progress=None, limit=None, wanted=None):
    """Reads the pictures in a folder, its subfolders and linked folders, in the order of names.

    Everything that Pillow reads is a picture, whatever its name; of an animation the first frame.
    16-bit and float pictures are scaled to 8 bits. Each picture is rotated as its EXIF data says,
    cropped about its centre to the proportions of the size, and resized. Transparent areas become
    white, unless there are four channels.

    Args:
        folder: the folder.
        size: `(height, width)` in pixels. Defaults to None: the pictures' own size if they share
            one of at most 64 x 64, else 64 x 64.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA). Defaults to None: 1 if all pictures are grey, else
            3.
        progress: called with the number of files read so far and with that of all files.
        limit: number of pictures to read, drawn from the whole folder, always the same ones.
            Defaults to None, all.
        wanted: a function of images that says of each whether it is wanted; others are not
            returned. Defaults to None, all are.

    Returns:
        The images, uint8 `(n, height, width, channels)`, and a dict of the files left out:
        `{path: reason}` (a `LeftOut`, which also counts the frames of animations).

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if no picture in it can be read.
    """
    left = LeftOut()
    paths = find_files(folder, left)
    shape = shape_of_files(paths, size, channels)
    if limit is not None and limit < len(paths):
        paths = [paths[key] for key in np.random.RandomState(0).permutation(len(paths))]
    images, seen = [], 0
    for image in read_each(paths, shape, left, progress):
        seen += 1
        if wanted is None or wanted(image[None])[0]:
            images.append(image)
        if len(images) == limit:
            break
    if not seen:
        raise nothing_in(folder, left)
    return np.array(images, "uint8").reshape(-1, *shape), left


def read_each(paths, shape, left, progress=None):
    """Yields the pictures among some files, one after the other; see `read_folder`.

    Args:
        paths: the files.
        shape: `(height, width, channels)`.
        left: the `LeftOut` that takes the other files.
        progress: as there.
    """
    for count, path in enumerate(paths, 1):
        try:
            image, frames = _read(path, shape)
        except (OSError, ValueError) as error:
            left[path] = str(error)
            if isinstance(error, _NoPicture) and not _format_of_suffix(path):
                left.others.append(path)
            image, frames = None, 1
        if frames > 1:
            left.frames[path] = frames - 1
        if progress is not None:
            progress(count, len(paths))
        if image is not None:
            yield image


def read_batches(folder, shape, batch_size, left, progress=None):
    """Yields all pictures in a folder in batches `(n, *shape)`, as `read_folder` reads them.

    Args:
        folder: the folder.
        shape: `(height, width, channels)`; the size that `read_folder` chooses if there is None.
        batch_size: pictures in a batch.
        left: the `LeftOut` that takes the other files.
        progress: as there.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if no picture in it can be read.
    """
    paths = find_files(folder, left)
    shape = shape_of_files(paths, None if None in shape else shape[:2], shape[2])
    each = read_each(paths, shape, left, progress)
    batch = list(itertools.islice(each, batch_size))
    if not batch:
        raise nothing_in(folder, left)
    while batch:
        yield np.stack(batch)
        batch = list(itertools.islice(each, batch_size))


def shape_of_folder(folder, size=None, channels=None):
    """Returns the shape `(height, width, channels)` in which `read_folder` reads the pictures."""
    return shape_of_files(find_files(folder, LeftOut()), size, channels)


def read_picture(path, shape):
    """Reads one picture as a uint8 image of a given shape; see `read_folder`.

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if it is not a picture, is damaged, or holds values of unknown scale.
    """
    return _read(path, check_shape(shape))[0]


def check_shape(shape):
    """Returns a shape; ValueError unless it is `(height, width, channels)` of 1, 3 or 4."""
    if len(shape) != 3 or shape[-1] not in _MODES:
        raise ValueError(
            "A picture has a height, a width and 1, 3 or 4 channels; use an .npz for other data. "
            f"Received shape: {tuple(shape)}"
        )
    return tuple(shape)


def check_size(text):
    """Returns the `(height, width)` that a text such as 64 or 48x64 stands for.

    Raises:
        ValueError: if it is neither.
    """
    found = re.fullmatch(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?", text)
    if not found:
        raise ValueError(f"A size is one number or HEIGHTxWIDTH, in pixels. Received: {text!r}")
    height, width = found.groups()
    return int(height), int(width or height)


def common_shape(paths):
    """Returns the size and channels that `read_folder` chooses for pictures, from their headers."""
    sizes, grey = set(), True
    for path in paths:
        with contextlib.suppress(OSError, ValueError), _opened(path) as picture:
            turned = picture.getexif().get(0x0112, 1) >= 5  # orientation: by a quarter
            sizes.add(picture.size if turned else picture.size[::-1])
            grey = grey and picture.mode[:2] in ("1", "L", "LA", "F", "I", "I;")
    size = (_LARGEST_DEFAULT, _LARGEST_DEFAULT)
    if len(sizes) == 1 and max(map(max, sizes)) <= _LARGEST_DEFAULT:
        size = sizes.pop()
    return size, 1 if grey else 3


def shape_of_files(paths, size, channels):
    """Returns the shape `(height, width, channels)` in which `read_folder` reads these files."""
    if size is None or channels is None:
        common_size, common_channels = common_shape(paths)
        size, channels = size or common_size, channels or common_channels
    return check_shape((*size, channels))


def nothing_in(folder, left):
    """The error of a folder without pictures."""
    reasons = " ".join(left.lines(most=1)) or "It is empty."
    return ValueError(f"{folder} holds no pictures that can be read. {reasons}")


class _NoPicture(ValueError):
    pass


def _read(path, shape):
    """Reads a picture as an image of a shape, and counts its frames."""
    from PIL import Image, ImageOps

    with _opened(path) as picture:
        frames = getattr(picture, "n_frames", 1) if picture.format in _ANIMATED else 1
        picture = _with_8_bits(ImageOps.exif_transpose(picture))
        if "A" in picture.getbands() or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            if shape[-1] != 4:
                white = Image.new("RGBA", picture.size, "white")
                picture = Image.alpha_composite(white, picture)
        picture = picture.convert(_MODES[shape[-1]])
        size = (shape[1], shape[0])
        if picture.size != size:
            picture = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
        return np.asarray(picture).reshape(shape), frames


def _with_8_bits(picture):
    """Scales a grey picture of 16 bits, or of floats, to 8 bits; returns others as they are."""
    from PIL import Image

    if picture.mode[0] not in "IF":
        return picture
    largest, rule = (1, "floats from 0 to 1") if picture.mode == "F" else (65535, "16-bit numbers")
    values = np.asarray(picture).astype("float64")
    if not (values.min() >= -1e-6 and values.max() <= largest * (1 + 1e-6)):  # NaN, too
        raise ValueError(
            f"its values must be {rule}. Received: {values.min():g} to {values.max():g}"
        )
    return Image.fromarray(np.rint(np.clip(values / largest, 0, 1) * 255).astype("uint8"))


@contextlib.contextmanager
def _opened(path):
    """An open picture; whatever goes wrong with it is a ValueError that names the file.

    Pillow's warnings, such as that of a large picture, do not name it, and are not shown.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = _image_module().open(path, formats=_formats(path))
        except OSError as error:
            # Pillow's own error, of a file that is no picture, has no errno.
            raise error if error.errno else _NoPicture(f"{path} is not a picture.") from error
        except Exception as error:  # Pillow may raise anything for a damaged file
            raise _NoPicture(f"{path} cannot be read: {error}") from error
        with picture:
            try:
                yield picture
            except Exception as error:
                raise ValueError(f"{path} cannot be read: {error}") from error


@functools.cache
def _image_module():
    from PIL import Image

    with contextlib.suppress(ImportError):
        import pillow_heif  # reads .heic, if the user has it

        pillow_heif.register_heif_opener()
    return Image


def _format_of_suffix(path):
    """The format that the extension of a file suggests, if it is one that can be read."""
    image = _image_module()
    name = image.registered_extensions().get(Path(path).suffix.lower())
    return name if name in image.OPEN and name not in _NEVER else None


def _formats(path):
    formats = dict.fromkeys((*_KNOWN_BY_CONTENT, _format_of_suffix(path)))
    return [name for name in formats if name in _image_module().OPEN]
