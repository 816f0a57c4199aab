"""Writes the README's two tables of models from the registry: python -m zoo.table."""

import math
from pathlib import Path

from keras_vae import hub, likelihoods, registry
from keras_vae.files import megabytes, write_bytes

README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- models: written by python -m zoo.table -->\n"
END = "<!-- end of models -->"
BEGIN_OTHERS = "<!-- autoencoders: written by python -m zoo.table -->\n"
END_OTHERS = "<!-- end of autoencoders -->"


def table() -> str:
    """Returns the table of our own models in Markdown."""
    rows = [
        "| model | parameters | weights | ELBO | NLL | MSE | latent in use |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in sorted(registry.entries()):
        entry = hub.info(name)
        metrics = entry["metrics"]
        figures = "| - | -"
        if likelihoods.get(entry["likelihood"]).is_code_length:
            nll = f"{metrics['nll']:.2f} (K = {metrics['num_samples']})"
            figures = f"| {metrics['elbo']:.2f} | {nll}"
        rows.append(
            f"| `{name}` | {entry['parameters'] / 1e6:.2f} M | {megabytes(entry['bytes'])} "
            f"{figures} | {metrics['mse']:.2e} | {_use(entry)} |"
        )
    return "\n".join(rows) + "\n"


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


def _use(entry):
    metrics = entry["metrics"]
    if "perplexity" in metrics:
        used = f"{100 * metrics['codebook_usage']:.0f} % of {entry['arguments']['num_codes']} codes"
        return f"{used}, perplexity {metrics['perplexity']:.0f}"
    arguments = entry["arguments"]
    latents = math.prod(arguments.get("latent_shape") or [arguments["latent_dim"]])
    return f"{metrics['active_units']} of {latents} units active"


def main():
    text = README.read_text()
    for begin, end, rows in ((BEGIN, END, table()), (BEGIN_OTHERS, END_OTHERS, table_of_others())):
        before, _, rest = text.partition(begin)
        text = before + begin + rows + end + rest.partition(end)[2]
    write_bytes(README, text.encode())


if __name__ == "__main__":
    main()
