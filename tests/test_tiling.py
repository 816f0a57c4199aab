"""Tiles: what they show the networks, and how their outputs are put together."""

import keras
import numpy as np
import pytest
from conftest import quick_first
from keras import layers

import keras_vae
from keras_vae.latents import PointLatent, VectorQuantizer
from keras_vae.tiling import in_tiles

X = np.random.default_rng(0).random((2, 36, 24, 3), dtype="float32")


def patchwise(latent, width, strides=(2, 2)):
    """A model whose networks look at patches of 2 x 2 pixels, one at a time: tiles are exact."""
    inputs = keras.Input((None, None, 3))
    h = layers.Conv2D(width, strides, strides=strides, activation="tanh")(inputs)
    encoder = keras.Model(inputs, layers.Conv2D(width, 1)(h))
    decoder = keras.Sequential(
        [keras.Input((None, None, 4)), layers.Conv2DTranspose(3, strides, strides=strides)]
    )
    return keras_vae.VAE(encoder, decoder, latent, likelihood="gaussian", seed=0)


@pytest.mark.parametrize(
    ("latent", "width"),
    [(None, 8), (PointLatent(), 4), (VectorQuantizer(16, 4, seed=0), 4)],
    ids=["gaussian", "point", "quantizer"],
)
@pytest.mark.parametrize("tile_size", quick_first([10, 64, 4, 16], 2))
def test_tiles_of_networks_that_see_single_patches_give_what_the_whole_image_does(
    latent, width, tile_size
):
    model = patchwise(latent, width)
    code = model.encode(X)
    tiled = model.encode(X, tile_size=tile_size)
    np.testing.assert_allclose(tiled, code, rtol=1e-5, atol=1e-5)
    assert tiled.dtype == code.dtype
    images = model.decode(code)
    np.testing.assert_allclose(
        model.decode(code, tile_size=tile_size), images, rtol=1e-5, atol=1e-5
    )
    both = model.reconstruct(X, tile_size=tile_size)
    np.testing.assert_allclose(both, images, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tile_size", [8, 12, 20])
def test_the_strides_of_the_axes_may_differ(tile_size):
    model = patchwise(None, 8, strides=(2, 4))
    code = model.encode(X)
    assert code.shape == (2, 18, 6, 4)
    np.testing.assert_allclose(model.encode(X, tile_size=tile_size), code, rtol=1e-5, atol=1e-5)
    images = model.decode(code, tile_size=tile_size)
    np.testing.assert_allclose(images, model.decode(code), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="multiple of 4. Received: 10"):
        model.encode(X, tile_size=10)


def test_the_network_sees_nothing_larger_than_a_tile():
    shapes = set()

    def network(part):
        shapes.add(part.shape)
        return part[:, ::2, ::2]

    in_tiles(network, X, (16, 16), (2, 2))
    assert shapes == {(2, 16, 16, 3)}
    shapes.clear()
    in_tiles(network, X, (30, 30), (2, 2))  # the width is smaller than a tile
    assert shapes == {(2, 30, 24, 3)}


def test_neighbouring_tiles_are_blended_linearly():
    """Each tile returns its number; between the middles of an overlap, the result climbs evenly."""
    count = iter(range(100))
    x = np.zeros((1, 28, 1), "float32")
    got = in_tiles(lambda part: np.full(part.shape, next(count), "float32"), x, (16,), (1,))[
        0, :, 0
    ]
    # Tiles begin at 0 and 12, and overlap in 4 places: 12, ..., 15.
    assert (got[:12] == 0).all() and (got[16:] == 1).all()
    np.testing.assert_allclose(got[12:16], [0.125, 0.375, 0.625, 0.875], rtol=1e-6)


def test_a_list_of_outputs_stays_a_list():
    both = in_tiles(lambda part: [part, 2 * part], X, (8, 8), (2, 2))
    np.testing.assert_allclose(both[0], X, rtol=1e-5)
    np.testing.assert_allclose(both[1], 2 * X, rtol=1e-5)


@pytest.mark.parametrize("tile_size", [0, 7, 1, "16", 16.0])
def test_a_tile_must_be_a_multiple_of_the_strides(tile_size):
    with pytest.raises(ValueError, match="tile_size must be a"):
        patchwise(None, 8).encode(X, tile_size=tile_size)


@pytest.mark.parametrize("factory", ["conv_vae", "vq_vae", "kl_vae"])
def test_models_of_one_size_take_no_tiles(make, factory, grey):
    model = make(factory)
    with pytest.raises(ValueError, match="tile_size is for models that take data of any size"):
        model.reconstruct(grey, tile_size=4)
