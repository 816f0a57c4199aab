"""Pictures of images: grids, pairs of originals and reconstructions, labelled rows; saving."""

import io
import math
from pathlib import Path

import numpy as np

from keras_vae.checks import as_array, check_whole, scale
from keras_vae.files import write_bytes

_DPI = 128  # a power of two, so that pixels / dpi is exact and no pixel is lost
_TILE = 150  # images are enlarged until their longer side has up to this many pixels
_SIDE = 4096  # pictures of many images are enlarged less, to keep each side below this many pixels
_GAP = 4  # pixels between images
_TEXT = 18  # pixels for a line of text
PAIR_GAPS = [4 * _GAP, _GAP]  # above the two rows of a pair
_LARGEST = 100_000_000  # pixels of a picture


def image_grid(images, columns=None):
    """Draws images in a tight grid, row by row.

    Args:
        images: `(n, height, width)` or `(n, height, width, channels)`: uint8, or float in [0, 1],
            clipped to it. One channel is grey (0 black, 1 white), three are RGB, four RGBA; of
            any other number the mean is shown in grey.
        columns: images in a row. Defaults to None, for a grid that is about square.

    Returns:
        A `matplotlib.figure.Figure`, for a notebook or for `save`.

    Raises:
        ValueError: if `images` is not an array of images, or the picture would be too large.

    Example:

    >>> plots.save(plots.image_grid(model.generate(64)), "samples.png")
    """
    tiles = _tiles(images, "images")
    if columns is None:
        columns = _square(len(tiles))
    columns = check_whole("columns", columns, 1)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    return _figure(rows, [_GAP] * len(rows))


def check_grid(n, height, width):
    """Raises ValueError if `image_grid` would refuse n images of a size, as too large a picture."""
    columns = _square(n)
    _canvas([_GAP] * math.ceil(n / columns), columns, height, width)


def check_images(model):
    """Raises ValueError unless a model's data are images, `(height, width, channels)`."""
    model.check_built()
    if len(model.data_shape) != 3:
        raise ValueError(
            f"The model's data are not images, (height, width, channels): shape {model.data_shape}."
            " Grey images have one channel, as (28, 28, 1)."
        )


def reconstruction_pairs(x, reconstructions, columns=8):
    """Draws rows of originals, each above the row of their reconstructions.

    Args:
        x: the originals, as in `image_grid`.
        reconstructions: as many images of the same height and width.
        columns: pairs in a row. Defaults to 8.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ValueError: if these are not arrays of images that match.
    """
    originals, copies = _tiles(x, "x"), _tiles(reconstructions, "reconstructions")
    if originals.shape != copies.shape:
        raise ValueError(
            "x and reconstructions must hold as many images of the same size. "
            f"Received shapes: {np.shape(x)} and {np.shape(reconstructions)}"
        )
    columns = check_whole("columns", columns, 1)
    rows = []
    for start in range(0, len(originals), columns):
        rows += [originals[start : start + columns], copies[start : start + columns]]
    pairs = len(rows) // 2
    return _figure(rows, PAIR_GAPS * pairs, ["original", "reconstruction"] * pairs)


def labelled_rows(rows, labels=(), gaps=None, captions=None, title=None):
    """Draws rows of images, each beside its label; private to this package.

    Args:
        rows: images for each row, as in `image_grid`, all of one height and width.
        labels: a text for each row. Defaults to none.
        gaps: pixels above each row. Defaults to None, the same small gap.
        captions: a text below each image of each row. Defaults to None, none.
        title: a text above all rows. Defaults to None, none.
    """
    rows = [_tiles(row, "images") for row in rows]
    return _figure(rows, gaps or [_GAP] * len(rows), labels, captions, title)


def to_images(likelihood, *arrays):
    """Converts data of a likelihood to images that can be shown beside each other.

    Counts are divided by the largest of them; other data is read as the likelihood reads it.

    Args:
        likelihood: a `keras_vae.likelihoods.Likelihood`.
        *arrays: data, reconstructions or samples.

    Returns:
        A list of as many float32 arrays.
    """
    arrays = [likelihood.read(as_array(array)) for array in arrays]
    if likelihood.observes != "counts":
        return arrays
    largest = max(1.0, *(float(array.max()) for array in arrays))
    return [array / largest for array in arrays]


def save(figure, path):
    """Writes a figure as a PNG file, under a temporary name until it is complete.

    Args:
        figure: a `matplotlib.figure.Figure`.
        path: the file to write, ending in .png, in a folder that exists.

    Raises:
        ValueError: if the path does not end in .png.
        FileNotFoundError: if the folder does not exist.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"A picture's path must end in .png. Received: {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"No such folder: {path.parent.absolute()}. Make it first.")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=figure.dpi)
    write_bytes(path, content.getvalue())


def _tiles(images, name):
    """Images of any kind as uint8 RGBA, `(n, height, width, 4)`."""
    images = as_array(images, name)
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise ValueError(
            f"{name} must have shape (n, height, width) or (n, height, width, channels), none of "
            f"them 0. Received shape: {images.shape}"
        )
    if images.dtype.kind in "iu" and images.dtype != np.uint8:
        raise ValueError(
            f"{name} must be uint8 or float in [0, 1]. Received dtype: {images.dtype}. Cast 0 to "
            '255 with .astype("uint8"), 0 and 1 with .astype("float32").'
        )
    values = scale(images if images.ndim == 4 else images[..., None])
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite. Received NaN or infinite values.")
    if values.shape[-1] not in (1, 3, 4):
        values = values.mean(axis=-1, keepdims=True)
    pixels = np.rint(255 * np.clip(values, 0, 1)).astype("uint8")
    tiles = np.full((*pixels.shape[:3], 4), 255, "uint8")
    tiles[..., : max(3, pixels.shape[-1])] = pixels
    return tiles


def _figure(rows, gaps, labels=(), captions=None, title=None):
    """Rows of tiles on white, each below a gap of so many pixels; with texts about them."""
    from matplotlib.figure import Figure

    columns, height, width, _ = rows[0].shape
    margin, head, foot = 110 * bool(labels), _TEXT * bool(title), _TEXT * bool(captions)
    zoom, shape = _canvas(gaps, columns, height, width, margin, head, foot)
    height, width = zoom * height, zoom * width
    canvas = np.full((*shape, 4), 255, "uint8")
    figure = Figure((shape[1] / _DPI, shape[0] / _DPI), dpi=_DPI, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    style = {"fontsize": 7, "color": "0.3", "va": "center"}
    if title:
        axes.text(margin + _GAP, head / 2, title, **style)
    top = head
    for row, (tiles, gap) in enumerate(zip(rows, gaps)):
        top += gap
        for column, tile in enumerate(tiles):
            left = margin + _GAP + column * (width + _GAP)
            enlarged = tile.repeat(zoom, axis=0).repeat(zoom, axis=1)
            canvas[top : top + height, left : left + width] = enlarged
            if captions:
                place = (left + width / 2, top + height + foot / 2)
                axes.text(*place, captions[row][column], ha="center", **style)
        if labels:
            axes.text(margin - _GAP, top + height / 2, labels[row], ha="right", **style)
        top += height + foot
    axes.imshow(canvas, interpolation="nearest", aspect="auto")
    return figure


def _canvas(gaps, columns, height, width, margin=0, head=0, foot=0):
    """How much images are enlarged, and the size of the picture of them; ValueError if too large.

    A gap is above each row of images.
    """
    rows = len(gaps)
    largest = min(_TILE // max(height, width), _SIDE // max(rows * height, columns * width))
    zoom = max(1, largest)
    shape = (
        head + rows * (zoom * height + foot) + sum(gaps) + _GAP,
        margin + columns * (zoom * width + _GAP) + _GAP,
    )
    if math.prod(shape) > _LARGEST:
        raise ValueError(
            f"A picture may have {_LARGEST:,} pixels. These images would make {shape[0]:,} x "
            f"{shape[1]:,}: take fewer, or other columns."
        )
    return zoom, shape


def _square(n):
    return math.ceil(math.sqrt(n))
