"""Architectures from anyone: what is not plain, of our list and of a sane size is never built."""

import copy
import json
import random
import resource
import time

import keras
import mutations
import pytest
from test_architecture import of_dense

import keras_vae
from keras_vae import hub
from keras_vae.hub import architecture


@pytest.fixture
def plain():
    """The architecture of a small model, which a test may spoil."""
    return architecture.describe(of_dense())


LAMBDA = {"class": "Lambda", "config": {"function": "x", "name": "evil"}}
SERIALISED = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA="}}},
    "registered_name": None,
}
FORBIDDEN = [
    *(LAMBDA, SERIALISED, {"class": "TFSMLayer", "config": {"filepath": "x"}}),
    {"class": "function", "config": "eval"},
    {"class": "os.system", "config": {"command": "true"}},
    {"class": "__lambda__", "config": {"value": "4wEAAAA="}},
    {"class": "__typespec__", "config": {}},
    {"class": "Dense", "config": SERIALISED},
    {"class": ["Dense"], "config": {}},
    {"class": "Dense"},
    {"class": None, "config": {}},
    {"class": "Dense", "config": None},
    {"class": "Dense", "config": {"units": 2, "module": "os"}},
    {"class": "keras_vae>VAE", "config": {}},
    {"class": "CodebookUse", "config": {"num_codes": 3}},
    *({"module": "os"}, {"class_name": "Dense", "config": {}}, {"registered_name": "x"}),
    *([], {}, 3, True, 1e300, "relu", "../x", "a" * 10**4, float("nan"), 10**30, -1),
]


def places(value):
    """Every (container, key) of a JSON value."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(item, (dict, list)):
            yield from places(item)


@pytest.mark.parametrize("number", range(len(FORBIDDEN)))
def test_whatever_is_put_wherever_it_is_refused_or_makes_a_model_of_ours(plain, number):
    # What is a class or a module, everywhere; what is merely wrong, here and there.
    step = 1 if number < 16 and keras.config.backend() == "tensorflow" else 9
    for place in range(0, len(list(places(plain))), step):
        spoiled = copy.deepcopy(plain)
        container, key = list(places(spoiled))[place]
        container[key] = copy.deepcopy(FORBIDDEN[number])
        try:
            built = hub.build({"architecture": spoiled})
        except ValueError as error:
            assert "\n" not in str(error) and len(str(error)) < 700
            continue
        kinds = {type(layer).__name__ for layer in built._flatten_layers()}
        assert not kinds & {"Lambda", "TFSMLayer"}, (container, key)


@pytest.mark.parametrize("key", ["activation", "kernel_initializer", "kernel_regularizer"])
@pytest.mark.parametrize("value", FORBIDDEN[:15])
def test_a_nested_part_of_another_class_is_refused(plain, key, value):
    plain["encoder"]["config"]["layers"][-1]["config"][key] = value
    with pytest.raises(
        ValueError, match="not contain the class|serialised object|makes no model|must be|config"
    ):
        hub.build({"architecture": plain})


def dense(units, name, calls=None):
    part = {"class": "Dense", "config": {"units": units, "name": name}}
    return part if calls is None else {**part, "calls": calls}


def functional(*parts, outputs):
    start = {"class": "InputLayer", "config": {"batch_shape": [None, 8], "name": "x"}, "calls": []}
    config = {"name": "f", "layers": [start, *parts], "input_layers": [["x", 0, 0]]}
    return {"class": "Model", "config": {**config, "output_layers": [[outputs, 0, 0]]}}


def call(*names):
    return [{"args": [{"tensor": [name, 0, 0]} for name in names], "kwargs": {}}]


def with_encoder(plain, encoder):
    return {"architecture": {**plain, "encoder": encoder}}


@pytest.mark.parametrize(
    "encoder",
    [
        functional(dense(2, "a", call("b")), dense(2, "b", call("a")), outputs="b"),
        functional(dense(2, "a", call("a")), outputs="a"),
        functional(dense(2, "a", call("no-such")), outputs="a"),
        functional(dense(2, "a", call("x", "x", "x")), outputs="a"),
        functional(
            dense(2, "a", [{"args": [{"tensor": ["x", 99, 0]}], "kwargs": {}}]), outputs="a"
        ),
        functional(dense(2, "a", [{"args": [{"tensor": "x"}], "kwargs": {}}]), outputs="a"),
        functional(dense(2, "a", [{"args": [{"tensor": [[], {}, None]}]}]), outputs="a"),
        functional(dense(2, "a", [3]), outputs="a"),
        functional(dense(2, "a", {}), outputs="no-such"),
        functional(dense(2, "a", []), outputs="a"),
        functional(LAMBDA, outputs="evil"),
        functional({**LAMBDA, "calls": call("x")}, outputs="evil"),
    ],
)
def test_a_graph_that_leads_nowhere_is_refused_at_once(plain, encoder):
    start = time.monotonic()
    with pytest.raises(ValueError) as refusal:
        hub.build(with_encoder(plain, encoder))
    assert time.monotonic() - start < 20 and len(str(refusal.value)) < 700


def sequential(*parts, shape=(8, 8, 1)):
    start = {"class": "InputLayer", "config": {"batch_shape": [None, *shape], "name": "x"}}
    return {"class": "Sequential", "config": {"name": "s", "layers": [start, *parts]}}


def part(kind, **config):
    return {"class": kind, "config": config}


ATTENTION = {
    "class": "Model",
    "config": {
        "name": "f",
        "layers": [
            {**part("InputLayer", batch_shape=[None, 8, 8, 1], name="x"), "calls": []},
            {**part("UpSampling2D", size=[512, 512], name="u"), "calls": call("x")},
            {**part("Reshape", target_shape=[2**24, 1], name="r"), "calls": call("u")},
            {
                **part("MultiHeadAttention", num_heads=1, key_dim=1, name="m"),
                "calls": call("r", "r"),
            },
            {**part("GlobalMaxPooling1D", name="g"), "calls": call("m")},
            dense(6, "d", call("g")),
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["d", 0, 0]],
    },
}


@pytest.mark.parametrize(
    "encoder",
    [
        sequential(part("Flatten"), part("Dense", units=2**28), part("Dense", units=6)),
        sequential(part("Flatten"), part("Dense", units=2**27), part("Dense", units=6)),
        sequential(part("Flatten"), part("Embedding", input_dim=2**28, output_dim=2**20)),
        sequential(part("Conv2D", filters=2**20, kernel_size=[100, 100], padding="same")),
        sequential(
            part("UpSampling2D", size=[2**14, 2**14]),
            part("GlobalMaxPooling2D"),
            part("Dense", units=6),
        ),
        sequential(
            part("ZeroPadding2D", padding=[2**14, 2**14]),
            part("GlobalMaxPooling2D"),
            part("Dense", units=6),
        ),
        sequential(
            part("UpSampling2D", size=[2**14, 2**14]),
            part("MaxPooling2D", pool_size=[2**14, 2**14]),
            part("Flatten"),
            part("Dense", units=6),
            shape=(None, None, 1),
        ),
        sequential(  # a model in a model, of any size by itself
            sequential(
                part("UpSampling2D", size=[2**14, 2**14], name="u"),
                part("MaxPooling2D", pool_size=[2**14, 2**14], name="m"),
                shape=(None, None, 1),
            ),
            part("Flatten"),
            part("Dense", units=6),
        ),
        ATTENTION,
        sequential(part("Flatten"), part("RepeatVector", n=2**28), part("LSTM", units=6)),
        sequential(*[part("Dense", units=1) for _ in range(10_000)]),
        sequential(*[sequential(*[part("Dense", units=1)] * 900)] * 12),
        sequential(
            part("Flatten"), *[part("Dense", units=2) for _ in range(900)] * 1, part("LSTM")
        ),
    ],
)
def test_an_architecture_that_is_too_large_is_refused_before_memory_is_asked_for(plain, encoder):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError) as refusal:
        hub.build(with_encoder(plain, encoder))
    assert len(str(refusal.value)) < 700
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 2**19  # in KiB, or on macOS in bytes


def called_within(levels, times, shape):
    """Models within models, each of which calls the one inside it several times in a row."""
    start = {**part("InputLayer", batch_shape=[None, *shape], name="x"), "calls": []}
    inner = part("Activation", activation="relu", name="m0")
    for level in range(levels):
        calls = [*call("x"), *(call(f"m{level}")[0] for _ in range(times - 1))]
        for before, node in enumerate(calls[1:]):
            node["args"][0]["tensor"][1] = before
        config = {"layers": [start, {**inner, "calls": calls}], "input_layers": [["x", 0, 0]]}
        config |= {"name": f"m{level + 1}", "output_layers": [f"m{level}", times - 1, 0]}
        inner = {"class": "Model", "config": config}
    return sequential(inner, part("Flatten"), part("Dense", units=6))


@pytest.mark.parametrize("shape", [(8, 8, 1), (None, None, 1)])  # known, or computed at each call
def test_models_that_call_models_too_often_are_refused_at_once(plain, shape):
    built = hub.build(with_encoder(plain, called_within(2, 5, shape)))
    assert built.data_shape == (8, 8, 1)
    for levels in (2, 4):
        start = time.monotonic()
        with pytest.raises(ValueError, match="4000 parts, each counted at each of its calls"):
            hub.build(with_encoder(plain, called_within(levels, 300, shape)))
        assert time.monotonic() - start < 5


@pytest.mark.parametrize("levels", [5, 30, 400, 100_000])
def test_models_within_models_without_end_are_refused(plain, levels, tmp_path):
    keras_vae.save_to_folder(of_dense(), tmp_path)
    inner = json.dumps(sequential()).split("]}}")[0]
    text = json.dumps({"architecture": {**plain, "encoder": "HERE"}})
    deep = inner.replace('"layers": [', '"layers": [') + ", "
    (tmp_path / "config.json").write_text(
        text.replace('"HERE"', deep * levels + json.dumps(dense(6, "d")) + "]}}" * levels)
    )
    with pytest.raises(ValueError):
        keras_vae.load(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("made_by", {"factory": "mlp_vae", "arguments": {}}),
        *(("made_by", None), ("beta", 2.0), ("dtype", "float32"), ("autocast", True)),
    ],
)
def test_an_architecture_holds_nothing_but_a_name_a_seed_a_shape_and_five_parts(plain, key, value):
    with pytest.raises(ValueError, match=rf"may not hold the keys \['{key}'\]"):
        hub.build({"architecture": {**plain, key: value}})


def test_a_list_within_itself_is_refused(plain):
    endless = []
    endless.append(endless)
    plain["encoder"]["config"]["layers"] = endless
    with pytest.raises(ValueError, match="not nested so deep"):
        hub.build({"architecture": plain})


@pytest.mark.parametrize("value", [None, [], "x", 3, {}, {"encoder": 3}, {"data_shape": [8, 8, 1]}])
def test_what_is_no_architecture_is_refused(value):
    with pytest.raises(ValueError):
        hub.build({"architecture": value})


def test_an_architecture_with_random_damage_is_refused_or_makes_a_model(plain):
    for number in range(60 if keras.config.backend() == "tensorflow" else 10):
        rng = random.Random(number)
        spoiled = copy.deepcopy(plain)
        kind = mutations.OF_JSON[number % len(mutations.OF_JSON)]
        kind(*rng.choice(list(places(spoiled))), rng)
        try:
            assert isinstance(hub.build({"architecture": spoiled}), keras_vae.VAE)
        except ValueError as error:
            assert "\n" not in str(error) and len(str(error)) < 700
