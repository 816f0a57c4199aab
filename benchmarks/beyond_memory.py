"""Training on more images than memory holds: python -m benchmarks.beyond_memory [--bytes N].

Writes N bytes (default: 20 GB) of generated images of 64 x 64 x 3 to sharded TFRecord files, then,
in processes that may hold a fraction of that (`RLIMIT_DATA`), finds the records, reads batches in
random order, and trains a small conv_vae on them, all images shuffled: the first process is ended
with SIGKILL in the middle of its epoch, and another goes on at the step that was saved. Their
memory is read from /proc, apart from the system's file cache, which is emptied of the set before
each. A smaller set is trained with and without such an end: the weights must be equal. With
--folder the large set stays there, and the next run takes it. Writes results/beyond_memory.json.
Linux only.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks import record
from benchmarks.markdown import markdown

SHAPE, BATCH = (64, 64, 3), 128
WORKER = "--worker"


def main():
    if sys.argv[1:2] == [WORKER]:
        _work(**json.loads(sys.argv[2]))
        return
    parser = record.parser(__doc__)
    parser.add_argument("--bytes", type=float, default=20e9, help="of the images (default: 20e9)")
    parser.add_argument("--steps", type=int, default=400, help="of training (default: 400)")
    parser.add_argument("--limit", type=float, default=4e9, help="bytes of memory (default: 4e9)")
    parser.add_argument("--folder", type=Path, help="of the set (default: a temporary one)")
    options = parser.parse_args()
    small = 2560
    if options.smoke:
        options.bytes, options.steps, small = 5e6, 3, 256
    folder = Path(tempfile.mkdtemp(prefix="beyond-", dir=options.folder))
    try:
        big = options.folder / "big" if options.folder else folder / "big"
        _measure(options, folder, big, int(options.bytes / np.prod(SHAPE)), small)
    finally:
        shutil.rmtree(folder)


def _measure(options, folder, big, n, small):
    written = _write(big, n)
    written_small = _write(folder / "small", small)
    limit = {"limit": int(options.limit)}
    read = _process("read", big, steps=options.steps, **limit)
    train = {"run": folder / "run", **limit}
    first = _process("train", big, stop=options.steps, **train)
    second = _process("train", big, stop=options.steps + options.steps // 2, **train)
    result = {
        "what": "uint8 images of 64 x 64 x 3; anonymous memory in 10^6 bytes, without file cache",
        "images": read["images"],
        "batch": BATCH,
        "memory of the machine, GB": round(os.sysconf("SC_PAGE_SIZE") * _pages() / 1e9, 1),
        "limit of a process (RLIMIT_DATA), GB": options.limit / 1e9,
        "written": written,
        "written, the smaller set": written_small,
        "read": read,
        "trained": first,
        "resumed": second,
        "same": _check_same(folder),
    }
    record.write(options, "beyond_memory", result)
    for name in ("written", "read", "trained", "resumed", "same"):
        print(name, result[name])


def table(result) -> str:
    """The result as a table of the README."""
    read, first, second, same = (result[key] for key in ("read", "trained", "resumed", "same"))
    what = (
        f"{result['images']:,} images of 64 x 64 x 3, {result['written']['bytes'] / 1e9:.1f} GB in "
        f"{result['written']['files']} files; a machine with {result['memory of the machine, GB']} "
        f"GB; {result['limit of a process (RLIMIT_DATA), GB']:.0f} GB at most in a process; "
        f"{result['backend']}, {result['machine']}\n\n"
    )
    rate = (
        result["written"].get("images_per_s") or result["written, the smaller set"]["images_per_s"]
    )
    of_small = "" if "images_per_s" in result["written"] else " (of the smaller set)"
    peaks = [f"{part['anonymous memory, peak']:,} MB" for part in (first, second)]
    rises = [f"{part['rise from first to second half']:+,} MB" for part in (first, second)]
    rows = [
        [f"images written per second{of_small}", f"{rate:,}"],
        ["seconds to find all records", read["seconds to find the records"]],
        ["images read per second, in random order", f"{read['images_per_s']:,}"],
        ["images trained on per second", f"{first['images_per_s']:,}"],
        ["anonymous memory of the process: peak, before and after the kill", ", ".join(peaks)],
        ["its rise from the first half of the time to the second", ", ".join(rises)],
        ["killed after step", f"{first['last_step']} of {first['steps_per_epoch']:,}"],
        ["goes on after step", second["first_step"]],
        [
            "seconds from there to its first step, with finding the records",
            round(sum(second[key] for key in _TO_RESUME), 1),
        ],
        [
            f"largest difference of a weight after {same['steps']} steps, killed or not",
            same["largest difference of a weight"],
        ],
    ]
    return what + markdown(("", ""), [[what, str(figure)] for what, figure in rows])


_TO_RESUME = ("seconds to find the records", "seconds from there to the first step")


def _pages():
    return os.sysconf("SC_PHYS_PAGES")


def _write(folder, n):
    """Writes generated images, if they are not there."""
    from keras_vae import data
    from keras_vae.data.shards import find_shards

    rate, found = {}, find_shards(folder)
    if found:
        (paths,) = found.values()
    else:
        started = time.perf_counter()
        paths = data.write_shards(_images(n), folder)
        rate = {"images_per_s": round(n / (time.perf_counter() - started))}
    size = sum(path.stat().st_size for path in paths)
    return {"bytes": size, "files": len(paths), **rate}


def _images(n):
    """Yields soft random patterns of colour under noise, no two alike."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 32, (2**20,), dtype="uint8")
    size = int(np.prod(SHAPE))
    for _ in range(n):
        soft = rng.integers(0, 224, (4, 4, 3), dtype="uint8").repeat(16, 0).repeat(16, 1)
        start = int(rng.integers(0, len(noise) - size))
        yield soft + noise[start : start + size].reshape(SHAPE)


def _process(task, folder, **options):
    """Runs a task in a process of its own, with no file of the folder in the system's cache."""
    os.sync()
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    options = {key: str(v) if isinstance(v, Path) else v for key, v in options.items()}
    arguments = json.dumps({"task": task, "folder": str(folder), **options})
    command = [sys.executable, "-m", "benchmarks.beyond_memory", WORKER, arguments]
    run = subprocess.run(command, cwd=record.ROOT, stdout=subprocess.PIPE, text=True)
    if run.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"{task} ended with {run.returncode}")
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    killed = {"ended by SIGKILL": True} if run.returncode else {}
    return {**json.loads(lines[-1]), **killed}


def _check_same(folder):
    """Trains on the smaller set for two epochs, once with an end in between."""
    options = {"run": folder / "whole", "epochs": 2}
    whole = _process("train", folder / "small", **options)
    options = {"run": folder / "killed", "epochs": 2, "save_minutes": 0}
    steps = whole["steps_per_epoch"]
    killed = _process("train", folder / "small", stop=steps + steps // 2, **options)
    again = _process("train", folder / "small", **options)
    weights = [np.load(folder / run / "weights.npz") for run in ("whole", "killed")]
    largest = max(float(np.max(np.abs(weights[0][k] - weights[1][k]))) for k in weights[0].files)
    assert killed["ended by SIGKILL"] and again["first_step"]
    return {
        "steps": 2 * steps,
        "killed after step": steps + steps // 2,
        "largest difference of a weight": largest,
    }


def _work(task, folder, limit=None, **options):
    if limit:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    {"read": _read, "train": _train}[task](folder, **options)


def _read(folder, steps):
    """Reads batches in random order, as training does, and does nothing with them."""
    from keras_vae import data
    from keras_vae.backends import read_batches

    started = time.perf_counter()
    x = data.read_shards(folder)
    found = time.perf_counter()
    order = np.random.default_rng(1).permutation(len(x))[: steps * BATCH]
    for _ in read_batches(x, BATCH, lambda epoch: order, range(1)):
        pass
    seconds = time.perf_counter() - found
    figures = {"seconds to find the records": round(found - started, 2)}
    print(json.dumps({**figures, "images": len(x), "images_per_s": round(len(order) / seconds)}))


def _train(folder, run, stop=None, epochs=1, save_minutes=0.5):
    """Trains in a folder; ends itself with SIGKILL at a step, if there is one to stop at."""
    started = time.perf_counter()
    import keras

    import keras_vae
    from keras_vae import data, training
    from keras_vae.training.checkpoints import has_state, read_state

    imported = time.perf_counter()
    x = data.read_shards(folder)
    opened = time.perf_counter()
    keras.utils.set_random_seed(0)
    model = keras_vae.conv_vae(SHAPE, latent_dim=16, filters=(4, 4), likelihood="learned_gaussian")
    model.compile(keras.optimizers.Adam(1e-3))
    run, steps = Path(run), -(-len(x) // BATCH)
    state = read_state(run) if has_state(run) else {}
    unfinished = (state.get("unfinished") or {}).get("step", 0)
    first_step = len(state.get("history", ())) * steps + unfinished
    memory = _Memory()
    figures = {
        "first_step": first_step,
        "steps_per_epoch": steps,
        "seconds to import": round(imported - started, 2),
        "seconds to find the records": round(opened - imported, 2),
    }
    watch = _watch(memory, figures, first_step, stop, opened, keras)
    fit = model.fit
    model.fit = lambda *args, **kwargs: fit(
        *args, **{**kwargs, "callbacks": [*kwargs["callbacks"], watch]}
    )
    training.train(model, x, None, run, epochs=epochs, batch_size=BATCH, save_minutes=save_minutes)
    np.savez(run / "weights.npz", *model.get_weights())
    print(json.dumps({**figures, **memory.figures()}))


def _watch(memory, figures, first_step, stop, opened, keras):
    class Watch(keras.callbacks.Callback):
        step, started = first_step, None

        def on_train_batch_end(self, batch, logs=None):
            self.step += 1
            now = time.perf_counter()
            if self.started is None:
                figures["seconds from there to the first step"] = round(now - opened, 2)
                self.started = now
                return
            if self.step == first_step + 20 or self.step == stop:
                memory.begin()
            if self.step == stop:
                rate = BATCH * (self.step - first_step - 1) / (now - self.started)
                figures.update(last_step=self.step, images_per_s=round(rate))
                print(json.dumps({**figures, **memory.figures()}), flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

    return Watch()


class _Memory:
    """Reads this process's anonymous memory four times a second, once it has begun."""

    def __init__(self):
        self.seen, self.started = [], None

    def begin(self):
        if self.started is None:
            self.started = time.perf_counter()
            self._note()
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            time.sleep(0.25)
            self._note()

    def _note(self):
        self.seen.append((time.perf_counter() - self.started, *_resident()))

    def figures(self):
        """The peak, and by how much the second half of the time is above the first."""
        if len(self.seen) < 2:
            return {}
        seconds, anonymous, whole = zip(*self.seen)
        half = len(anonymous) // 2
        rise = statistics.median(anonymous[half:]) - statistics.median(anonymous[:half])
        slope = np.polyfit(seconds, anonymous, 1)[0] * 60
        return {
            "anonymous memory, median": round(statistics.median(anonymous)),
            "anonymous memory, peak": round(max(anonymous)),
            "rise from first to second half": round(rise, 1),
            "slope per minute": round(float(slope), 1),
            "seconds watched": round(seconds[-1], 1),
            "resident memory with mapped files, peak": round(max(whole)),
        }


def _resident():
    """The anonymous and the whole resident memory of this process, in 10^6 bytes."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    found = {
        line[0]: int(line[1]) * 1024 / 1e6 for line in lines if line[0] in ("RssAnon:", "VmRSS:")
    }
    return found["RssAnon:"], found["VmRSS:"]


if __name__ == "__main__":
    main()
