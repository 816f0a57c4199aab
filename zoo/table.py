"""Writes the README's two tables of models from the registry: python -m zoo.table."""

import math
from pathlib import Path

from keras_vae import hub, registry
from keras_vae.files import megabytes, write_bytes
from keras_vae.hub import cards

README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- models: written by python -m zoo.table -->\n"
END = "<!-- end of models -->"
BEGIN_OTHERS = "<!-- autoencoders: written by python -m zoo.table -->\n"
END_OTHERS = "<!-- end of autoencoders -->"


def table() -> str:
    """Returns the table of our own models in Markdown, and one of those of levels, if any."""
    entries = {name: hub.info(name) for name in sorted(registry.entries())}
    of_levels = {name: entry for name, entry in entries.items() if entry["observes"] == "levels"}
    others = {name: entry for name, entry in entries.items() if name not in of_levels}
    text = _rows(others, "ELBO | NLL", _nats)
    if of_levels:
        text += (
            "\nModels of levels, such as those of 8-bit images, in bits per value (bits/dim):\n\n"
        )
        text += _rows(of_levels, "-ELBO, bits | NLL, bits", _bits)
    return text


def table_of_others() -> str:
    """Returns the table of autoencoders that others published, with their authors' figures."""
    rows = [
        "| name | for | code | parameters | download | licence | PSNR, SSIM, rFID |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in sorted(registry.autoencoders().items()):
        sizes = [file["bytes"] for file in entry["files"]]
        size = "-" if None in sizes else megabytes(sum(sizes))
        told = entry.get("figures")
        figures = f"{told['PSNR']} dB, {told['SSIM']}, {told['rFID']:.2f}" if told else "-"
        rows.append(
            f"| `{name}` | {entry['use']} | {entry['codes']} | {entry['parameters'] / 1e6:.1f} M "
            f"| {size} | {entry['licence']} | {figures} |"
        )
    return "\n".join(rows) + "\n"


def _rows(entries, headings, figures):
    rows = [
        f"| model | parameters | weights | {headings} | MSE | latent in use |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in entries.items():
        cells = [
            f"`{name}`{_variants(entry)}",
            f"{entry['parameters'] / 1e6:.2f} M",
            megabytes(entry["bytes"]),
            figures(entry),
            f"{entry['metrics']['mse']:.2e}",
            _use(entry),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _variants(entry):
    variants = entry.get("training", {}).get("variants")
    return f" (trained on {variants}, too)" if variants else ""


def _nats(entry):
    metrics = entry["metrics"]
    if not entry["code_length"]:
        return "- | -"
    return f"{metrics['elbo']:.2f} | {metrics['nll']:.2f} (K = {metrics['num_samples']})"


def _bits(entry):
    metrics = entry["metrics"]
    nll = f"{metrics['bits_per_dim']:.3f} (K = {metrics['num_samples']})"
    return f"{cards.elbo_bits(entry):.3f} | {nll}"


def _use(entry):
    metrics = entry["metrics"]
    if "perplexity" in metrics:
        used = f"{100 * metrics['codebook_usage']:.0f} % of {entry['arguments']['num_codes']} codes"
        return f"{used}, perplexity {metrics['perplexity']:.0f}"
    arguments = entry["arguments"]
    if "layer_rates" in metrics:
        shape = hub.build(entry).latent.code_spec.shape
        layers = f" in {len(metrics['layer_rates'])} layers"
    else:
        shape = arguments.get("latent_shape") or [arguments["latent_dim"]]
        layers = ""
    return f"{metrics['active_units']} of {math.prod(shape)} units active{layers}"


def main():
    text = README.read_text()
    for begin, end, rows in ((BEGIN, END, table()), (BEGIN_OTHERS, END_OTHERS, table_of_others())):
        before, _, rest = text.partition(begin)
        text = before + begin + rows + end + rest.partition(end)[2]
    write_bytes(README, text.encode())


if __name__ == "__main__":
    main()
