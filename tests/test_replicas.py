"""Several devices, or processes, train and measure as one does."""

import json
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import quick_xla

import keras_vae

ON = keras.backend.backend()

# 9 images in batches of 4: the last batch leaves the second replica nothing.
COMMON = """
import json, sys
import keras, numpy as np
import keras_vae

x = (np.random.default_rng(0).random((9, 4, 4, 1)) > 0.5).astype("float32")
weight = np.linspace(0.5, 2, 9).astype("float32")

def mlp(**settings):
    return keras_vae.mlp_vae((4, 4, 1), 2, (6,), seed=0, **settings)

def vq(**settings):
    return keras_vae.vq_vae((4, 4, 1), 4, 2, (4,), blocks=0, seed=0, **settings)

CASES = {
    "elbo": lambda: mlp(likelihood="learned_gaussian"),
    "capacity": lambda: mlp(capacity=3.0, beta=20.0),
    "free_bits": lambda: mlp(free_bits=0.3, beta=20.0),
    "dreg": lambda: mlp(importance_weighted="dreg", num_samples=3),
    "vq": vq,
    "vq_gradient": lambda: vq(codebook_update="gradient"),
}

MEASURED = {"elbo", "vq"}  # by all methods: a model with noise, and one with codes

def weights_of(model):
    return {f"weight {i}": w.ravel().tolist() for i, w in enumerate(model.get_weights())}
"""

TWO_DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
del CASES["vq_gradient"]  # as "vq" but for the optimizer's part
for name, make in CASES.items():
    found = []
    for strategy in (tf.distribute.get_strategy(), both):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = make()
            model.compile(keras.optimizers.SGD(1e-3))
        options = {"sample_weight": weight if name in ("elbo", "vq") else None}
        held_out = (x, None, options["sample_weight"])
        common = {"batch_size": 4, "verbose": 0}
        logs = model.fit(
            x, epochs=2, shuffle=False, validation_data=held_out, **common, **options
        ).history
        tested = model.evaluate(x, return_dict=True, **common, **options)
        images = model.predict(x, **common)
        found.append({**logs, "tested": list(tested.values()), "images": images.ravel().tolist()})
        found[-1].update(weights_of(model))
        if name not in MEASURED:
            continue
        codes = model.encode(x)  # by a model made for both, on one device
        for numbers in (
            *(codes, model.decode(codes), model.sample_posterior(x, seed=0), model.elbo(x)),
            model.log_likelihood(x, 2),
            np.array([keras_vae.evaluate(model, x, num_samples=2)["nll"]]),
        ):
            found[-1][f"measured {len(found[-1])}"] = numbers.ravel().tolist()
    print(json.dumps([name, *found]))
"""

TWO_PROCESSES = """
import torch
from torch import distributed
name, how, rank, count, store = *sys.argv[1:3], *map(int, sys.argv[3:5]), sys.argv[5]
if count > 1:
    at = f"file://{store}"
    distributed.init_process_group("gloo", init_method=at, rank=rank, world_size=count)
size = 4 // count
mine = np.concatenate([x[:8].reshape(2, count, size, 4, 4, 1)[:, rank]])
mine = mine.reshape(-1, 4, 4, 1)
keras.utils.set_random_seed(0)
model = CASES[name]()
random = np.random.default_rng(1)  # the norms below are those of these weights
for variable in model.trainable_variables:
    variable.assign(random.normal(0, 0.3, variable.shape).astype("float32"))
logs = {}
if how == "fit":
    if name == "vq":
        mine[size:] *= 10  # the norms of the two steps are 598 and 8,830; of "capacity" 10 and 25
    model.compile(keras.optimizers.SGD(1e-3))
    if rank:  # what the first process has counts
        model.set_weights([w + 1 for w in model.get_weights()])
    skip = keras_vae.callbacks.SkipSteps({"capacity": 16.0, "vq": 2300.0}[name])
    fit = {"batch_size": size, "epochs": 2, "shuffle": False, "verbose": 0, "callbacks": [skip]}
    logs = model.fit(mine, **fit).history
    assert logs["skipped"][0] == 1, logs  # of two steps: the second
    if count > 1:
        assert np.isfinite(model.evaluate(mine[: size * (rank + 1)], verbose=0)).all()  # by itself
        try:
            model.fit(mine[: rank + 1], verbose=0)
            raise AssertionError("must be refused")
        except ValueError as error:
            assert "by process: 1, 2" in str(error), error
else:
    wrapped = torch.nn.parallel.DistributedDataParallel(model) if count > 1 else model
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 1e-3)
    for start in [0, size] * 2:
        optimizer.zero_grad()
        batch = torch.from_numpy(mine[start : start + size])
        loss = model.compute_loss(y_pred=wrapped({"data": batch}, training=True))
        loss.backward()
        optimizer.step()
print(json.dumps([name, {**logs, **weights_of(model)}]))
"""


FOUR_SHARDS = """
CASES["conv"] = lambda: keras_vae.conv_vae((4, 4, 1), 2, (4,), hidden_units=(), seed=0)
for name, make in CASES.items():
    found = []
    for distribution in (None, keras.distribution.DataParallel()):
        keras.distribution.set_distribution(distribution)
        keras.utils.set_random_seed(0)
        model = make()
        model.compile(keras.optimizers.SGD(1e-3))
        options = {"sample_weight": weight if name in ("elbo", "vq") else None}
        common = {"batch_size": 4, "verbose": 0}
        held_out = (x[:3], None)  # the last batch, and these, are computed by all
        logs = model.fit(
            x, epochs=2, shuffle=False, validation_data=held_out, **common, **options
        ).history
        tested = model.evaluate(x, return_dict=True, **common, **options)
        found.append({**logs, "tested": list(tested.values()), **weights_of(model)})
        if name == "elbo":  # other kinds of data, and labels
            classes = {"class_weight": {0: 1.0, 1: 2.0}, "validation_split": 0.3}
            logs = model.fit(x, np.arange(9) % 2, shuffle=False, **classes, **common).history
            threes = ((x[i : i + 3],) for i in (0, 3, 6))
            found[-1]["others"] = [*logs["val_loss"], *model.fit(threes, verbose=0).history["loss"]]
        if name not in MEASURED:
            continue
        predict = lambda x: model.predict(x, verbose=0)
        for measure in (predict, model.elbo, lambda x: model.log_likelihood(x, 2)):
            for part in (x[:8], x[:7]):  # of which the devices share the first only
                found[-1][f"measured {len(found[-1])}"] = measure(part).ravel().tolist()
    assert len(model._compiled(model._code)(model._tensor(x[:8])).sharding.device_set) == 4
    before = model.get_weights()
    for call in (
        lambda: model.fit(x, batch_size=6, verbose=0),
        lambda: model.train_on_batch(x[:3]),
        lambda: model.test_on_batch(x[:3]),
        lambda: model.predict(((x[i : i + 3],) for i in (0, 3)), verbose=0),
    ):
        try:
            call()
            raise AssertionError("must be refused")
        except ValueError as error:
            told = str(error)
            assert "devices share each batch" in told or "divide the shape" in told, told
    assert all((old == new).all() for old, new in zip(before, model.get_weights()))
    print(json.dumps([name, *found]))
"""


TWO_PROCESSES_OF_JAX = """
rank, count, port, folder = *map(int, sys.argv[1:4]), sys.argv[4]
if count > 1:
    keras.distribution.initialize(f"localhost:{port}", count, rank)
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
every = x[:8].reshape(2, count, 4 // count, 4, 4, 1)  # steps, processes, examples
mine = every[:, rank].reshape(-1, 4, 4, 1)
weight = weight[:8].reshape(2, count, -1)[:, rank].ravel()
size, random = 4 // count, np.random.default_rng(1)
common = {"batch_size": size, "verbose": 0}
for name in ("elbo", "capacity", "vq"):
    model = CASES[name]()
    for variable in model.trainable_variables:
        variable.assign(random.normal(0, 0.3, variable.shape).astype("float32"))
    model.compile(keras.optimizers.SGD(1e-3))
    options = {"sample_weight": weight if name == "elbo" else None}
    held_out = (mine[:size], None)
    logs = model.fit(
        mine, epochs=2, shuffle=False, validation_data=held_out, **options, **common
    ).history
    tested = model.evaluate(mine, **options, **common)
    found = {**logs, "tested": tested, **weights_of(model)}
    found["measured"] = model.elbo(x[:5], seed=0).tolist()
    found["trained"] = model.train_on_batch(
        mine[size:], sample_weight=weight[size:] if name == "elbo" else None
    )
    if count > 1:
        unlike = mine[: 2 + 2 * rank]
        train = keras_vae.training.train
        for message, call in (
            ("by process: 2, 4", lambda: model.fit(unlike, **common)),
            ("by process: 2, 4", lambda: model.fit(mine, validation_data=(unlike, None), **common)),
            ("by process: 2, 4", lambda: model.evaluate(unlike, **common)),
            ("by process: 2, 1", lambda: model.fit(mine, batch_size=2 - rank, verbose=0)),
            ("by process: 1, 2", lambda: model.fit(mine, epochs=1 + rank, **common)),
            ("2 devices share", lambda: model.fit(mine, batch_size=1, verbose=0)),
            ("2 devices share", lambda: model.fit(mine, validation_split=0.25, **common)),
            ("reconstruct", lambda: model.predict(mine, **common)),
            ("model.fit in each", lambda: train(model, mine, mine, folder, epochs=1)),
        ):
            try:
                call()
                raise AssertionError("must be refused: " + message)
            except ValueError as error:
                assert message in str(error), (message, error)
    if rank == count - 1:  # without the other
        found["alone"] = model.log_likelihood(x[:3], 2, seed=0).tolist()
        images = model.generate(2, seed=0) if name != "vq" else model.reconstruct(x[:2])
        found["alone"] += [*images.ravel().tolist(), keras_vae.evaluate(model, x)["mse"]]
        model.save(f"{folder}/{count}.keras")
        model.save_weights(f"{folder}/{count}.weights.h5")
        keras_vae.save_to_folder(model, f"{folder}/{count}")
    print(json.dumps([name, found]), flush=True)
model = keras_vae.mlp_vae((4, 4, 1), 2, (6,))  # of no seed: the same in all processes
model.compile("adam")
if count > 1 and rank == 0:
    try:
        model.save(f"{folder}/early.keras")
        raise AssertionError("must be refused")
    except ValueError as error:
        assert "in all of them before" in str(error), error
found = model.fit(mine, **common).history["loss"]
print(json.dumps(["unseeded", found]))
"""


ONE_AND_TWO = (("0", "1"), ("0", "2"), ("1", "2"))  # rank and number of processes


def start(arguments, env=None):
    """Starts a process of Python that runs some code, with arguments."""
    command, pipe = [sys.executable, "-c", *arguments], subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env)


def outputs_of(processes):
    """What each of several processes says of each case: a dict for each process."""
    processes, found = list(processes), []
    try:
        for process in processes:
            output, error = process.communicate(timeout=500)
            assert process.returncode == 0, error
            # Callbacks and Gloo speak, too.
            lines = [line for line in output.splitlines() if line.startswith('["')]
            found.append(dict(map(json.loads, lines)))
    finally:  # one that waits for a process that failed would wait for minutes
        for process in processes:
            process.kill()
            process.communicate()
    return found


@pytest.mark.skipif(ON != "jax", reason="processes of JAX")
@pytest.mark.long
def test_two_processes_of_two_devices_train_and_measure_as_one_device(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    code = COMMON + TWO_PROCESSES_OF_JAX
    one, first, second = outputs_of(
        start(
            [code, rank, count, port, str(tmp_path)],
            env=quick_xla.with_devices(2) if count == "2" else None,
        )
        for rank, count in ONE_AND_TWO
    )
    assert first["unseeded"] == second["unseeded"]
    for name in ("elbo", "capacity", "vq"):
        assert one[name].keys() == second[name].keys() == first[name].keys() | {"alone"}
        for key in one[name]:
            for logs in (first, second):
                assert logs[name].get(key, one[name][key]) == pytest.approx(
                    one[name][key], rel=1e-4, abs=1e-5
                ), (name, key)
    again = [keras_vae.load(tmp_path / count).get_weights() for count in ("1", "2")]
    again.append(keras.saving.load_model(tmp_path / "2.keras").get_weights())
    for weights in again[1:]:
        for ours, theirs in zip(again[0], weights, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(ON != "jax", reason="a distribution of JAX")
@pytest.mark.long
def test_four_devices_train_and_measure_as_one_and_what_they_cannot_share_harms_nothing():
    command = [sys.executable, "-c", COMMON + FOUR_SHARDS]
    process = subprocess.run(command, capture_output=True, text=True, env=quick_xla.with_devices(4))
    assert process.returncode == 0, process.stderr
    cases = [json.loads(line) for line in process.stdout.splitlines()]
    assert len(cases) == 7
    for name, one, four in cases:
        assert one.keys() == four.keys()
        for key in one:
            assert four[key] == pytest.approx(one[key], rel=1e-4, abs=1e-5), (name, key)


@pytest.mark.skipif(ON != "tensorflow", reason="a strategy of TensorFlow")
@pytest.mark.long
def test_two_devices_train_and_measure_as_one_though_one_gets_no_example():
    command = [sys.executable, "-c", COMMON + TWO_DEVICES]  # devices are set up once in a process
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    cases = [json.loads(line) for line in process.stdout.splitlines()]
    assert len(cases) == 5
    for name, one, two in cases:
        assert one.keys() == two.keys()
        for key in one:
            assert two[key] == pytest.approx(one[key], rel=1e-4, abs=1e-5), (name, key)


@pytest.mark.skipif(ON != "torch", reason="processes of PyTorch")
@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "how"), [("capacity", "fit"), ("vq", "fit"), ("vq_gradient", "ddp")]
)
def test_two_processes_train_as_one(name, how, tmp_path):
    code = COMMON + TWO_PROCESSES
    found = outputs_of(
        start([code, name, how, rank, count, tmp_path / "at"]) for rank, count in ONE_AND_TWO
    )
    one, *both = (logs[name] for logs in found)
    for logs in both:
        assert logs.keys() == one.keys()
        for key in one:
            assert logs[key] == pytest.approx(one[key], rel=1e-4, abs=1e-5), key
