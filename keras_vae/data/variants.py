"""Variants of images: shifted and mirrored, which helps where there are few images."""

import numpy as np

from keras_vae.data.sources import is_source

FEW = 10_000  # images, of which variants are worth making without being asked


def count_variants(n):
    """Returns how many variants of each of `n` images are worth making, from 2 to 16."""
    return min(16, max(2, 2 * FEW // n))


def check_variants(x):
    """Raises ValueError if images are read as they are needed: variants are made in memory."""
    if is_source(x):
        raise ValueError(
            "shifts and flips make variants of images in memory, and these are read as they are "
            f"needed: set shifts to 0 and leave out flips. Received: {len(x)} images of a source"
        )


def variants(x, count, *, shifts=0, flips=False, seed=0):
    """Makes variants of images.

    Args:
        x: images `(n, height, width, channels)`.
        count: number of variants of each image; the first is the image itself.
        shifts: pixels by which an image is shifted at most, up or down and left or right; its edge
            is continued by its mirror image. Defaults to 0.
        flips: whether every second variant is mirrored, left to right. Defaults to False.
        seed: of the choice. Defaults to 0.

    Returns:
        Images `(count * n, height, width, channels)`: first all images, then a variant of each, and
        so on.
    """
    rng = np.random.default_rng(seed)
    made = np.concatenate([x] * count)
    padded = np.pad(x, ((0, 0), (shifts, shifts), (shifts, shifts), (0, 0)), mode="symmetric")
    height, width = x.shape[1:3]
    for index in range(len(x), len(made)):
        top, left = rng.integers(0, 2 * shifts + 1, 2)
        image = padded[index % len(x), top : top + height, left : left + width]
        made[index] = image[:, ::-1] if flips and index // len(x) % 2 else image
    return made
