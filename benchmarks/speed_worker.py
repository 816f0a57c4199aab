"""Runs one contender of benchmarks.speed in its own process, and answers JSON lines on stdin.

python -m benchmarks.speed_worker CONTENDER THREADS. Each line names a task and its arguments; the
answer holds the seconds taken, until the results were there.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.architectures import ARCHITECTURES

ROOT = Path(__file__).parents[1]


def images(n, size):
    """Returns random grey images, uint8 `(n, size, size, 1)`: content does not affect speed."""
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 1), dtype="uint8")


class KerasVae:
    """The tasks on keras_vae, as a user calls it: `fit`, `log_likelihood`, `encode`, ..."""

    def __init__(self, network, size):
        import keras_vae

        arguments = ARCHITECTURES[network]
        self.model = keras_vae.FACTORIES[f"{network}_vae"]((size, size, 1), **arguments, seed=0)

    def train(self, x, batch):
        self.model.fit(x, batch_size=batch, verbose=0)

    def nll(self, x, num_samples):
        self.model.log_likelihood(x, num_samples, seed=0)

    def encode(self, x):
        return self.model.encode(x)

    def decode(self, x):
        # For a VQ model codes, for the others latents, from the first encode.
        if not hasattr(self, "code"):
            self.code = self.model.encode(x[:1])
        self.model.decode(np.repeat(self.code, len(x), axis=0))

    def generate(self, x):
        self.model.generate(len(x), seed=0)

    def multiply(self, n, times):
        """Multiplies n x n matrices: the rate that training is compared with."""
        import keras

        a = keras.ops.ones((n, n))
        for _ in range(times):
            product = keras.ops.matmul(a, a)
        keras.ops.convert_to_numpy(product[0, 0])

    def flops(self):
        """Returns the floating-point operations of one example's forward pass."""
        model = self.model
        count = sum(map(_flops, (*_layers(model.encoder), *_layers(model.decoder))))
        spec = model.latent.code_spec
        if spec.num_codes:  # the distances of every position to every code
            count += 2 * int(np.prod(spec.shape)) * spec.num_codes * model.decoder.input_shape[-1]
        return count


def _layers(model):
    return [layer for layer in model.layers if layer.weights]


def _flops(layer):
    kernel = layer.kernel
    transposed = type(layer).__name__.endswith("Transpose")
    positions = (layer.input if transposed else layer.output).shape[1:-1]
    return 2 * int(np.prod(kernel.shape)) * int(np.prod(positions, dtype="int64"))


class Worker:
    """A contender's process, as benchmarks.speed sees it."""

    def __init__(self, name, threads):
        kind, _, backend = name.partition(" ")
        limits = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        # With the kernels for CPUs that the commands turn on.
        of_ours = {"KERAS_BACKEND": backend, "TF_ENABLE_ONEDNN_OPTS": "1"}
        own = of_ours if kind == "keras_vae" else {}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed_worker", kind, str(threads)],
            env={
                **os.environ,
                **dict.fromkeys(limits, str(threads)),
                **own,
                "PYTHONPATH": path,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def post(self, task):
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()

    def read(self):
        answer = json.loads(self.process.stdout.readline())
        self.peak_mib = answer["peak_mib"]
        return answer

    def ask(self, task):
        self.post(task)
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def main():
    contender, threads = sys.argv[1], int(sys.argv[2])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print to stdout, which is for answers
    if contender == "keras_vae":
        kind = KerasVae
    else:
        from benchmarks import peers

        peers.set_threads(threads)
        kind = peers.CONTENDERS[contender]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # Pythae writes to the current folder
        runner = None
        for line in sys.stdin:
            task = json.loads(line)
            if task["task"] == "make":
                runner = kind(task["network"], task["size"])
                answer = {"flops": runner.flops()} if kind is KerasVae else {}
            else:
                answer = _time(runner, task)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(json.dumps({**answer, "peak_mib": peak}), file=answers, flush=True)


def _time(runner, task):
    if task["task"] == "multiply":
        arguments = (task["n"], task["times"])
    else:
        names = [name for name in ("batch", "num_samples") if name in task]
        arguments = (images(task["images"], task["size"]), *(task[name] for name in names))
    function = getattr(runner, task["task"])
    start, cpu_start = time.perf_counter(), time.process_time()
    function(*arguments)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    return {"seconds": seconds, "cpu_seconds": cpu_seconds}


if __name__ == "__main__":
    main()
