"""Model cards: what is known of a model, as the README.md of its repository on the Hub.

A card says what the model's entry says (that of the registry, or the config.json and metadata.json
of a folder) and no more; a section without facts is left out. Prose is people's, in
`pretrained/prose/<name>.md`.
"""

import json

import numpy as np

from keras_vae import plots, registry
from keras_vae.checks import as_array, scale

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
# Of a density, these are in other units than of binary images, and would be listed beside them.
LIKELIHOODS = ("elbo", "nll", "distortion", "bits_per_dim")
PROTOCOLS = {
    "mnist-dynamic": "the 10,000 test images of MNIST",
    "fashion-dynamic": "the 10,000 test images of Fashion-MNIST",
}
HUB_DATASETS = {"mnist": "ylecun/mnist", "fashion-mnist": "zalando-datasets/fashion_mnist"}
_COLUMNS = 16  # images in a row of the picture
_EXPLORER = (
    "[{0}]({0}) is this model as a page: download it and open it in a browser, where its latents "
    "are moved by hand, and drawings encoded. The browser computes the networks; nothing is sent."
)
_OF_LATENTS = "What use the model makes of its latents, or codes, over the test images."


def model_card(
    entry,
    *,
    name=None,
    repository=None,
    picture=None,
    caption="",
    latents=None,
    explorer=None,
) -> str:
    """Returns a model's card in Markdown, with the Hub's metadata in its YAML front matter.

    Args:
        entry: what is known of the model: `factory`, `arguments` and what `save_to_folder` writes,
            and as much as there is of what `keras_vae.info` returns.
        name: its name, if it comes with this package. Defaults to None.
        repository: where it is on the Hub, such as `"me/mine"`. Defaults to None, nowhere.
        picture: path of the picture beside the card. Defaults to None, no picture.
        caption: what the picture shows.
        latents: path of the picture of `draw_latents` beside the card. Defaults to None, none.
        explorer: path of the latent explorer beside the card. Defaults to None, none.
    """
    title = name or repository.split("/")[-1]
    sections = [
        f"---\n{_front_matter(entry, title)}\n---",
        f"# {title}",
        _summary(entry),
        _loading(name, repository),
        picture and f"![{caption}]({picture})\n\n{caption}",
        explorer and _EXPLORER.format(explorer),
        "metrics" in entry and _numbers(entry, name),
        latents and f"## The latents\n\n![{_OF_LATENTS}]({latents})\n\n{_OF_LATENTS}",
        name and prose(name),
        _licences(entry),
        "training" in entry and _training(entry["training"]),
        _proof(entry),
    ]
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def prose(name) -> str:
    """Returns what people wrote of a published model: intended use, known failures."""
    path = registry.PRETRAINED / "prose" / f"{name}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def draw(model, x=None):
    """Draws a card's picture: four rows of samples, a row of images, one of reconstructions.

    Args:
        model: a `keras_vae.VAE`.
        x: images, of which the first 16 are shown. Defaults to None, samples only.

    Returns:
        A `matplotlib.figure.Figure`, or None if there is nothing to show: the data are no images,
        or no images are given and the model generates none.
    """
    if len(model.data_shape) != 3 or (x is None and not model.latent.generates):
        return None
    rows = [model.generate(64, seed=0)] if model.latent.generates else []
    if x is not None:
        x = scale(as_array(x)[:_COLUMNS])
        white = np.ones((_COLUMNS - len(x), *model.data_shape))
        rows += [x, white, model.reconstruct(x), white]
    return plots.image_grid(np.concatenate(rows), columns=_COLUMNS)


def draw_latents(model, x, labels=None):
    """Draws what use a model makes of its latents: their plane, their rates, or the codes' shares.

    Args:
        model: a `keras_vae.VAE` of images.
        x: images.
        labels: a class for each, for the colours of a plane. Defaults to None.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    return plots.latent_use(model, x, labels)


def caption(samples: bool, images: bool) -> str:
    """Returns what a picture that `draw` made shows."""
    of_samples = "64 samples of one seed, not chosen" if samples else ""
    of_images = "images and, below them, their reconstructions" if images else ""
    both = "; then ".join(filter(None, (of_samples, of_images)))
    return both[:1].upper() + both[1:] + "."


def _front_matter(entry, title):
    from huggingface_hub import ModelCardData  # lazily: it takes a third of a second

    is_images = len(_shape(entry)) == 3
    kind = "vq-vae" if entry["factory"] == "vq_vae" else "vae"
    dataset = entry.get("data", {}).get("name")
    results = _eval_results(entry)
    return ModelCardData(
        library_name="keras",
        pipeline_tag=_task(entry) if is_images else None,
        license=entry["licence"].lower() if entry.get("licence") else None,
        datasets=[HUB_DATASETS[dataset]] if dataset in HUB_DATASETS else None,
        tags=["keras_vae", kind, *filter(None, [dataset])],
        model_name=title if results else None,
        eval_results=results or None,
    ).to_yaml()


def _shape(entry):
    shape = entry["arguments"]["input_shape"]
    return (shape,) if isinstance(shape, int) else tuple(shape)


def generates(entry) -> bool:
    """Whether a model's entry is of one that generates: without a prior a VQ model does not."""
    return entry["factory"] != "vq_vae" or bool(entry["arguments"].get("prior"))


def _task(entry):
    return "unconditional-image-generation" if generates(entry) else "image-feature-extraction"


def _eval_results(entry):
    """The metrics for the Hub's model-index."""
    from huggingface_hub import EvalResult

    metrics = entry.get("metrics", {})
    hidden = () if entry["likelihood"] == "bernoulli" else LIKELIHOODS
    return [
        EvalResult(
            task_type=_task(entry),
            dataset_type=HUB_DATASETS.get(entry["data"]["name"], entry["data"]["name"]),
            dataset_name=f"{entry['data']['name']} {entry['data']['version']}",
            dataset_split="test",
            metric_type=key,
            metric_name=QUANTITIES[key],
            metric_value=metrics[key],
            metric_config=metrics["protocol"],
            metric_args={"num_samples": metrics["num_samples"]} if key == "nll" else None,
        )
        for key in QUANTITIES
        if key in metrics and key not in hidden
    ]


def _summary(entry):
    low_high = entry["input_range"]
    values = low_high if isinstance(low_high, str) else f"in {low_high}"
    return (
        "A model of `keras_vae`, variational autoencoders for Keras 3 on TensorFlow, JAX and "
        f"PyTorch: {entry['parameters']:,} parameters, under a {entry['likelihood']} likelihood, "
        f"for data of shape {_shape(entry)}, values {values}. It was made by the factory "
        f"`{entry['factory']}` with these arguments:\n\n"
        f"```json\n{json.dumps(entry['arguments'])}\n```"
    )


def _loading(name, repository):
    sources = [*filter(None, [name]), *([f"hf://{repository}"] if repository else [])]
    other = f"  # the same from the Hub: {sources[1]}" if len(sources) > 1 else ""
    return (
        f'```python\nimport keras_vae\n\nmodel = keras_vae.load("{sources[0]}"){other}\n```\n\n'
        "`model` is a compiled `keras.Model`, to be trained further or asked: `encode`, `decode`, "
        "`reconstruct`, `elbo`."
    )


def _numbers(entry, name):
    metrics, tolerances = entry["metrics"], entry.get("tolerances", {})
    bernoulli = entry["likelihood"] == "bernoulli"
    rows = [
        f"| {label} | {metrics[key]:.5g} | {_figure(metrics.get(f'{key}_stderr'))} "
        f"| {_figure(tolerances.get(key))} |"
        for key, label in QUANTITIES.items()
        if key in metrics
    ]
    what = PROTOCOLS.get(metrics["protocol"], "its test data")
    text = [
        f"Measured on {what} (protocol `{metrics['protocol']}`). "
        + (
            "Likelihoods are those of binary images, drawn once from the grey ones; errors and the "
            f"use of latents are those of the grey images. NLL with K = {metrics['num_samples']}. "
            if bernoulli
            else "Likelihoods are densities of grey values, in other units than those of binary "
            "images: they do not compare. "
        )
        + "The standard error is over test images: one model, of one seed."
    ]
    if name:
        text.append(f"Computed again on your machine by\n\n```sh\nkeras-vae verify {name}\n```")
    table = ["| quantity | value | standard error | tolerance |", "|---|---|---|---|", *rows]
    return "\n\n".join(["## Numbers", "\n".join(table), *text])


def _figure(value):
    return "" if value is None else f"{value:.2g}"


def _licences(entry):
    lines = []
    if entry.get("licence"):
        lines.append(f"Weights: {entry['licence']}.")
    if "data" in entry:
        data = entry["data"]
        lines.append(
            f"Data: {data['name']}, version {data['version']} of tensorflow-datasets, "
            f"{data['licence']}; the images are not part of this repository."
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
