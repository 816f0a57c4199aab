"""Files are written as a whole or not at all, errors name them, and a folder has one owner."""

import errno
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import keras_vae
from keras_vae import files, locks


@pytest.fixture
def full(monkeypatch):
    """A disk without space: whatever is written to a file fails, as the system reports it."""

    def write(self, content):
        self.touch()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("pathlib.Path.write_bytes", write)


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing(tmp_path, full):
    for name in ("a.json", "b.bin"):
        with pytest.raises(OSError, match="No space left") as caught:
            files.write_bytes(tmp_path / name, b"content")
        assert caught.value.filename == str(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_and_the_file_that_it_names_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/a.json").write_text("before")
    (tmp_path / "link.json").symlink_to(tmp_path / "there/a.json")
    files.write_bytes(tmp_path / "link.json", b"after")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "there/a.json").read_text() == "after"


def test_a_lock_on_a_full_disk_holds_and_leaves_nothing(tmp_path, monkeypatch):
    def write(descriptor, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(locks.os, "write", write)
    new = tmp_path / "new"
    other = pytest.raises(ValueError, match="Another process")
    with locks.locked(new), other, locks.locked(new):
        pass
    assert not (tmp_path / "new").exists()


def test_weights_on_a_full_disk_are_an_error_and_the_earlier_ones_stay(tmp_path, make, monkeypatch):
    model = make("mlp_vae")
    files.write_weights(model, tmp_path / "a.weights.h5")
    before = (tmp_path / "a.weights.h5").read_bytes()
    monkeypatch.setattr(
        "pathlib.Path.write_bytes", lambda *_: os.write(os.open("/dev/full", os.O_WRONLY), b"x")
    )
    with pytest.raises(OSError, match="No space left") as caught:
        files.write_weights(model, tmp_path / "a.weights.h5")
    assert caught.value.filename == str(tmp_path / "a.weights.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.weights.h5"]
    assert (tmp_path / "a.weights.h5").read_bytes() == before


def test_weights_written_from_memory_are_those_that_keras_reads(tmp_path, make):
    model, other = make("mlp_vae"), make("mlp_vae")
    files.write_weights(model, tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


# A limit on the size of files does to a process what a full disk does.
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
import numpy as np
import keras_vae
from keras_vae import training
model = keras_vae.mlp_vae((8, 8, 1), 2, (64,))
model.compile("adam")
try:
    training.train(model, np.zeros((8, 8, 8, 1)), None, sys.argv[1], epochs=1)
except OSError as error:
    print(error)
try:
    keras_vae.save_to_folder(model, sys.argv[1])
except OSError as error:
    print(error)
"""


@pytest.mark.long
def test_training_on_a_full_disk_ends_with_an_error_and_not_with_a_crash(tmp_path):
    run = tmp_path / "run"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", LIMITED, run], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    *_, first, second = result.stdout.splitlines()
    assert first.startswith(f"[Errno {errno.EFBIG}] File too large: '{run / 'epoch-00001'}")
    assert second.startswith(f"[Errno {errno.EFBIG}] File too large: '{run}")
    assert list(run.iterdir()) == []


def test_whether_a_file_can_be_written_is_known_before_it_is(tmp_path, monkeypatch):
    files.check_writable(tmp_path / "a" / "b.png")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(IsADirectoryError):
        files.check_writable(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        files.check_writable(tmp_path / "file" / "b.png")

    def read_only(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with pytest.raises(OSError, match="Read-only file system: 'a.png'"):
        files.check_writable("a.png")


def test_rows_are_written_one_batch_after_the_other(tmp_path):
    batches = [np.arange(6.0).reshape(3, 2), np.ones((100_000, 2))]
    assert files.write_rows(tmp_path / "a.npy", iter(batches)) == (100_003, 2)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.concatenate(batches))
    with pytest.raises(ValueError, match="nothing to write"):
        files.write_rows(tmp_path / "b.npy", iter([]))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


HOLDING = """
import sys, time
from keras_vae.locks import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(300)
"""


@pytest.mark.long
def test_a_folder_has_one_owner_until_its_process_ends_in_whatever_way(tmp_path):
    folder = tmp_path / "a" / "run"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDING, folder]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        refusal = f"Another process .{other.pid}. is working in {folder}. Wait for it"
        with pytest.raises(ValueError, match=refusal), locks.locked(folder):
            pass
        other.send_signal(signal.SIGKILL)
    with locks.locked(folder):
        (folder / "state.json").write_text(json.dumps({}))
    assert [path.name for path in folder.iterdir()] == ["state.json"]


def test_a_folder_that_was_made_for_nothing_is_removed(tmp_path):
    with locks.locked(tmp_path / "a" / "run"):
        assert (tmp_path / "a" / "run").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_two_runs_in_a_folder_are_refused(tmp_path, make):
    model = make("mlp_vae")
    model.compile("adam")
    with locks.locked(tmp_path), pytest.raises(ValueError, match="Another process"):
        keras_vae.training.train(model, np.zeros((4, 8, 8, 1)), None, tmp_path, epochs=1)
