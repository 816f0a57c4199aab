"""Model cards: what is known of a model, as the README.md of its repository on the Hub.

A card says what the model's entry says (that of the registry, or the config.json and metadata.json
of a folder) and nothing else; a section without facts is left out. Prose is written by people, in
`pretrained/prose/<name>.md`.
"""

import json

import numpy as np

from keras_vae import data, plots
from keras_vae.checks import as_array, scale
from keras_vae.hub import registry

QUANTITIES = {
    "elbo": "ELBO, nats per example",
    "nll": "NLL (importance-weighted bound), nats per example",
    "rate": "rate, nats per example",
    "distortion": "distortion, nats per example",
    "bits_per_dim": "NLL, bits per value",
    "mse": "squared error of reconstructions, mean per value",
    "mse_sampled": "squared error of decoded posterior samples, mean per value",
    "psnr": "peak signal-to-noise ratio of reconstructions, dB",
    "active_units": "active units",
    "perplexity": "perplexity of the codes",
    "codebook_usage": "share of the codes in use",
}
DENSITIES = ("elbo", "nll", "distortion", "bits_per_dim")  # if the data are real numbers
_COLUMNS = 16  # images in a row of the picture
_LIKELIHOODS = {  # by what a likelihood observes
    "binary": "Likelihoods are those of binary images, drawn once from the grey ones; errors and "
    "the use of latents are those of the grey images. ",
    "levels": "Likelihoods are those of the 256 levels of each value. ",
    "counts": "Likelihoods are those of the counts. ",
    "reals": "Likelihoods are densities of real values: they do not compare with those of binary "
    "images. ",
}
_OF_LATENTS = "How the model uses its latents, or codes, over the test images."


def model_card(
    entry, *, name=None, repository=None, picture=None, caption="", latents=None, explorer=None
) -> str:
    """Returns a model's card in Markdown, with the Hub's metadata in its YAML front matter.

    Args:
        entry: what is known of the model: what `save_to_folder` writes, and as much as there is of
            what `keras_vae.info` returns.
        name: its name, if it comes with this package. Defaults to None.
        repository: where it is on the Hub, such as `"me/mine"`. Defaults to None, nowhere.
        picture: path of the picture beside the card. Defaults to None, no picture.
        caption: what the picture shows.
        latents: path of the picture of `plots.latent_use` beside the card. Defaults to None, none.
        explorer: path of the latent explorer beside the card. Defaults to None, none.
    """
    title = name or repository.split("/")[-1]
    sections = [
        f"---\n{_front_matter(entry, title)}\n---",
        f"# {title}",
        _summary(entry),
        _loading(name, repository),
        picture and f"![{caption}]({picture})\n\n{caption}",
        explorer
        and f"[{explorer}]({explorer}) is this model as a page: download it and open it in a "
        "browser, to move its latents by hand and to encode drawings. The browser computes the "
        "networks; nothing is sent.",
        "metrics" in entry and _numbers(entry, name),
        latents and f"## The latents\n\n![{_OF_LATENTS}]({latents})\n\n{_OF_LATENTS}",
        name and prose(name),
        _licences(entry),
        "training" in entry and _training(entry["training"]),
        _proof(entry),
    ]
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def prose(name) -> str:
    """Returns what people wrote about a published model: intended use, known failures."""
    path = registry.PRETRAINED / "prose" / f"{name}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def draw(model, x=None):
    """Draws a card's picture: four rows of samples, a row of images, one of reconstructions.

    Args:
        model: a `keras_vae.VAE`.
        x: images, of which the first 16 are shown. Defaults to None, samples only.

    Returns:
        A `matplotlib.figure.Figure`, or None if there is nothing to show: the data are not images,
        or no images are given and the model does not generate.
    """
    if len(model.data_shape) != 3 or (x is None and not model.latent.generates):
        return None
    rows = [model.generate(64, seed=0)] if model.latent.generates else []
    if x is not None:
        x = scale(as_array(x)[:_COLUMNS])
        white = np.ones((_COLUMNS - len(x), *x.shape[1:]))
        rows += [x, white, model.reconstruct(x), white]
    return plots.image_grid(np.concatenate(rows), columns=_COLUMNS)


def caption(samples: bool, images: bool) -> str:
    """Returns what a picture that `draw` made shows."""
    of_samples = "64 samples of one seed, not chosen" if samples else ""
    of_images = "images and, below them, their reconstructions" if images else ""
    both = "; then ".join(filter(None, (of_samples, of_images)))
    return both[:1].upper() + both[1:] + "."


def _front_matter(entry, title):
    from huggingface_hub import EvalResult, ModelCardData  # lazily: it takes a third of a second

    facts, metrics = entry.get("data", {}), entry.get("metrics", {})
    name, record = facts.get("name"), data.DATASETS.get(facts.get("name"))
    on_hub = record and record.hub
    task = "unconditional-image-generation" if entry["generates"] else "image-feature-extraction"
    results = [
        EvalResult(
            task_type=task,
            dataset_type=on_hub or name,
            dataset_name=f"{name} {facts['version']}",
            dataset_split="test",
            metric_type=key,
            metric_name=QUANTITIES[key],
            metric_value=metrics[key],
            metric_config=metrics["protocol"],
            metric_args={"num_samples": metrics["num_samples"]} if key == "nll" else None,
        )
        for key in QUANTITIES
        if key in metrics and (entry["code_length"] or key not in DENSITIES)
    ]
    kind = entry.get("factory", "vae").replace("_", "-")
    return ModelCardData(
        library_name="keras",
        pipeline_tag=task if len(entry["data_shape"]) == 3 else None,
        license=entry["licence"].lower() if entry.get("licence") else None,
        datasets=[on_hub] if on_hub else None,
        tags=list(dict.fromkeys(filter(None, ["keras_vae", "vae", kind, name]))),
        model_name=title if results else None,
        eval_results=results or None,
    ).to_yaml()


def _summary(entry):
    values = entry["input_range"]
    values = values if isinstance(values, str) else f"in {values}"
    text = (
        "A model of `keras_vae`, variational autoencoders for Keras 3 on TensorFlow, JAX and "
        f"PyTorch: {entry['parameters']:,} parameters, likelihood `{entry['likelihood']}`, "
        f"prior `{entry['prior']}`, for data of shape {tuple(entry['data_shape'])}, values {values}. "
    )
    if "architecture" in entry:
        return text + "Its layers are described in `config.json`."
    return (
        f"{text}It was made by the factory `{entry['factory']}` with these arguments:\n\n"
        f"```json\n{json.dumps(entry['arguments'])}\n```"
    )


def _loading(name, repository):
    sources = [*filter(None, [name]), *([f"hf://{repository}"] if repository else [])]
    other = f"  # the same from the Hub: {sources[1]}" if len(sources) > 1 else ""
    return (
        f'```python\nimport keras_vae\n\nmodel = keras_vae.load("{sources[0]}"){other}\n```\n\n'
        "`model` is a compiled `keras.Model`: train it further, or call `encode`, `decode`, "
        "`reconstruct`, `elbo`."
    )


def _numbers(entry, name):
    metrics, tolerances = entry["metrics"], entry.get("tolerances", {})
    columns = (metrics, {k: metrics.get(f"{k}_stderr") for k in metrics}, tolerances)
    protocol = data.PROTOCOLS.get(metrics["protocol"])
    rows = ["| quantity | value | standard error | tolerance |", "|---|---|---|---|"]
    for key, label in QUANTITIES.items():
        if key in metrics:
            error, tolerance = (
                "" if column.get(key) is None else f"{column[key]:.2g}" for column in columns[1:]
            )
            rows.append(f"| {label} | {metrics[key]:.5g} | {error} | {tolerance} |")
    text = (
        f"Measured on {protocol.images if protocol else 'its test data'} (protocol "
        f"`{metrics['protocol']}`). {_LIKELIHOODS[entry['observes']]}"
        f"NLL with K = {metrics['num_samples']}. "
        "The standard error is over test images: one model, of one seed."
    )
    if name:
        text += f"\n\nTo compute them again on your machine:\n\n```sh\nkeras-vae verify {name}\n```"
    return "\n\n".join(["## Numbers", "\n".join(rows), text])


def _licences(entry):
    lines, facts = [], entry.get("data")
    if entry.get("licence"):
        lines.append(f"Weights: {entry['licence']}.")
    if facts:
        lines.append(
            f"Data: {facts['name']}, version {facts['version']} of tensorflow-datasets, "
            f"{facts['licence']}; the images are not part of this repository."
        )
    return lines and "## Data and licence\n\n" + " ".join(lines)


def _training(training):
    memory = training.get("peak_memory_mb")
    return (
        "## How it was made\n\n"
        f"- recipe: `{training['recipe']}`\n"
        f"- seed: {training['seed']}\n"
        f"- backend: {training['backend']}, Keras {training['keras']}\n"
        f"- machine: {training['machine']}\n"
        f"- time: {training['seconds'] / 60:.0f} minutes"
        + (f"\n- peak memory: {memory / 1000:.1f} GB" if memory else "")
    )


def _proof(entry):
    saved = entry.get("saved_with")
    saved = f" They were saved by Keras {saved['keras']} on {saved['backend']}." if saved else ""
    return (
        f"## The weights\n\n`model.weights.h5`: {entry['bytes']:,} bytes, sha256\n"
        f"`{entry['sha256']}`.\n\n"
        "`keras_vae.load` refuses any other bytes, executes nothing that it downloads, and "
        f"compares outputs for a fixed input with those recorded when the model was saved.{saved}"
    )
