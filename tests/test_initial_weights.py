"""JAX: initial weights are drawn by NumPy, from the distributions of Keras's initializers."""

import keras
import numpy as np
import pytest
from scipy import stats

import keras_vae
from keras_vae.backends import quick_initializers

if keras.backend.backend() != "jax":
    pytest.skip("on the other backends Keras draws them", allow_module_level=True)

GLOROT = np.sqrt(6 / (100 + 200))


@pytest.mark.parametrize(
    ("initializer", "distribution"),
    [
        (keras.initializers.RandomUniform(-2, 3, seed=1), stats.uniform(-2, 5)),
        (keras.initializers.RandomNormal(1, 2, seed=1), stats.norm(1, 2)),
        (keras.initializers.TruncatedNormal(1, 2, seed=1), stats.truncnorm(-2, 2, 1, 2)),
        (keras.initializers.GlorotUniform(seed=1), stats.uniform(-GLOROT, 2 * GLOROT)),
    ],
)
def test_weights_have_the_distribution_of_their_initializer(initializer, distribution):
    with quick_initializers():
        values = initializer((100, 200))
        again = initializer((100, 200))
        halves = initializer((100, 200), dtype="bfloat16")
    assert stats.kstest(np.ravel(values), distribution.cdf).pvalue > 0.01
    np.testing.assert_array_equal(values, again)
    assert (values.dtype, halves.dtype) == ("float32", "bfloat16")
    # Keras draws by itself before and after.
    assert np.abs(np.subtract(initializer((100, 200)), values)).max() > 0.1 * distribution.std()


def test_a_seed_generator_is_still_keras_s():
    seeds = [keras.random.SeedGenerator(3) for _ in range(2)]
    ours, theirs = (keras.initializers.RandomNormal(seed=seed) for seed in seeds)
    with quick_initializers():
        drawn = ours((4, 5))
    np.testing.assert_array_equal(drawn, theirs((4, 5)))


def test_a_seed_of_keras_fixes_the_weights_and_layers_differ():
    models = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        models.append(keras_vae.mlp_vae((4, 4, 1), 2, (16, 16, 16)).get_weights())
    first, again, other = models
    for ours, theirs in zip(first, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    squares = [w for w in first if w.shape == (16, 16)]
    assert len(squares) > 2
    for i, square in enumerate(squares):
        assert not any(np.array_equal(square, another) for another in squares[:i])
    assert any(not np.array_equal(ours, theirs) for ours, theirs in zip(first, other))
