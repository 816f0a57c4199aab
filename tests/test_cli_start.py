"""How the command starts: what it loads, what it prints, what the shell completes."""

import os
import subprocess
import sys

import numpy as np
import pytest

import keras_vae
from keras_vae.cli import base, exporting, training
from keras_vae.exporting import FORMATS

# As the script that pip installs: the name of the program is that of the command.
COMMAND = """
import sys
sys.argv = ["keras-vae", *sys.argv[1:]]
from keras_vae.cli import main
try:
    main()
finally:
    loaded = {"keras", "tensorflow", "jax", "torch", "matplotlib", "h5py"} & set(sys.modules)
    print("loaded:", *sorted(loaded), file=sys.stderr)
"""


def start(*arguments, cwd):
    environment = {key: v for key, v in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", COMMAND, *arguments]
    options = {"env": environment, "cwd": cwd, "capture_output": True, "text": True}
    return subprocess.run(command, timeout=300, **options)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("train", "--help"), 0),
        (("list",), 0),
        (("info", "conv-mnist"), 0),
        (("info", "conv-mnits"), 1),
        ((), 0),
        (("-h",), 0),
        (("--version",), 0),
        (("generate", "conv-mnist", "--n", "none"), 2),
    ],
)
def test_what_needs_no_model_loads_no_keras(tmp_path, arguments, code):
    result = start(*arguments, cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert result.stderr.splitlines()[-1].strip() == "loaded:"


@pytest.mark.long
def test_the_readmes_first_command_prints_one_line_and_nothing_else(tmp_path):
    result = start("generate", "mlp-mnist-2d", "--n", "4", cwd=tmp_path)
    assert result.stdout == f"Wrote {tmp_path / 'mlp-mnist-2d-samples.png'}\n"
    assert len(result.stderr.splitlines()) == 1, result.stderr  # what the test itself prints


@pytest.mark.long
def test_training_on_ones_own_data_prints_nothing_but_its_figures(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype="uint8")
    np.savez(tmp_path / "x.npz", x_train=x)
    small = ["--factory", "mlp_vae", "--latent-dim", "2", "--set", "hidden_units=[8]"]
    result = start(
        "train", "--data", "x.npz", "--out", "mine", "--epochs", "1", *small, cwd=tmp_path
    )
    assert result.stdout.startswith("epoch 1/1  loss") and result.returncode == 0
    assert len(result.stderr.splitlines()) == 1, result.stderr  # what the test itself prints


def test_what_was_held_back_is_shown_if_the_start_fails(capfd):
    with pytest.raises(RuntimeError), base._quiet_start():
        os.write(2, b"the library says why")
        raise RuntimeError
    assert capfd.readouterr().err == "the library says why"
    with base._quiet_start():
        os.write(2, b"noise")
    assert capfd.readouterr().err == ""


def test_completion_knows_models_factories_likelihoods_and_formats():
    assert base.complete_model("conv-") == keras_vae.list_models("conv-*")
    assert tuple(keras_vae.FACTORIES) == training.FACTORY_NAMES
    assert tuple(keras_vae.likelihoods.LIKELIHOODS) == training.LIKELIHOOD_NAMES
    assert tuple(FORMATS) == exporting.FORMAT_NAMES
    assert base.complete(*exporting.FORMAT_NAMES)("sa") == ["saved_model"]


@pytest.mark.parametrize(
    ("devices", "setting", "expected"), [(None, None, "1"), (2, None, None), (1, "0", "0")]
)
def test_commands_turn_on_faster_kernels_unless_devices_share_a_batch_or_told_not_to(
    monkeypatch, devices, setting, expected
):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", setting or "")
    if setting is None:
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    found = []
    command = base.Computing(
        "train", callback=lambda devices: found.append(os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
    )
    with command.make_context("train", []) as context:
        context.params["devices"] = devices
        command.invoke(context)
    assert found == [expected]
