"""Writes the README's table of models from the registry: python -m zoo.table."""

from pathlib import Path

from keras_vae import hub, likelihoods, registry
from keras_vae.files import megabytes, write_bytes

README = Path(__file__).parents[1] / "README.md"
BEGIN = "<!-- models: written by python -m zoo.table -->\n"
END = "<!-- end of models -->"


def table() -> str:
    """Returns the table in Markdown, a row for each published model."""
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


def _use(entry):
    metrics = entry["metrics"]
    if "perplexity" in metrics:
        used = f"{100 * metrics['codebook_usage']:.0f} % of {entry['arguments']['num_codes']} codes"
        return f"{used}, perplexity {metrics['perplexity']:.0f}"
    return f"{metrics['active_units']} of {entry['arguments']['latent_dim']} units active"


def main():
    before, _, rest = README.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    write_bytes(README, f"{before}{BEGIN}{table()}{end}{after}".encode())


if __name__ == "__main__":
    main()
