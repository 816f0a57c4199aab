"""What every test shares: a seed, small data, and small models of every factory."""

import atexit
import contextlib
import gc
import os
import shutil
import tempfile

import quick_xla

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# On some processors the kernels are others by default; commands turn them on for the processes
# that later tests start, too, and those of several devices fail with them.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
# Small models take longer to compile than to run. What one process compiled, others need not.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if os.environ.get("KERAS_BACKEND") == "jax" and "PYTEST_XDIST_WORKER" not in os.environ:
    quick_xla.set_flags()
# As many processes as cores, of as many threads each, wait for one another.
if os.environ.get("KERAS_BACKEND") == "torch" and "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="jax-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

import keras
import numpy as np
import pytest
from browser import blank as blank
from browser import browser as browser  # here, so that all test files share the one
from browser import open_page as open_page
from browser import scrambled as scrambled
from runtimes import format as format
from runtimes import small as small

import keras_vae

# JAX writes its cache in place: who reads half an entry warns, and compiles it again. The filter is
# set twice, for the tests and for the processes that they start.
HALF_AN_ENTRY = "ignore:Error reading persistent compilation cache entry"
os.environ.setdefault("PYTHONWARNINGS", HALF_AN_ENTRY)

# Graphs are many small objects: looking for garbage among them took a fifth of the tests' time.
gc.freeze()
gc.set_threshold(100_000, 20, 20)

# What computes the same, or nothing, on every backend is tested once, on the default one.
ON_DEFAULT_BACKEND = keras.config.backend() == "tensorflow"
on_default_backend = pytest.mark.skipif(
    not ON_DEFAULT_BACKEND, reason="tested on the default backend, as it is the same on all"
)
# Whole files of such tests: files, folders, commands, pages, pictures, downloads, recipes, figures.
# What published models compute on another backend is proven where they are loaded, by fingerprints.
ON_ONE_BACKEND = {
    *("test_cards.py", "test_checks.py", "test_config.py", "test_download.py"),
    *("test_download_faults.py", "test_download_machines.py", "test_files.py", "test_folder.py"),
    *("test_pictures.py", "test_plots.py", "test_plots_of_models.py", "test_registry.py"),
    *("test_scaling.py", "test_shards.py", "test_verification.py", "test_weights.py"),
    "test_zoo.py",
}
# Those that take long together: many files, processes and pages.
LONG_ON_ONE_BACKEND = {
    *("test_architecture.py", "test_architecture_attacks.py", "test_benchmarks.py", "test_cli.py"),
    *("test_cli_coding.py", "test_cli_exploring.py", "test_cli_exporting.py"),
    *("test_cli_interrupts.py", "test_cli_others.py", "test_cli_packing.py", "test_cli_start.py"),
    "test_cli_zoo.py",
    *("test_data.py", "test_explorer.py", "test_explorer_kinds.py", "test_explorer_ladder.py"),
    *(
        "test_explorer_page.py",
        "test_explorer_views.py",
        "test_explorer_worker.py",
        "test_foreign_files.py",
    ),
    *("test_foreign_hub.py", "test_hdf5.py", "test_sharing.py"),
}
LONG = LONG_ON_ONE_BACKEND | {
    *("test_export.py", "test_export_checks.py", "test_extensions.py", "test_hub.py"),
    "test_likelihoods_in_models.py",
}
# Long on the other backends only: many networks, of layers that other tests try on every backend,
# and ways to build, split and start a model that are written once for all.
LONG_ELSEWHERE = {
    *("test_diffusers.py", "test_factories.py", "test_fid.py", "test_foreign_models.py"),
    *("test_keeping.py", "test_linear.py", "test_networks.py", "test_tiling.py"),
}
# The same for one test: it takes many steps or samples, of operations that others try everywhere.
long_elsewhere = (lambda test: test) if ON_DEFAULT_BACKEND else pytest.mark.long
if not ON_DEFAULT_BACKEND:
    LONG |= LONG_ELSEWHERE
    collect_ignore = sorted(ON_ONE_BACKEND | LONG_ON_ONE_BACKEND)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.addinivalue_line("filterwarnings", HALF_AN_ENTRY)
    # Those of pipelines stay graphs in `eagerly`.
    config.addinivalue_line("filterwarnings", "ignore:Even though the .tf.config:UserWarning")


def pytest_sessionfinish():
    gc.collect()
    gc.freeze()  # pytest looks ten times more for garbage: seconds, of so many objects


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name in LONG:
            item.add_marker(pytest.mark.long)


def quick_first(values, quick=1):
    """Parameters of a test: the first few of them are in the quick list, the others are long.

    A tuple holds the values of several arguments.
    """
    values = list(values)
    return values[:quick] + [
        pytest.param(*(value if isinstance(value, tuple) else [value]), marks=pytest.mark.long)
        for value in values[quick:]
    ]


# Arguments that make a factory's model small; a factory not named here is tested with its defaults.
SMALL = {
    "mlp_vae": {"latent_dim": 3, "hidden_units": (16,)},
    "conv_vae": {"latent_dim": 3, "filters": (4,), "hidden_units": (8,)},
    "vq_vae": {"num_codes": 8, "code_dim": 4, "filters": (4,), "blocks": 1},
    "ladder_vae": {"latent_channels": 1, "filters": (4,)},
    "tiny_autoencoder": {"latent_channels": 2, "channels": 4, "blocks": (1, 1)},
    "kl_vae": {"latent_channels": 2, "filters": (4, 8), "blocks": 1, "groups": 2},
    "vq_gan": {"num_codes": 8, "code_dim": 3, "filters": (4, 8), "blocks": 1, "groups": 2},
}


@pytest.fixture(autouse=True)
def _seeded(request):
    """The same random numbers for a test, whichever tests ran before it."""
    keras.utils.set_random_seed(0)
    for value in vars(request.module).values():
        if isinstance(value, np.random.Generator):
            value.bit_generator.state = np.random.default_rng(1).bit_generator.state


@contextlib.contextmanager
def eagerly():
    """TensorFlow runs graphs as plain Python: those of deep networks take longer to make than that.

    For tests of what deep networks compute. Others ask whether graphs do the same.
    """
    if not ON_DEFAULT_BACKEND:
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture
def eager():
    """For a test in `eagerly`."""
    with eagerly():
        yield


@pytest.fixture
def collecting():
    """Looks for garbage as often as Python does by itself, for tests of memory."""
    seldom = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*seldom)


@pytest.fixture(scope="session")
def make():
    """A function of a factory's name, a data shape and arguments: a small model, freshly made."""

    def make(factory, input_shape=(8, 8, 1), /, **arguments):
        defaults = {"input_shape": input_shape, "seed": 0, **SMALL.get(factory, {})}
        return keras_vae.FACTORIES[factory](**{**defaults, **arguments})

    return make


# Those of published autoencoders are slow to build: test_foreign_models.py tries them.
DEEP = {"kl_vae", "tiny_autoencoder", "vq_gan"}


@pytest.fixture(
    params=[
        # test_ladder.py asks most of it in less time
        pytest.param(name, marks=pytest.mark.long) if name == "ladder_vae" else name
        for name in sorted({*keras_vae.FACTORIES} - DEEP)
    ]
)
def factory(request):
    """The name of each factory in turn."""
    return request.param


@pytest.fixture(scope="session")
def grey():
    return np.random.default_rng(0).random((12, 8, 8, 1), dtype="float32")


@pytest.fixture(scope="session")
def binary(grey):
    return (grey > 0.5).astype("float32")


@pytest.fixture(scope="session")
def frozen():
    """A VQ model on vectors, without noise, that no step changes; and its loss per example."""
    keras.utils.set_random_seed(1)
    encoder = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(8), keras.layers.Reshape((4, 2))]
    )
    decoder = keras.Sequential([keras.Input((4, 2)), keras.layers.Flatten(), keras.layers.Dense(8)])
    latent = keras_vae.latents.VectorQuantizer(5, 2, trainable=False)
    model = keras_vae.VAE(encoder, decoder, latent, likelihood="gaussian", beta=0.5)
    model.compile(keras.optimizers.SGD(0.0))

    def losses(x):
        terms = model.elbo_terms(keras.ops.convert_to_tensor(x))
        loss = terms["distortion"] + 0.5 * terms["rate"] + terms["penalty"]
        return keras.ops.convert_to_numpy(loss)

    return model, losses


@pytest.fixture(scope="session")
def vectors():
    return np.random.default_rng(3).normal(size=(12, 8)).astype("float32")


@pytest.fixture(scope="session")
def real_data():
    """A function of a data set's name that loads it where it is prepared, or skips the test."""
    from functools import lru_cache
    from pathlib import Path

    places = [os.environ.get("TFDS_DATA_DIR"), Path(__file__).parents[2] / "shared" / "tfds"]

    @lru_cache(maxsize=2)  # not more: CIFAR-10 takes 180 MB
    def load(name):
        record = keras_vae.data.DATASETS[name]
        for place in filter(None, places):
            if (Path(place) / record.tfds / record.version).is_dir():
                return keras_vae.data.load(name, data_dir=place)
        pytest.skip(f"needs {name} prepared by tensorflow-datasets: set TFDS_DATA_DIR")

    return load
