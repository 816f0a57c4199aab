"""Random numbers for inference: one NumPy stream per example, the same on every backend."""

import random

import numpy as np

from keras_vae.checks import check_whole


def check_noise_seed(seed):
    """Returns the seed as an int, or a new random seed for None."""
    # New seeds come from Python's generator, which keras.utils.set_random_seed also sets.
    return random.getrandbits(32) if seed is None else check_whole("seed", seed, 0)


def noise_streams(seed, start, n):
    """Returns a NumPy generator for each of the examples `start`, ..., `start + n - 1`."""
    return [np.random.Generator(np.random.SFC64([seed, start + i])) for i in range(n)]


def normal_noise(streams, num_samples, shape):
    """Returns standard normal noise, float32 `(num_samples, n, *shape)`."""
    draws = [rng.standard_normal((num_samples, *shape), dtype="float32") for rng in streams]
    return np.stack(draws, axis=1)
