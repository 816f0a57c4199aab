"""Tiles: networks run on parts of large images, whose overlapping outputs are blended."""

import itertools
import math

import keras
import numpy as np
from keras import ops

from keras_vae.checks import check_whole

OVERLAP = 0.25  # of a tile


class Tiling:
    """What `Inference` does with tiles."""

    def _check_tile(self, tile_size):
        """Returns the side of a tile in pixels, and its sides in codes, or None.

        Raises:
            ValueError: if the model or the side is not one for tiles.
        """
        if tile_size is None:
            return None
        self.check_built()
        shape = self.example_shape()
        codes = self.code_spec(shape).shape
        if None not in self.data_shape or len(codes) < len(shape) - 1:
            raise ValueError(
                "tile_size is for models that take data of any size and whose codes are maps."
            )
        steps = [size // code for size, code in zip(shape[:-1], codes)]
        step = math.lcm(*steps)
        size = check_whole("tile_size", tile_size, step)
        if size % step:
            raise ValueError(f"tile_size must be a multiple of {step}. Received: {tile_size}")
        return size, [size // step for step in steps]

    def _encode_tiles(self, batch, tile):
        encoded, (size, sides) = self._compiled(self._encoded), tile
        steps = [size // side for side in sides]
        h = in_tiles(lambda part: encoded(self._tensor(part)), batch, [size] * len(sides), steps)
        return self.latent.code(keras.tree.map_structure(ops.convert_to_tensor, h))

    def _decode_tiles(self, code, tile):
        outputs = self._compiled(self._decoder_outputs)
        vectors = ops.convert_to_numpy(self.latent.decoder_input(code))
        sides, steps = tile[1], [1] * len(tile[1])
        blended = in_tiles(lambda part: outputs(ops.convert_to_tensor(part)), vectors, sides, steps)
        return ops.convert_to_numpy(self.likelihood.mean(ops.convert_to_tensor(blended)))

    def _decoder_outputs(self, decoder_input):
        return self.decoder(decoder_input, training=False)


def in_tiles(network, x, sizes, steps):
    """Runs a network on overlapping tiles and blends their outputs linearly.

    The memory that the network uses is that of one tile. Layers that look at the whole image, as
    attention and group normalisation do, look at the whole tile, so the result is close to that of
    the network, not equal.

    Args:
        network: a function from `(n, *sizes, channels)` to a tensor, or a list of tensors, whose
            sizes are multiples, or fractions, of those of its input.
        x: an array `(n, *sizes, channels)`.
        sizes: of a tile, along each axis; axes that are shorter are not divided.
        steps: what sizes and starts of tiles must be multiples of, along each axis.

    Returns:
        What the network returns for x, float32.
    """
    spans = [_spans(*of_axis) for of_axis in zip(x.shape[1:-1], sizes, steps)]
    sums, weights = None, None
    for tile in itertools.product(*spans):
        outputs = network(x[(slice(None), *tile)])
        structure = outputs
        flat = keras.tree.flatten(outputs)
        outputs = [ops.convert_to_numpy(output).astype("float32") for output in flat]
        if sums is None:
            sums = [np.zeros(_whole(x, tile, output), "float32") for output in outputs]
            weights = [np.zeros(part.shape[1:-1] + (1,), "float32") for part in sums]
        for output, whole, weight in zip(outputs, sums, weights):
            lengths = output.shape[1:-1]
            place = tuple(
                slice(span.start * length // (span.stop - span.start), None)
                for span, length in zip(tile, lengths)
            )
            place = tuple(slice(at.start, at.start + n) for at, n in zip(place, lengths))
            window = _window(lengths)
            whole[(slice(None), *place)] += window * output
            weight[place] += window
    blended = [whole / weight for whole, weight in zip(sums, weights)]
    return keras.tree.pack_sequence_as(structure, blended)


def _spans(length, size, step):
    """The parts of an axis: all of one length, the last one at its end."""
    if length <= size:
        return [slice(0, length)]
    stride = max(step, int(size * (1 - OVERLAP)) // step * step)
    starts = [*range(0, length - size, stride), length - size]
    return [slice(start, start + size) for start in starts]


def _whole(x, tile, output):
    """The shape of the network's output for all of x, from that for one tile."""
    sizes = [
        length * got // (span.stop - span.start)
        for length, span, got in zip(x.shape[1:-1], tile, output.shape[1:-1])
    ]
    return (output.shape[0], *sizes, output.shape[-1])


def _window(lengths):
    """Weights that fall linearly towards the edges of a tile, `(*lengths, 1)`."""
    window = np.ones((), "float32")
    for length in lengths:
        place = np.arange(length) + 0.5
        ramp = np.minimum(place, length - place) / (OVERLAP * length)
        window = window[..., None] * np.minimum(ramp, 1).astype("float32")
    return window[..., None]
