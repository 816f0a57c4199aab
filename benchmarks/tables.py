"""Writes the tables of benchmarks/README.md from results/*.json: python -m benchmarks.tables.

A table stands between the markers of its name; all else in the README is written by hand.
"""

import json
import math
import re
import tomllib
from pathlib import Path

from benchmarks.record import RESULTS
from keras_vae.data import DATASETS

README = Path(__file__).parent / "README.md"
PUBLISHED = Path(__file__).parent / "published.toml"
MARKED = re.compile(
    r"(?P<begin><!-- (?P<name>\w+): written by python -m benchmarks.tables -->\n)"
    r"(?P<table>.*?)(?P<end><!-- end of (?P=name) -->)",
    flags=re.DOTALL,
)


def main():
    from keras_vae.files import write_bytes

    write_bytes(README, written(README.read_text(encoding="utf-8"), read_results()).encode())


def written(readme: str, results: dict) -> str:
    """Returns the README with the tables of the results, `{name of the file: its content}`."""
    found = [match["name"] for match in MARKED.finditer(readme)]
    if sorted(found) != sorted(TABLES):
        raise SystemExit(f"README.md must have markers for {sorted(TABLES)}. Found: {found}")
    return MARKED.sub(lambda m: m["begin"] + table(m["name"], results) + m["end"], readme)


def table(name: str, results: dict) -> str:
    """Returns the table of this name, of `TABLES`."""
    needed = NEEDED.get(name)
    return TABLES[name](results) if needed in (None, *results) else "Not measured yet.\n"


def read_results(folder: Path = RESULTS) -> dict:
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def models(results) -> str:
    """What the published models were measured to be."""
    rows = []
    for result in _quality(results):
        m = result["metrics"]
        likelihoods = ["-"] * 4
        if result["likelihood"] == "bernoulli":
            likelihoods = [
                _pm(m["elbo"], m["elbo_stderr"]),
                f"{_pm(m['nll'], m['nll_stderr'])} (K = {m['num_samples']:,})",
                f"{m['distortion']:.2f}",
                f"{m['rate']:.2f}",
            ]
        use = f"{m.get('active_units')} active units"
        if "perplexity" in m:
            use = f"{100 * m['codebook_usage']:.0f} % of codes, perplexity {m['perplexity']:.0f}"
        errors = [f"{m['mse']:.3e}", f"{m['psnr']:.2f} dB", use]
        rows.append([f"`{result['name']}`", *likelihoods, *errors])
    headings = ("model", "ELBO", "NLL", "distortion", "rate", "MSE", "PSNR", "latent in use")
    return _table(headings, rows)


def reproduced(results) -> str:
    """Every published figure that has a tolerance, beside what was measured."""
    rows = [
        [
            f"`{result['name']}`" + (" retrained" if key.startswith("retrain-") else ""),
            check["quantity"],
            f"{result['metrics']['num_samples']:,}" if check["quantity"] in ("elbo", "nll") else "",
            *(f"{check[part]:.6g}" for part in ("got", "published")),
            f"{check['tolerance']:.2g}",
            "yes" if check["pass"] else "**no**",
            _where(result),
        ]
        for key, result in results.items()
        if key.startswith(("quality-", "retrain-"))
        for check in result["checks"]
    ]
    # The ELBO is estimated from the K samples, too.
    headings = ("model", "quantity", "K", "measured", "published", "tolerance", "agrees", "backend")
    return _table(headings, rows)


def published(results) -> str:
    """Others' figures, a table for each protocol; ours in that of the same protocol."""
    text = ""
    for table in tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))["table"]:
        rows = [
            (
                row.get("value", 0.0),
                [
                    row["model"],
                    row["text"] if "text" in row else _pm(row["value"], row.get("pm")),
                    f"{row['k']:,}" if "k" in row else "",
                    row["source"],
                    row["sure"],
                ],
            )
            for row in table["rows"]
        ]
        for result in _quality(results):
            m = result["metrics"]
            if result["likelihood"] == "bernoulli" and m["protocol"] == table.get("ours"):
                mine = [f"**`{result['name']}`**", f"**{m['nll']:.2f}**", f"{m['num_samples']:,}"]
                rows.append((m["nll"], [*mine, "measured here", ""]))
        rows = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
        heading = f"### {table['title']}\n\nProtocol: {table['protocol']}.\n\n"
        text += heading + _table(("model", table["figure"], "K", "source", "checked"), rows) + "\n"
    return text


def densities(results) -> str:
    """Densities of grey images: classical models and ours of a Gaussian likelihood."""

    def rows(classical, quality):
        for row in classical:
            if "log_likelihood" in row:
                nats = row["log_likelihood"]
                figures = [_pm(nats, row["log_likelihood_stderr"], 1), f"{row['bits_per_dim']:.3f}"]
                yield -nats, [_name(row), *figures, "exact"]
        for result in quality:
            if result["likelihood"] != "bernoulli":
                m = result["metrics"]
                figures = [_pm(-m["nll"], m["nll_stderr"], 1), f"{m['bits_per_dim']:.3f}"]
                yield m["nll"], [f"**`{result['name']}`**", *figures, "lower bound"]

    headings = ("model", "log p(x), nats per image", "bits per pixel", "exact or bound")
    return _of_each_dataset(results, headings, rows)


def errors(results) -> str:
    """Squared errors of reconstructions of grey images, classical models and ours."""

    def rows(classical, quality):
        for row in classical:
            if "mse" in row:
                yield row["mse"], [_name(row), _bits(row.get("bits")), f"{row['mse']:.3e}"]
        for result in quality:
            m = result["metrics"]
            bits = m["rate"] / math.log(2) if "perplexity" in m else None
            use = f", {m['active_units']} active latents" if "active_units" in m else ""
            name = f"**`{result['name']}`**{use}"
            yield m["mse"], [name, _bits(bits), f"{m['mse']:.3e}"]

    return _of_each_dataset(results, ("model", "bits per image", "MSE"), rows)


def _of_each_dataset(results, headings, rows) -> str:
    """A table for each data set, of rows in the order of their figure, the least first."""
    text = []
    for dataset in DATASETS:
        classical = results.get(f"classical-{dataset}", {}).get("rows", [])
        found = sorted(rows(classical, _quality(results, dataset)), key=lambda pair: pair[0])
        if found:
            text.append(f"### {dataset}\n\n" + _table(headings, [row for _, row in found]))
    return "\n".join(text)


def latent_plane(results) -> str:
    """Two latents: the network that keras.io teaches, and ours."""
    of = results["latent_plane"]
    rows = [
        (f"keras.io `vae`, {row['trained']}", f"{row['images']:,}", row["metrics"])
        for row in of["rows"]
    ]
    ours = results["quality-mlp-mnist-2d"]["metrics"]
    rows.append(("**`mlp-mnist-2d`**", "50,000", ours))
    rows = [
        [
            name,
            images,
            *(_pm(m[key], m[f"{key}_stderr"]) for key in ("elbo", "nll")),
            *(f"{m[key]:.2f}" for key in ("distortion", "rate")),
            f"{m['mse']:.3e}",
        ]
        for name, images, m in rows
    ]
    loss = of["rows"][0]["loss"]
    return (
        f"Training loss in the last epoch, as published: {loss:.2f} here, {of['printed_loss']} on "
        "the page of the example.\n\n"
    ) + _table(
        ("network, training", "images", "ELBO", "NLL (K = 100)", "distortion", "rate", "MSE"),
        rows,
    )


def rate_distortion(results) -> str:
    rows = [
        [
            f"{point['beta']:g}",
            *(f"{point[key]:.2f}" for key in ("elbo", "distortion", "rate")),
            f"{point['mse']:.3e}",
            str(point["active_units"]),
        ]
        for point in results["rate_distortion"]["points"]
    ]
    return _table(("beta", "ELBO", "distortion", "rate", "MSE", "active units"), rows)


def backends(results) -> str:
    rows = []
    for row in results["backends"]["rows"]:
        speed = row["images_per_second"]
        codes = row.get("codes_differing")
        rows.append(
            [
                f"`{row['model']}`",
                row["backend"],
                row["precision"],
                f"{row['elbo']:.3f}",
                f"{row['mse']:.4e}",
                f"{row['greatest_difference']:.1e}",
                "" if codes is None else f"{100 * codes:.2f} %",
                f"{speed['median']:,} ({speed['least']:,} to {speed['most']:,})",
            ]
        )
    headings = ("model", "backend", "precision", "ELBO", "MSE", "maximum difference")
    of = results["backends"]
    what = f"{of['images']:,} test images, ELBO with {of['num_samples']} samples.\n\n"
    return what + _table((*headings, "codes that differ", "images per second"), rows)


def load_time(results) -> str:
    rows = [
        [f"`{name}`", result["backend"], *(f"{seconds[part]['median']:.2f} s" for part in parts)]
        for result in (results[key] for key in results if key.startswith("load_time-"))
        for parts in [("import keras", "import keras_vae", "load")]
        for name, seconds in result["seconds"].items()
    ]
    return _table(("model", "backend", "import keras", "import keras_vae", "load"), rows)


def speed(results) -> str:
    """Steps and passes a second beside a PyTorch loop and Pythae."""
    from benchmarks.speed import PARTS, table

    parts = [(part, results.get(f"speed-{part}")) for part in PARTS]
    return "\n".join(table(part, result["rows"]) for part, result in parts if result)


TABLES = {
    function.__name__: function
    for function in (
        *(models, reproduced, published, densities, errors, latent_plane, rate_distortion),
        *(backends, speed, load_time),
    )
}
# The result that a table cannot do without.
NEEDED = {
    "latent_plane": "latent_plane",
    "rate_distortion": "rate_distortion",
    "backends": "backends",
    "speed": "speed-training",
}


def _quality(results, dataset=None):
    """The results of the models, each of the largest K that it was measured with."""
    best = {}
    for key, result in results.items():
        if key.startswith("quality-") and dataset in (None, result["data"]["name"]):
            so_far = best.get(result["name"])
            k = result["metrics"]["num_samples"]
            if so_far is None or k > so_far["metrics"]["num_samples"]:
                best[result["name"]] = result
    return [best[name] for name in sorted(best)]


def _name(row):
    """A classical model in words."""
    train = f"{row['train_images']:,} training images"
    counts = {
        "PCA": f"PCA, {row.get('latents')} latents",
        "Gaussian mixture": f"Gaussian mixture of {row.get('components')} over "
        f"{row.get('latents')} principal components",
        "K-means": f"K-means, {row.get('codes')} centroids of the whole image; {train}",
        "K-means of patches": f"K-means of {row.get('patches')} patches, {row.get('codebooks')} "
        f"codebook(s) of {row.get('codes')}; {train}",
    }
    return counts.get(row["method"], row["method"])


def _where(result):
    return f"{result['backend']} {result['versions'].get(result['backend'], '')}"


def _bits(bits):
    return "" if bits is None else f"{bits:.0f}"


def _pm(value, error, digits=2):
    return f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def _table(headings, rows):
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
