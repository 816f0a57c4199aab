"""How long a published model takes to load: python -m benchmarks.load_time [--runs N].

For each model, N fresh processes time `import keras`, then `import keras_vae`, then
`keras_vae.load(name)`, compiled and ready to use. Writes results/load_time-<backend>.json.
"""

import json
import statistics
import subprocess
import sys

from benchmarks import record

PROCESS = """
import json, sys, time
start = time.perf_counter()
import keras
keras_imported = time.perf_counter()
import keras_vae
imported = time.perf_counter()
model = keras_vae.load(sys.argv[1])
loaded = time.perf_counter()
print(json.dumps({
    "import keras": keras_imported - start,
    "import keras_vae": imported - keras_imported,
    "load": loaded - imported,
    "added to import keras": loaded - keras_imported,
}))
"""


def main():
    parser = record.parser(__doc__)
    parser.add_argument("--runs", type=int, default=5, help="processes per model (default: 5)")
    options = parser.parse_args()

    import keras

    from keras_vae import registry

    names = sorted(registry.entries())
    warm_up = 1
    if options.smoke:
        options.runs, names, warm_up = 1, names[:1], 0
    seconds = {name: _measure(name, options.runs, warm_up) for name in names}
    result = {
        "what": "seconds, in fresh processes; the files are in the operating system's cache",
        "seconds": seconds,
        "runs": options.runs,
    }
    record.write(options, f"load_time-{keras.backend.backend()}", result)
    for name, parts in seconds.items():
        row = "  ".join(f"{part} {values['median']:.2f} s" for part, values in parts.items())
        print(f"{name:20} {row}")


def _measure(name, runs, warm_up):
    """Returns {part: median, least and most seconds}, after runs that warm the cache."""
    times = [_run_process(name) for _ in range(warm_up + runs)][warm_up:]
    return {
        part: {
            "median": round(statistics.median(each[part] for each in times), 3),
            "least": round(min(each[part] for each in times), 3),
            "most": round(max(each[part] for each in times), 3),
        }
        for part in times[0]
    }


def _run_process(name):
    command = [sys.executable, "-c", PROCESS, name]
    run = subprocess.run(command, cwd=record.ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
