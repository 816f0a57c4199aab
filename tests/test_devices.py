"""Recipes on several devices: the same model as on one, and what cannot be shared is refused."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import quick_xla

from keras_vae import data, training

ON = keras.backend.backend()

START = """
import json, os, pathlib, sys
import keras, numpy as np
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""

# 21 images in batches of 4: the second device has nothing of the last one. An image that is far
# from all others has steps left out; the others have their gradients clipped.
RECIPES = """
from keras_vae import data, training
from keras_vae.training.checkpoints import Checkpoints

x = np.random.default_rng(0).normal(size=(28, 4, 4, 1)).astype("float32")
x[5] = 1e4
parts = data.Data(x[:21], x[21:])
stage = {"epochs": 2, "batch_size": 4, "learning_rate": 1e-2, "seed": 1}
arguments = {"input_shape": [4, 4, 1], "latent_dim": 2, "hidden_units": [6]}
mlp = {"factory": "mlp_vae", "arguments": {**arguments, "likelihood": "gaussian"}}
arguments = {"input_shape": [4, 4, 1], "num_codes": 4, "code_dim": 2, "filters": [4], "blocks": 0}
vq = {"factory": "vq_vae", "arguments": arguments}
binary = data.Data(x[:21] > 0, x[21:] > 0)
CASES = {
    "mlp": (
        parts,
        {
            "model": mlp,
            "training": {
                **stage, "optimizer": "adamax", "clip": 2.0, "skip_above": 1e4, "average": 0.9,
            },
            "refinement": {**stage, "decay_to": 1.0, "keep_best": True, "shifts": 1},
        },
    ),
    "vq": (binary, {"model": vq, "training": {**stage, "clip": 0.1, "beta_warmup": 2}}),
}

def found(case, folder, devices):
    parts, recipe = CASES[case]
    model, history = training.follow(recipe, parts, folder, devices=devices)
    numbers = {"images": model.reconstruct(parts.x_validation).ravel().tolist()}
    for i, weight in enumerate(model.get_weights()):
        numbers[f"weight {i}"] = weight.ravel().tolist()
    for i, logs in enumerate(history):
        numbers |= {
            f"epoch {i} {name}": value for name, value in logs.items()
            if name not in ("seconds", "peak_memory_mb")
        }
    return numbers

folder = pathlib.Path(sys.argv[1])
for case in CASES:
    print(json.dumps([case, *(found(case, folder / f"{case}-{n}", n) for n in (None, 2))]))
# A run goes on with another number of devices: one epoch on one, another on two.
parts, recipe = CASES["mlp"]
del recipe["training"]["average"], recipe["refinement"]
recipe["training"]["decay_to"] = 1.0
straight = found("mlp", folder / "straight", 1)
for recipe["training"]["epochs"] in (1, 2):
    resumed = found("mlp", folder / "resumed", recipe["training"]["epochs"])
print(json.dumps(["resumed", straight, resumed]))
# From sources, on two devices, which are killed in the middle of an epoch.
class Positions:
    def __init__(self, x):
        self.x = x
    def __len__(self):
        return len(self.x)
    def __getitem__(self, position):
        return {"image": self.x[position]}

write = Checkpoints.write_step
def write_and_kill(self, done):
    write(self, done)
    if len(self.history) == 1 and done == 3:
        raise InterruptedError
Checkpoints.write_step = write_and_kill
arrays = parts.x_train, parts.x_validation
CASES["mlp"] = data.Data(*(data.Source(Positions(x)) for x in arrays)), recipe
try:
    training.follow(*CASES["mlp"][::-1], folder / "source", devices=2, save_minutes=0)
    raise AssertionError("must be killed")
except InterruptedError:
    Checkpoints.write_step = write
assert json.loads((folder / "source/state.json").read_text())["unfinished"]["step"] == 3
print(json.dumps(["source", straight, found("mlp", folder / "source", 2)]))
recipe["training"]["batch_size"] = 5
try:
    found("mlp", folder / "uneven", 2)
    raise AssertionError("must be refused")
except ValueError as error:
    assert "2 must divide batch_size. Received: batch_size=5" in str(error), error
assert not (folder / "uneven").exists()
"""

COMMANDS = """
from keras_vae.cli.commands import app
from keras_vae.training import recipes
from zoo import train as zoo

used, on_devices = [], recipes.on_devices
def noted(count):
    used.append(count)
    return on_devices(count)
recipes.on_devices = noted

os.chdir(sys.argv[1])
images = np.random.default_rng(0).random((120, 28, 28, 1), dtype="float32")
np.savez("images.npz", x_train=images)
own = ["train", "--data", "images.npz", "--out", "mine", "--factory", "mlp_vae", "--epochs", "1"]
own += ["--set", "hidden_units=[4]"]
try:
    app([*own, "--devices", "2"], standalone_mode=False)
except SystemExit as done:
    assert not done.code, done.code
sys.argv = ["train.py", "mlp-mnist-2d", "--data", "images.npz", "--epochs", "1", "--out", "run"]
sys.argv += ["--devices", "2"]
zoo.main()
states = [json.loads(open(f"{run}/state.json").read()) for run in ("mine/run", "run")]
print(json.dumps([used, *(len(state["history"]) for state in states)]))
"""


def run(script, *arguments):
    command = [sys.executable, "-c", START + script, *map(str, arguments)]
    process = subprocess.run(command, capture_output=True, text=True, env=quick_xla.with_devices(2))
    assert process.returncode == 0, process.stderr
    return [json.loads(line) for line in process.stdout.splitlines() if line.startswith("[")]


@pytest.mark.skipif(ON == "torch", reason="one process is on one device")
@pytest.mark.long
def test_two_devices_follow_a_recipe_as_one_and_a_run_goes_on_with_another_number(tmp_path):
    cases = {name: (one, two) for name, one, two in run(RECIPES, tmp_path)}
    assert cases.keys() == {"mlp", "vq", "resumed", "source"}
    for one, two in cases.values():
        assert one.keys() == two.keys()
        for key in one:
            assert two[key] == pytest.approx(one[key], rel=1e-4, abs=1e-5), key
    one, _ = cases["mlp"]
    assert one["epoch 0 skipped"] == one["epoch 1 skipped"] == 1  # of six
    plans = [
        json.loads((tmp_path / name / "state.json").read_text())["plan"]
        for name in ("straight", "resumed")
    ]
    assert plans[0] == plans[1]


@pytest.mark.skipif(ON != "tensorflow", reason="commands are the same on all backends")
@pytest.mark.long
def test_the_commands_train_on_two_devices(tmp_path):
    assert run(COMMANDS, tmp_path)[-1] == [[2, 2], 1, 1]


RECIPE = {
    "model": {"factory": "mlp_vae", "arguments": {"input_shape": [2], "likelihood": "gaussian"}},
    "training": {"epochs": 1, "batch_size": 5, "learning_rate": 1e-3, "seed": 0},
}


@pytest.mark.parametrize("devices", [0, -1, 1.5, True, 999])
def test_devices_that_are_not_there_are_refused_before_anything_is_written(devices, tmp_path):
    parts = data.Data(*np.zeros((2, 8, 2), "float32"))
    told = "devices must be (a whole number >= 1|at most 1, as many)"
    if devices is True:
        told = "devices must be a whole number >= 1. Received: True"
    elif ON == "torch" and devices == 999:
        told = "start a process for each with torchrun.*Received: devices=999"
    with pytest.raises(ValueError, match=told):
        training.follow(RECIPE, parts, tmp_path / "run", devices=devices)
    assert not (tmp_path / "run").exists()
