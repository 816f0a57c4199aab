"""Processes and disks that fail in a download: nothing half-written ever loads."""

import contextlib
import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import loopback_hub
import pytest
from loopback_hub import environment, stall

import keras_vae
from keras_vae import hub
from keras_vae.hub import fetch
from keras_vae.hub.folder import FILES

loopback, files, served = loopback_hub.loopback, loopback_hub.files, loopback_hub.served
MINE = "hf://me/mine"
WEIGHTS = "cdn GET"  # the only file that the CDN has


def loads(files, **options):
    folder = hub.download(MINE, **options)
    assert {name: (folder / name).read_bytes() for name in FILES} == files


MANY = """
import sys
import keras_vae
from keras_vae import hub
assert "huggingface_hub.file_download" not in sys.modules  # imported when there is a download
print("ready", flush=True)
for cache in sys.stdin:
    keras_vae.load(sys.argv[1], cache_dir=cache.strip(), compile=False)
    print("loaded", flush=True)
"""


ONE = """
import sys
import keras_vae
from huggingface_hub import constants
constants.DOWNLOAD_CHUNK_SIZE = 1000  # so that half of this small file is on the disk
keras_vae.load(sys.argv[1], cache_dir="cache")
"""


def start(script, loopback, tmp_path, **options):
    """Starts another process with this package, on the same backend."""
    here = {
        "KERAS_BACKEND": keras.config.backend(),
        "PYTHONPATH": str(Path(keras_vae.__file__).parents[1]),
    }
    variables = {**os.environ, **environment(loopback, tmp_path / "home"), **here}
    command = [sys.executable, "-c", script, MINE]
    return subprocess.Popen(command, env=variables, cwd=tmp_path, text=True, **options)


@pytest.mark.long
def test_two_and_eight_processes_load_at_once_into_an_empty_cache(loopback, files, tmp_path):
    loopback.add("me/mine", files)

    def slowly(answer):
        time.sleep(0.1)
        return answer

    loopback.fail("GET", slowly)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with contextlib.ExitStack() as stack:
        processes = [start(MANY, loopback, tmp_path, **pipes) for _ in range(8)]
        for process in processes:
            stack.enter_context(process)  # its pipes are closed and it is waited for
            stack.callback(process.kill)
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 8
        for some in (processes[:2], processes):
            for process in some:
                print(f"cache-{len(some)}", file=process.stdin, flush=True)
            assert [process.stdout.readline() for process in some] == ["loaded\n"] * len(some)
    for cache in ("cache-2", "cache-8"):
        loads(files, cache_dir=tmp_path / cache)
    assert len(loopback.asked(WEIGHTS)) == 2  # one for each cache: the client locks


@pytest.mark.long
def test_after_a_kill_in_mid_download_a_new_load_is_whole(loopback, files, tmp_path):
    loopback.add("me/mine", files)
    weights = files["model.weights.h5"]
    loopback.fail(WEIGHTS, stall(len(weights) // 2))
    cache = tmp_path / "cache"
    # The large file's own: those of the small ones come and go.
    incomplete = f"{hashlib.sha256(weights).hexdigest()}*.incomplete"
    deadline = time.monotonic() + 60
    with start(ONE, loopback, tmp_path) as process:
        try:
            while not any(path.stat().st_size for path in cache.rglob(incomplete)):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGKILL
    (partial,) = cache.rglob(incomplete)
    assert 0 < partial.stat().st_size < len(weights)
    with pytest.raises(hub.OfflineError):
        keras_vae.load(MINE, cache_dir=cache, local_files_only=True)
    loopback.faults.clear()
    loads(files, cache_dir=cache)
    assert keras_vae.load(MINE, cache_dir=cache)


@pytest.fixture
def mount(tmp_path):
    """A function that mounts a small file system in memory, or skips the test."""
    mounted = []

    def mount(name, options):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("needs the right to mount a small tmpfs")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_cache_that_is_not_a_folder_is_named(loopback, files, tmp_path):
    loopback.add("me/mine", files)
    (tmp_path / "file").write_text("")
    sentence = "cache .*/file cannot be written.*cache_dir= or HF_HOME"
    with pytest.raises(hub.CacheError, match=sentence):
        keras_vae.load(MINE, cache_dir=tmp_path / "file")


def test_a_read_only_cache_is_named_and_what_it_holds_still_loads(loopback, files, mount):
    loopback.add("me/mine", files)
    folder = mount("locked", "size=1m")
    loads(files, cache_dir=folder)
    remount = ["mount", "-o", "remount,ro", str(folder)]
    subprocess.run(remount, check=True)
    loads(files, cache_dir=folder)
    keras_vae.load(MINE, cache_dir=folder, local_files_only=True)
    loopback.add("me/other", files)
    with pytest.raises(hub.CacheError, match=r"locked cannot be written \(.*Read-only file"):
        keras_vae.load("hf://me/other", cache_dir=folder)


@pytest.mark.filterwarnings("ignore:Not enough free disk space")  # the client's own
def test_a_full_disk_is_named_and_leaves_nothing(loopback, files, mount):
    loopback.add("me/mine", files)
    folder = mount("full", "size=128k")
    filler = folder / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(folder).free - 16 * 1024))
    assert len(files["model.weights.h5"]) > 16 * 1024
    with pytest.raises(hub.CacheError, match="disk of the cache .*/full is full. Free some"):
        keras_vae.load(MINE, cache_dir=folder)
    assert not list(folder.rglob("*.incomplete"))
    filler.unlink()
    loads(files, cache_dir=folder)


@pytest.mark.parametrize("code", (errno.EDQUOT, errno.EACCES, errno.EROFS))
def test_codes_of_the_disk_are_told_apart(code):
    place = fetch.Place("me/mine", "main", cache_dir="/somewhere")
    with pytest.raises(hub.CacheError) as error, fetch._explained(place, FILES[2]):
        raise OSError(code, os.strerror(code))
    assert type(error.value) is hub.CacheError
    assert ("is full" in str(error.value)) == (code == errno.EDQUOT)
