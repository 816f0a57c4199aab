"""Configs from anyone: what is not one of our factories with plain arguments is never built."""

import inspect
import math
import random
import resource

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import hub
from keras_vae.factories import FACTORIES
from keras_vae.hub import rules

SHAPE = [8, 8, 1]
LAMBDA = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}},
    "registered_name": None,
}
FUNCTION = {"module": "builtins", "class_name": "function", "config": "eval"}


def build(factory, arguments):
    return hub.build({"factory": factory, "arguments": arguments})


@pytest.fixture
def no_building(monkeypatch):
    """Factories that must not be called, not even to count."""

    for name, make in list(FACTORIES.items()):

        def forbidden(**arguments):
            pytest.fail("was called")

        forbidden.__signature__ = inspect.signature(make)
        monkeypatch.setitem(FACTORIES, name, forbidden)


@pytest.mark.parametrize(
    "name", ["os.system", "keras_vae.factories.mlp_vae", "../mlp_vae", "", None, 3, ["mlp_vae"], {}]
)
def test_only_our_factories_are_called(no_building, name):
    with pytest.raises(ValueError, match="Unknown factory .*Available: mlp_vae, conv_vae, vq_vae"):
        build(name, {"input_shape": SHAPE})


@pytest.mark.parametrize("arguments", [None, [], "x", [["input_shape", SHAPE]]])
def test_arguments_are_a_dict(no_building, arguments):
    with pytest.raises(ValueError, match="arguments must be a dict"):
        build("mlp_vae", arguments)


def test_unknown_arguments_are_refused_by_name(no_building, factory):
    match = f"{factory} does not take 'shell', 5. It takes: input_shape, "
    with pytest.raises(ValueError, match=match):
        build(factory, {"input_shape": SHAPE, "shell": "rm", 5: 1})


@pytest.mark.parametrize("argument", ["activation", "prior", "likelihood", "name", "beta"])
@pytest.mark.parametrize(
    ("value", "match"),
    [
        (LAMBDA, "hold no serialised object of Keras"),
        (FUNCTION, "hold no serialised object of Keras"),
        ({"name": "x", "inner": [LAMBDA]}, "hold no serialised object"),
        ({"name": "x", "inner": {"class_name": "Dense"}}, "inner must hold no serialised object"),
        ("os.system", "must be a name of .* Received: 'os.system'"),
        ("builtins:eval", "must be a name"),
        ("lambda x: x", "must be a name"),
        ("__import__('os')", "must be a name"),
        ("../../x", "must be a name"),
        ("/etc/passwd", "must be a name"),
        ("custom>Layer", "must be a name"),
        ("a" * 101, "must be a name"),
        ("", "must be a name"),
        (math.nan, "must be a number from"),
        (-math.inf, "must be a number from"),
        (1e300, "must be a number from"),
        (10**40, "must be a number from -268,435,456 to 268,435,456"),
        ([[[[[1]]]]], "must hold at most 64 values, not nested so deep"),
        ({"a": {"b": {"c": {"d": {}}}}}, "must hold at most 64 values, not nested so deep"),
        ([1] * 65, "must hold at most 64 values"),
        ({f"a{i}": 1 for i in range(65)}, "must hold at most 64 values"),
        ({"../x": 1}, "the name of an argument must be a name"),
        (b"x", "must be plain"),
        (object(), "must be plain"),
        (eval, "must be plain"),
        (np.int64(3), "must be plain"),
        (keras.layers.Dense(1), "must be plain"),
    ],
)
def test_what_is_not_plain_is_refused_wherever_it_is(no_building, argument, value, match):
    with pytest.raises(ValueError, match=match):
        build("mlp_vae", {"input_shape": SHAPE, argument: value})


def test_a_list_within_itself_is_refused(no_building):
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match="not nested so deep"):
        build("mlp_vae", {"input_shape": SHAPE, "hidden_units": endless})


@pytest.mark.parametrize("activation", [{"name": "relu"}, ["relu"], 1, True, {}, "no-such"])
def test_an_activation_is_a_name(activation):
    for arguments in (
        {"activation": activation},
        {"prior": {"name": "realnvp", "activation": activation}},
    ):
        with pytest.raises(ValueError, match="This config makes no model|does not take"):
            build("mlp_vae", {"input_shape": SHAPE, **arguments})


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mlp_vae", {"input_shape": [10**9, 10**9, 1]}),
        ("mlp_vae", {"input_shape": [20000, 20000, 1], "hidden_units": []}),
        ("mlp_vae", {"hidden_units": [10**12]}),
        ("mlp_vae", {"hidden_units": [2**20, 2**20]}),
        ("mlp_vae", {"latent_dim": 2**27}),
        ("mlp_vae", {"latent_dim": 10**30}),
        ("conv_vae", {"input_shape": [30000, 30000, 1]}),
        ("conv_vae", {"filters": [2**20]}),
        ("conv_vae", {"filters": [2**14], "hidden_units": [2**14]}),
        ("conv_vae", {"kernel_size": 10**6}),
        ("vq_vae", {"num_codes": 10**9}),
        ("vq_vae", {"code_dim": 2**26}),
        ("vq_vae", {"blocks": 10**6}),
        ("mlp_vae", {"prior": {"name": "realnvp", "couplings": 10**6}}),
        ("mlp_vae", {"prior": {"name": "realnvp", "hidden_units": [2**15, 2**15]}}),
        ("mlp_vae", {"prior": {"name": "mixture", "components": 2**27}}),
        ("mlp_vae", {"prior": {"name": "vamp", "components": 2**24}}),
        ("vq_vae", {"prior": {"name": "transformer", "width": 2**16}}),
        (
            "vq_vae",  # few weights, but attention between 2**14 positions
            {"input_shape": [256, 256, 1], "filters": [4], "prior": {"name": "transformer"}},
        ),
        (
            "vq_vae",  # few weights, but a distance from each of 2**20 positions to 2**20 codes
            {"input_shape": [2048, 2048, 1], "filters": [1], "num_codes": 2**20, "code_dim": 1},
        ),
        ("vq_vae", {"input_shape": [2**14, 2**14, 1], "filters": [8], "num_codes": 2}),
    ],
)
def test_a_model_too_large_is_refused_before_memory_is_asked_for(name, arguments):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="268,435,456|must be a number from -64 to 64"):
        build(name, {"input_shape": SHAPE, **arguments})
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 2**18  # in KiB, or on macOS in bytes


def test_no_whole_number_takes_long_to_refuse(factory):
    for name, parameter in inspect.signature(FACTORIES[factory]).parameters.items():
        if type(parameter.default) is int and name != "num_samples":
            rule = "numbers, in its weights|must be a number from|must be multiples of groups"
            with pytest.raises(ValueError, match=rule):
                build(factory, {"input_shape": SHAPE, name: 2**28})


def test_the_largest_layer_is_counted_and_not_only_the_weights(monkeypatch):
    arguments = {"input_shape": [64, 64, 1], "filters": [2], "num_codes": 4, "code_dim": 2}
    parameters = build("vq_vae", arguments).count_params()
    monkeypatch.setattr(rules, "LARGEST", parameters)
    with pytest.raises(ValueError, match="This model has 8,192 numbers, in its"):
        build("vq_vae", arguments)


def test_codes_are_counted_as_they_are_searched_a_block_at_a_time():
    arguments = {"input_shape": [256, 256, 1], "filters": [1], "code_dim": 1, "blocks": 0}
    assert build("vq_vae", {**arguments, "num_codes": 2**17}).latent.num_codes == 2**17
    arguments["input_shape"] = [1024, 1024, 1]
    with pytest.raises(ValueError, match=r"This model has 2,147,483,648 numbers"):  # 2^18 * 8192
        build("vq_vae", {**arguments, "num_codes": 2**17})


def test_what_the_factory_itself_refuses_keeps_its_message():
    with pytest.raises(ValueError, match="latent_dim must be a whole number >= 1. Received: 0"):
        build("mlp_vae", {"input_shape": SHAPE, "latent_dim": 0})
    with pytest.raises(ValueError, match="This config makes no model: .*input_shape"):
        build("mlp_vae", {})


def test_an_error_from_the_depth_of_a_layer_is_a_refusal(monkeypatch):
    def broken(input_shape):
        raise ZeroDivisionError("of a layer")

    monkeypatch.setitem(FACTORIES, "mlp_vae", broken)
    with pytest.raises(ValueError, match="This config makes no model: of a layer"):
        build("mlp_vae", {"input_shape": SHAPE})


def test_a_model_from_a_config_is_the_one_that_the_factory_makes(factory):
    arguments = {"input_shape": tuple(SHAPE), "seed": 3, "name": "my-model"}
    keras.utils.set_random_seed(7)
    ours = FACTORIES[factory](**arguments)
    drawn = random.random()
    keras.utils.set_random_seed(7)
    built = build(factory, arguments)
    assert random.random() == drawn and built.name == ours.name
    for one, other in zip(built.get_weights(), ours.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_nothing_of_a_model_too_large_is_left_for_keras_to_initialise(monkeypatch):
    with pytest.raises(ValueError, match="numbers, in its weights"):
        build("mlp_vae", {"input_shape": SHAPE, "hidden_units": [2**26]})
    monkeypatch.setattr(
        keras.initializers.GlorotUniform, "__call__", lambda *_, **__: pytest.fail("initialised")
    )
    with keras.StatelessScope():
        pass  # on leaving it, Keras initialises what waits for it


@pytest.mark.parametrize("name", sorted(keras_vae.registry.entries()))
def test_the_configs_of_the_published_models_are_taken_uncounted(name, monkeypatch):
    entry = keras_vae.info(name)
    assert build(entry["factory"], {**entry["arguments"], "name": "counted"})
    monkeypatch.setattr(rules, "check_size", lambda *_: pytest.fail("was counted"))
    hub.build(entry)
    with pytest.raises(pytest.fail.Exception, match="was counted"):
        build(entry["factory"], {**entry["arguments"], "seed": 1})
