"""Picture files of any kind and size, read as images of one shape; unreadable ones are reported."""

import re
from pathlib import Path

import numpy as np

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_LARGEST_DEFAULT = 64  # pixels a side


def read_folder(folder, size=None, channels=None, progress=None):
    """Reads all pictures in a folder and its subfolders, in the order of their names.

    Each is rotated as its EXIF data says, cropped about its centre to the proportions of the size,
    and resized. Transparent areas become white, unless there are four channels.

    Args:
        folder: the folder.
        size: `(height, width)` in pixels. Defaults to None: the pictures' own size if they share
            one of at most 64 x 64, else 64 x 64.
        channels: 1 (grey), 3 (RGB) or 4 (RGBA). Defaults to None: 1 if all pictures are grey, else
            3.
        progress: called with the number of files read so far and with that of all files.

    Returns:
        The images, uint8 `(n, height, width, channels)`, and a dict of the files left out:
        `{path: reason}`.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if no picture in it can be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"No such folder: {folder}")
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    paths = sorted(path for path in found if path.is_file())
    if not paths:
        raise ValueError(f"{folder} holds no pictures ({', '.join(SUFFIXES)}).")
    images, refused = [], {}
    if size is None or channels is None:
        common_size, common_channels = common_shape(paths)
        size, channels = size or common_size, channels or common_channels
    check_shape((*size, channels))
    for count, path in enumerate(paths, 1):
        try:
            images.append(read_picture(path, (*size, channels)))
        except (OSError, ValueError) as error:
            refused[path] = str(error)
        if progress is not None:
            progress(count, len(paths))
    if not images:
        raise ValueError(
            f"None of the {len(paths)} pictures in {folder} can be read: {refused[paths[-1]]}"
        )
    return np.stack(images), refused


def read_picture(path, shape):
    """Reads one picture as a uint8 image of a given shape; see `read_folder`.

    Raises:
        OSError: if the file cannot be opened.
        ValueError: if it is not a picture with 8 bits per channel, or is damaged.
    """
    from PIL import Image, ImageOps

    check_shape(shape)
    with _open(path) as picture:
        try:
            picture = ImageOps.exif_transpose(picture)
            if "A" in picture.getbands() or "transparency" in picture.info:
                picture = picture.convert("RGBA")
                if shape[-1] != 4:
                    white = Image.new("RGBA", picture.size, "white")
                    picture = Image.alpha_composite(white, picture)
            picture = picture.convert(_MODES[shape[-1]])
            size = (shape[1], shape[0])
            if picture.size != size:
                picture = ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
        except Exception as error:  # Pillow may raise anything for a damaged file
            raise ValueError(f"{path} cannot be read: {error}") from error
    return np.asarray(picture).reshape(shape)


def check_shape(shape):
    """Raises ValueError unless a shape is `(height, width, channels)` of 1, 3 or 4 channels."""
    if len(shape) != 3 or shape[-1] not in _MODES:
        raise ValueError(
            "A picture has a height, a width and 1, 3 or 4 channels; use an .npz for other data. "
            f"Received shape: {tuple(shape)}"
        )


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


def _open(path):
    from PIL import Image

    try:
        picture = Image.open(path)
    except OSError as error:
        # Pillow's own error, of a file that is no picture, has no errno.
        raise error if error.errno else ValueError(f"{path} is not a picture.") from error
    except Exception as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if picture.mode[0] in "IF":
        picture.close()
        raise ValueError(f"{path} must have 8 bits per channel. Received mode: {picture.mode}")
    return picture


def common_shape(paths):
    """Returns the size and channels that `read_folder` chooses for pictures, from their headers."""
    sizes, grey = set(), True
    for path in paths:
        try:
            with _open(path) as picture:
                sizes.add((picture.height, picture.width))
                grey = grey and picture.mode in ("1", "L", "LA")
        except (OSError, ValueError):
            continue
    size = (_LARGEST_DEFAULT, _LARGEST_DEFAULT)
    if len(sizes) == 1 and max(map(max, sizes)) <= _LARGEST_DEFAULT:
        size = sizes.pop()
    return size, 1 if grey else 3
