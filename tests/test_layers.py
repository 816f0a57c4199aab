"""Keras's layers compute the same numbers with our code: outputs, gradients, files."""

import copy
import itertools

import keras
import numpy as np
import pytest
from keras import layers
from keras.ops import convert_to_numpy as to_numpy
from reference_steps import gradient

from keras_vae.backends import speed_up_layer

RNG = np.random.default_rng(0)
not_on_jax = pytest.mark.skipif(keras.backend.backend() == "jax", reason="left to Keras there")


def both(kind, channels=3, size=(8, 7), **arguments):
    """A layer of Keras and one that computes with our code, of the same weights, and an input."""
    rng = np.random.default_rng(0)  # its own: the order of tests differs from run to run
    x = rng.normal(size=(2, *size, channels)).astype("float32")
    keras_own = kind(**arguments)
    keras_own(x)
    keras_own.set_weights([rng.normal(size=w.shape) for w in keras_own.weights])
    ours = kind.from_config(keras_own.get_config())
    speed_up_layer(ours)
    ours(x)
    ours.set_weights(keras_own.get_weights())
    return ours, keras_own, x


def agree(ours, keras_own, x, atol=1e-5):
    np.testing.assert_allclose(to_numpy(ours(x)), to_numpy(keras_own(x)), rtol=1e-5, atol=atol)
    squares = [
        gradient(lambda t, layer=layer: keras.ops.square(layer(t)), x)
        for layer in (ours, keras_own)
    ]
    np.testing.assert_allclose(*squares, rtol=1e-4, atol=1e-4)


CONVOLUTIONS = [  # every pair of two arguments occurs
    {"filters": (1, 2, 5)[i % 3], "kernel_size": size, "padding": padding, "strides": strides}
    for i, (size, (padding, strides)) in enumerate(
        itertools.product(
            (1, 2, 3, 4, (2, 5)), (("same", 1), ("valid", 1), ("same", 2), ("same", (1, 3)))
        )
    )
]


@not_on_jax
@pytest.mark.parametrize("arguments", CONVOLUTIONS, ids=str)
def test_a_convolution_is_that_of_keras(arguments):
    agree(*both(layers.Conv2D, **arguments))


@not_on_jax
@pytest.mark.parametrize(
    "special",
    [
        {"use_bias": False, "activation": "relu"},
        {"groups": 2, "filters": 2},
        {"dilation_rate": 2},
        {"data_format": "channels_first"},
    ],
    ids=str,
)
def test_so_is_one_of_less_common_arguments(special):
    if special.get("data_format") == "channels_first" and keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow has no such convolution on a CPU.")
    agree(*both(layers.Conv2D, 4, **{"filters": 1, "kernel_size": 3, "padding": "same"} | special))


@not_on_jax
def test_the_gradient_of_a_kernel_is_that_of_keras():
    """Seen by one step of training, with images of a size that the graph does not know."""
    x = RNG.normal(size=(6, 8, 7, 3)).astype("float32")
    y = RNG.normal(size=(6, 8, 7, 1)).astype("float32")
    weights = []
    for speed_up in (False, True):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((None, None, 3))
        layer = layers.Conv2D(1, 4, padding="same")
        model = keras.Model(inputs, layer(layers.Conv2D(3, 3, padding="same")(inputs)))
        for one in model.layers if speed_up else ():
            speed_up_layer(one)
        model.compile(keras.optimizers.SGD(0.5), "mse")
        model.fit(x, y, batch_size=3, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for ours, keras_own in zip(*weights):
        np.testing.assert_allclose(ours, keras_own, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, (3, 4)])
@pytest.mark.parametrize("strides", [1, 2, 3])
def test_a_transposed_convolution_is_that_of_keras(size, strides):
    arguments = {"kernel_size": size, "strides": strides, "activation": "relu"}
    agree(*both(layers.Conv2DTranspose, filters=5, padding="same", **arguments), atol=1e-4)


@pytest.mark.parametrize("special", [{"padding": "valid"}, {"use_bias": False}], ids=str)
def test_so_is_one_of_less_common_arguments_too(special):
    agree(*both(layers.Conv2DTranspose, filters=2, kernel_size=3, strides=2, **special), atol=1e-4)


@not_on_jax
@pytest.mark.parametrize("plain", [{}, {"center": False}, {"scale": False}], ids=str)
def test_group_normalization_is_that_of_keras(plain):
    agree(*both(layers.GroupNormalization, 6, groups=3, epsilon=1e-6, **plain))


@not_on_jax
def test_so_is_that_of_signals():
    agree(*both(layers.GroupNormalization, 6, size=(5,), groups=3))


@not_on_jax
@pytest.mark.parametrize("special", [{}, {"size": (1, 3)}, {"interpolation": "bilinear"}], ids=str)
def test_upsampling_is_that_of_keras(special):
    agree(*both(layers.UpSampling2D, **special))


def test_a_network_of_branches_gives_what_keras_gives():
    """Whose tensors are needed more than once, at once or later, or are outputs themselves."""
    inputs = keras.Input((4, 4, 2))
    a = layers.Conv2D(2, 3, padding="same")(inputs)
    b = layers.Add()([a, a])
    c = layers.Concatenate()([layers.Activation("relu")(b), inputs, a])
    model = keras.Model(inputs, {"first": a, "all": [c, layers.Add()([b, inputs])]})
    x = RNG.normal(size=(3, 4, 4, 2)).astype("float32")
    expected = model(x)
    speed_up_layer(model)
    keras.tree.map_structure(
        lambda ours, own: np.testing.assert_array_equal(to_numpy(ours), to_numpy(own)),
        model(x),
        expected,
    )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_layers_compute_in_their_own_precision(policy):
    for kind, arguments in {
        layers.Conv2D: {"filters": 1, "kernel_size": 3, "padding": "same"},
        layers.GroupNormalization: {"groups": 2},
        layers.UpSampling2D: {},
    }.items():
        ours, keras_own, x = both(kind, 4, dtype=policy, **arguments)
        assert ours(x).dtype == keras_own(x).dtype
        got, expected = (to_numpy(keras.ops.cast(f(x), "float32")) for f in (ours, keras_own))
        # One step of bfloat16 is up to 1/128 of a number.
        np.testing.assert_allclose(got, expected, rtol=1 / 128, atol=0.1)
        if kind is layers.Conv2D:  # torch trains Keras's own in neither on some processors
            assert np.isfinite(gradient(lambda t, f=ours: keras.ops.cast(f(t), "float32"), x)).all()


def test_the_configuration_is_that_of_keras_and_so_are_copies():
    ours, keras_own, x = both(layers.Conv2D, filters=1, kernel_size=3, padding="same")
    assert ours.get_config() == keras_own.get_config()
    twin = copy.deepcopy(ours)
    twin.set_weights([0 * w for w in twin.get_weights()])
    assert not np.any(to_numpy(twin(x))) and np.any(to_numpy(ours(x)))


def test_layers_of_a_user_s_own_class_are_left_alone():
    class Doubled(layers.Conv2D):
        def call(self, inputs):
            return 2 * super().call(inputs)

    ours, keras_own, x = both(Doubled, filters=1, kernel_size=3, padding="same")
    assert not {"call", "convolution_op"} & set(vars(ours))
    np.testing.assert_array_equal(to_numpy(ours(x)), to_numpy(keras_own(x)))
