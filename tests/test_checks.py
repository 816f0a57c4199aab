"""The checks at the door: the rule, what was received, what would work."""

import math

import ml_dtypes
import numpy as np
import pytest

from keras_vae import checks
from keras_vae.likelihoods import Categorical, DiscretisedLogistic, Gaussian, Poisson


@pytest.mark.parametrize("value", [0, 1.5, True, "3", None, math.nan])
def test_a_whole_number_is_whole_and_large_enough(value):
    with pytest.raises(ValueError, match="latent_dim must be a whole number >= 1. Received: "):
        checks.check_whole("latent_dim", value, 1)


def test_numpy_integers_are_whole_numbers():
    assert checks.check_whole("n", np.int64(3), 1) == 3
    assert isinstance(checks.check_whole("n", np.int64(3), 1), int)


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, True, "1", None])
def test_a_number_is_finite_and_within_its_bounds(value):
    with pytest.raises(ValueError, match="beta must be a finite number >= 0. Received: "):
        checks.check_number("beta", value, 0)


def test_a_number_with_two_bounds_names_both():
    with pytest.raises(ValueError, match=r"decay must be a finite number in \[0, 1\]. Received: 2"):
        checks.check_number("decay", 2, 0, 1)
    assert checks.check_number("decay", np.float32(0.5), 0, 1) == 0.5


@pytest.mark.parametrize("value", [(), "28", (28, 0), (28, 1.5), None, (28, None)])
def test_sizes_are_whole_numbers(value):
    with pytest.raises(ValueError, match="input_shape must be a"):
        checks.check_sizes("input_shape", value)


def test_sizes_come_as_tuples_of_ints():
    assert checks.check_sizes("filters", [np.int32(4), 8]) == (4, 8)
    assert checks.check_sizes("input_shape", 64) == (64,)
    assert checks.check_sizes("hidden_units", (), allow_empty=True) == ()


@pytest.mark.parametrize(
    "x, advice",
    [
        (np.zeros((8, 8, 1)), r"Received shape: \(8, 8, 1\).*x\[None\]"),
        (np.zeros((5, 8, 8)), r"Received shape: \(5, 8, 8\).*x\[..., None\]"),
        (np.zeros((5, 64)), r"Received shape: \(5, 64\).*x.reshape\(\(-1, 8, 8, 1\)\)"),
        (np.zeros((5, 8, 8, 3)), r"Received shape: \(5, 8, 8, 3\)"),
        (np.zeros(()), r"Received shape: \(\)"),
    ],
)
def test_a_wrong_shape_is_answered_with_advice(x, advice):
    with pytest.raises(ValueError, match=r"x must have shape \(n, 8, 8, 1\). " + advice):
        checks.check_data(x, (8, 8, 1), Gaussian())


def test_nan_is_counted_and_found():
    x = np.zeros((5, 2))
    x[3, 1], x[4, 0] = math.nan, math.inf
    with pytest.raises(ValueError, match="2 values that are NaN.*the first in example 3"):
        checks.check_data(x, (2,), Gaussian())


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int32", "float16", "float32", "float64"])
def test_numbers_of_every_kind_are_data(dtype):
    x = np.arange(6).reshape(2, 3).astype(dtype)
    np.testing.assert_array_equal(checks.check_data(x, (3,), Gaussian()), x)


def test_what_float32_cannot_hold_is_not_finite():
    with pytest.raises(ValueError, match="2 values that are NaN, infinite or beyond float32"):
        checks.check_data(np.array([[1e300, 0], [-1e39, 1]]), (2,), Gaussian())


@pytest.mark.parametrize(("dtype", "read"), [("longdouble", "float64"), ("uint64", "int64")])
def test_numbers_that_not_all_backends_have_are_narrowed(dtype, read):
    x = checks.check_data(np.arange(4).reshape(2, 2).astype(dtype), (2,), Gaussian())
    assert x.dtype == read and x.ravel().tolist() == [0, 1, 2, 3]
    large = checks.as_array(np.array([2**64 - 1], "uint64"))
    assert large.dtype == "float64" and large[0] == 2.0**64


def test_masked_arrays_are_refused():
    unmasked = np.ma.masked_array(np.ones((2, 2)))
    assert type(checks.check_data(unmasked, (2,), Gaussian())) is np.ndarray
    with pytest.raises(ValueError, match=r"x has masked values.*x.filled\(0\)"):
        checks.check_data(np.ma.masked_array(np.ones((2, 2)), mask=np.eye(2)), (2,), Gaussian())


@pytest.mark.parametrize("value", [1e39, -1e39, 10**400, math.inf, math.nan, True, "1", None])
def test_numbers_are_those_of_float32(value):
    beyond = ", in float32" if value in (1e39, -1e39, 10**400) else ""
    with pytest.raises(ValueError, match=f"beta must be a finite number{beyond}. Received"):
        checks.check_number("beta", value, -math.inf)


def test_bounds_are_said_as_they_are_written():
    with pytest.raises(ValueError, match=r"x must be a finite number in \[1e-15, 1e\+15\]"):
        checks.check_number("x", 0, 1e-15, 1e15)
    with pytest.raises(ValueError, match=r"x must be a finite number >= 0. Received: -1"):
        checks.check_number("x", -1, 0)


def test_uint8_of_few_levels_may_hold_the_lowest_two():
    x = np.array([[0, 1], [1, 0]], "uint8")
    for likelihood in (Categorical(32), DiscretisedLogistic(num_levels=32), Poisson()):
        assert checks.check_data(x, (2,), likelihood) is x
    with pytest.raises(ValueError, match="holds only 0 and 1"):
        checks.check_data(x, (2,), Categorical())


def test_bfloat16_does_not_hold_levels():
    x = np.linspace(0, 1, 256).reshape(2, 128).astype(ml_dtypes.bfloat16)
    with pytest.raises(ValueError, match="Pass uint8 or float32"):
        checks.check_data(x, (128,), Categorical())


def test_the_order_of_an_array_s_bytes_is_the_machine_s():
    x = checks.check_data(np.arange(4.0).reshape(2, 2).astype(">f4"), (2,), Gaussian())
    assert x.dtype.isnative and x.ravel().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("x", [[["a", "b"]], [[None, 1]], np.array([[1 + 2j, 0]])])
def test_what_is_no_number_is_refused(x):
    with pytest.raises(ValueError, match="x must be an array of numbers.*Received dtype"):
        checks.check_data(x, (2,), Gaussian())


def test_ragged_lists_are_refused():
    with pytest.raises(ValueError, match="x cannot be read as an array"):
        checks.check_data([[1, 2], [3]], (2,), Gaussian())


def test_uint8_is_scaled_and_all_else_is_not():
    assert checks.scale(np.array([0, 51, 255], "uint8")).tolist() == pytest.approx([0, 0.2, 1])
    assert checks.scale(np.array([0, 51], "int64")).tolist() == [0, 51]
    assert checks.scale(np.array([0], "uint8")).dtype == "float32"


@pytest.mark.parametrize("weights", [np.ones(3), np.ones((4, 2)), [1, 2, 3, math.nan]])
def test_sample_weights_are_one_finite_number_an_example(weights):
    with pytest.raises(ValueError, match=r"one finite number per example, shape \(4,\)"):
        checks.check_sample_weight(weights, 4)


def test_a_column_of_sample_weights_is_flattened():
    assert checks.check_sample_weight(np.ones((4, 1), "int32"), 4).shape == (4,)
