"""Ctrl-C ends any command at any moment: one line, at once, exit code 130."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import keras_vae

# As the script that pip installs; it tells when it imports Keras, and when it computes.
COMMAND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test may run where it is ignored
sys.argv = ["keras-vae", *sys.argv[1:]]
class Tell:
    def find_spec(self, name, path=None, target=None):
        if name == "keras":
            print("importing", flush=True)
sys.meta_path.insert(0, Tell())
import keras_vae.cli
keras_vae.cli.main()
"""
# Computing outside of Python, where no signal handler runs.
BUSY = """
import hashlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["keras-vae"]
from keras_vae.cli import interrupts
interrupts.start()
with interrupts.grace(0.2):
    while True:
        try:
            print("computing", flush=True)
            hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # minutes
        except KeyboardInterrupt:
            pass  # it came before the computation began
"""


# What is interrupted gets less time than what then saves it.
SAVING = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = ["keras-vae"]
from keras_vae.cli import interrupts
interrupts.start()
with interrupts.grace(60):
    try:
        with interrupts.grace(4):
            print("computing", flush=True)
            time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(5)
        pathlib.Path("saved").touch()
"""


def interrupt(code, *arguments, at, cwd):
    """Sends Ctrl-C when a line is printed; the exit code, all of stderr, and how long it took."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, cwd=cwd, **pipes) as process:
        for line in process.stdout:
            if at in line:
                break
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
        return process.returncode, stderr, time.monotonic() - started


def test_while_it_imports(tmp_path):
    code, stderr, seconds = interrupt(
        COMMAND, "generate", "conv-mnist", at="importing", cwd=tmp_path
    )
    assert (code, stderr) == (130, "Interrupted.\n")
    assert seconds < 30  # far less on a machine that does nothing else


def test_while_it_computes_outside_of_python(tmp_path):
    code, stderr, seconds = interrupt(BUSY, at="computing", cwd=tmp_path)
    assert (code, stderr) == (130, "Interrupted.\n")
    assert seconds < 30


def test_what_follows_may_take_longer_than_what_was_interrupted(tmp_path):
    code, stderr, _ = interrupt(SAVING, at="computing", cwd=tmp_path)
    assert (code, stderr) == (0, "")
    assert (tmp_path / "saved").exists()


@pytest.mark.long
def test_in_training_the_best_epoch_is_saved_and_loads(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1), dtype="uint8")
    np.savez(tmp_path / "x.npz", x_train=x)
    arguments = ["train", "--data", "x.npz", "--out", "mine", "--factory", "mlp_vae"]
    arguments += ["--set", "hidden_units=[4]", "--latent-dim", 2, "--epochs", 100_000]
    code, stderr, _ = interrupt(COMMAND, *arguments, "--patience", 0, at="epoch 3/", cwd=tmp_path)
    assert code == 130 and "Run the same command again" in stderr and "Traceback" not in stderr
    assert keras_vae.load(tmp_path / "mine").data_shape == (8, 8, 1)
