"""Writes the tables of benchmarks/README.md from results/*.json: python -m benchmarks.tables.

Each table stands between the markers of its name; the rest of the README is written by hand.
"""

import json
import math
import re
import tomllib
from pathlib import Path

from benchmarks.markdown import markdown, plus_minus, whole
from benchmarks.record import RESULTS, is_code_length, is_of_levels
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

    write_bytes(README, fill(README.read_text(encoding="utf-8"), read_results()).encode())


def fill(readme: str, results: dict) -> str:
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
    """The figures of the published models, as measured; those of levels in bits per value."""
    found = {False: [], True: []}
    for result in _quality(results):
        m, of_levels = result["metrics"], is_of_levels(result["likelihood"])
        likelihoods = ["-"] * 4
        if is_code_length(result["likelihood"]):
            scale, digits = 1.0, 2
            if of_levels:
                scale, digits = m["bits_per_dim"] / m["nll"], 4
            likelihoods = [
                plus_minus(scale * m["elbo"], scale * m["elbo_stderr"], digits),
                f"{plus_minus(scale * m['nll'], scale * m['nll_stderr'], digits)} "
                f"(K = {m['num_samples']:,})",
                f"{scale * m['distortion']:.{digits}f}",
                f"{scale * m['rate']:.{digits}f}",
            ]
        use = f"{m.get('active_units')} active units"
        if "perplexity" in m:
            use = f"{100 * m['codebook_usage']:.0f} % of codes, perplexity {m['perplexity']:.0f}"
        errors = [f"{m['mse']:.3e}", f"{m['psnr']:.2f} dB", use]
        found[of_levels].append([f"`{result['name']}`", *likelihoods, *errors])
    headings = ("model", "ELBO", "NLL", "distortion", "rate", "MSE", "PSNR", "latent in use")
    text = markdown(headings, found[False])
    if found[True]:
        bits = [f"{name}, bits" for name in headings[1:5]]
        text += "\nModels of levels, in bits per value (bits/dim):\n\n"
        text += markdown(("model", *bits, *headings[5:]), found[True])
    return text


def reproduced(results) -> str:
    """Every published figure that has a tolerance, beside the one measured."""
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
    return markdown(headings, rows)


def published(results) -> str:
    """Figures of others and ours, one table for each protocol."""
    text = ""
    for table in tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))["table"]:
        rows = [
            (
                row.get("value", 0.0),
                [
                    row["model"],
                    row["text"] if "text" in row else plus_minus(row["value"], row.get("pm")),
                    f"{row['k']:,}" if "k" in row else "",
                    row["source"],
                    row["sure"],
                ],
            )
            for row in table["rows"]
        ]
        for result in _quality(results):
            m = result["metrics"]
            if is_code_length(result["likelihood"]) and m["protocol"] == table.get("ours"):
                figure = m[table.get("unit", "nll")]
                mine = [f"**`{result['name']}`**", f"**{figure:.2f}**", f"{m['num_samples']:,}"]
                rows.append((figure, [*mine, "measured here", ""]))
            if result["name"] in table.get("codes", ()):
                told = f"PSNR {-10 * math.log10(m['mse']):.2f} dB, perplexity {m['perplexity']:.1f}"
                rows.append((0.0, [f"**`{result['name']}`**", told, "", "measured here", ""]))
        rows = [row for _, row in sorted(rows, key=lambda pair: pair[0])]
        heading = f"### {table['title']}\n\nProtocol: {table['protocol']}.\n\n"
        columns = ("model", table["figure"], "K", "source", "checked")
        text += heading + markdown(columns, rows) + "\n"
    return text


def densities(results) -> str:
    """Densities of images under classical models and ours with a Gaussian likelihood."""

    def rows(classical, quality):
        for row in classical:
            if "log_likelihood" in row:
                nats = row["log_likelihood"]
                pm = plus_minus(nats, row["log_likelihood_stderr"], 1)
                yield -nats, [_name(row), pm, f"{row['bits_per_dim']:.3f}", "exact"]
        for result in quality:
            if not is_code_length(result["likelihood"]):
                m, shape = result["metrics"], DATASETS[result["data"]["name"]].shape
                bits = m["nll"] / math.prod(shape) / math.log(2)
                figures = [plus_minus(-m["nll"], m["nll_stderr"], 1), f"{bits:.3f}"]
                yield m["nll"], [f"**`{result['name']}`**", *figures, "lower bound"]

    headings = ("model", "log p(x), nats per image", "-log2 p(x) per value", "exact or bound")
    return _of_each_dataset(results, headings, rows)


def errors(results) -> str:
    """Squared errors of reconstructions, by classical models and ours."""

    def rows(classical, quality):
        for row in classical:
            if "mse" in row:
                yield row["mse"], [_name(row), whole(row.get("bits")), f"{row['mse']:.3e}"]
        for result in quality:
            m = result["metrics"]
            bits = m["rate"] / math.log(2) if "perplexity" in m else None
            use = f", {m['active_units']} active latents" if "active_units" in m else ""
            name = f"**`{result['name']}`**{use}"
            yield m["mse"], [name, whole(bits), f"{m['mse']:.3e}"]

    return _of_each_dataset(results, ("model", "bits per image", "MSE"), rows)


def _of_each_dataset(results, headings, rows) -> str:
    """A table for each data set; rows are sorted by their figure, the lowest first."""
    text = []
    for dataset in DATASETS:
        classical = results.get(f"classical-{dataset}", {}).get("rows", [])
        found = sorted(rows(classical, _quality(results, dataset)), key=lambda pair: pair[0])
        if found:
            text.append(f"### {dataset}\n\n" + markdown(headings, [row for _, row in found]))
    return "\n".join(text)


def latent_plane(results) -> str:
    """Two latents: the network of keras.io's example, and ours."""
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
            *(plus_minus(m[key], m[f"{key}_stderr"]) for key in ("elbo", "nll")),
            *(f"{m[key]:.2f}" for key in ("distortion", "rate")),
            f"{m['mse']:.3e}",
        ]
        for name, images, m in rows
    ]
    loss = of["rows"][0]["loss"]
    return (
        f"Training loss in the last epoch, as published: {loss:.2f} here, {of['printed_loss']} on "
        "the page of the example.\n\n"
    ) + markdown(
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
    return markdown(("beta", "ELBO", "distortion", "rate", "MSE", "active units"), rows)


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
    return what + markdown((*headings, "codes that differ", "images per second"), rows)


def load_time(results) -> str:
    rows = [
        [f"`{name}`", result["backend"], *(f"{seconds[part]['median']:.2f} s" for part in parts)]
        for result in (results[key] for key in results if key.startswith("load_time-"))
        for parts in [("import keras", "import keras_vae", "load")]
        for name, seconds in result["seconds"].items()
    ]
    return markdown(("model", "backend", "import keras", "import keras_vae", "load"), rows)


def speed(results) -> str:
    """Steps and passes per second, beside a PyTorch loop and Pythae."""
    from benchmarks.speed import PARTS, table

    parts = [(part, results.get(f"speed-{part}")) for part in PARTS]
    return "\n".join(
        f"{result['processor']}, {result['protocol']['threads']} threads:\n\n"
        + table(part, result["rows"])
        for part, result in parts
        if result
    )


def accelerator(results) -> str:
    """Training on one GPU, and what Python costs at each step."""
    from benchmarks.accelerator import table

    return "\n".join(table(results[key]) for key in results if key.startswith("accelerator-"))


def beyond_memory(results) -> str:
    """Training on more images than a process may hold."""
    from benchmarks.beyond_memory import table

    return table(results["beyond_memory"])


def hierarchies(results) -> str:
    """Ladders of few and of many layers."""
    from benchmarks.hierarchies import PARTS, table

    found = {part: results.get(f"hierarchies-{part}") for part in PARTS}
    return "\n".join(table(part, result) for part, result in found.items() if result)


def autoencoders(results) -> str:
    """Seconds and memory of published autoencoders' networks, beside diffusers."""
    rows = [
        [
            row["model"],
            f"{row['size']} x {row['size']}",
            row["library"],
            f"{row['encode']:.2f} s",
            f"{row['decode']:.2f} s",
            f"{row['GiB']:.2f} GiB",
        ]
        for row in results["autoencoders"]["rows"]
    ]
    return markdown(("network", "image", "library", "encode", "decode", "memory"), rows)


def pictures(results) -> str:
    """Training on one's own pictures at both qualities."""
    rows = [
        [
            f"{key.removeprefix('pictures-')}, {' x '.join(map(str, result['shape'][1:]))}",
            f"{result['shape'][0]:,}",
            quality,
            f"{row['psnr']:.2f} dB",
            f"{row['bits_per_dim']:.2f}" if "bits_per_dim" in row else "-",
            f"{row['bits_of_density']:.2f}" if "bits_of_density" in row else "-",
            f"{math.prod(row['code']):,}",
            f"{row['best_epoch']} of {row['epochs']}",
            f"{row['seconds']:,.0f} s",
        ]
        for key, result in results.items()
        if key.startswith("pictures-")
        for quality, row in result["qualities"].items()
    ]
    bits = ("bits per dimension", "bits of the density")
    measured = ("PSNR", *bits, "numbers in a code", "best epoch", "time")
    return markdown(("pictures", "to train on", "quality", *measured), rows)


TABLES = {
    function.__name__: function
    for function in (
        *(models, reproduced, published, densities, errors, latent_plane, rate_distortion),
        *(backends, speed, accelerator, beyond_memory, pictures, hierarchies, autoencoders),
        load_time,
    )
}
# The result without which a table is not written.
NEEDED = {
    "latent_plane": "latent_plane",
    "rate_distortion": "rate_distortion",
    "backends": "backends",
    "speed": "speed-training",
    "accelerator": "accelerator-gpu",
    "beyond_memory": "beyond_memory",
    "pictures": "pictures-things",
    "hierarchies": "hierarchies-starts",
    "autoencoders": "autoencoders",
}


def _quality(results, dataset=None):
    """The results of each model at the largest K that it was measured with."""
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


if __name__ == "__main__":
    main()
