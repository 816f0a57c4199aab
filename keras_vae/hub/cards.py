"""Model cards: what is known of a model, as the README.md of its repository on the Hub.

A card says what the model's entry says (that of the registry, or the config.json and metadata.json
of a folder) and nothing else. Its text is in card.toml, and what people write about a model of
ours in `pretrained/prose/<name>.md`.
"""

import contextlib
import json
import math
import tomllib
from pathlib import Path

import huggingface_hub

from keras_vae import data, likelihoods, registry

_TEXT = tomllib.loads(Path(__file__).with_name("card.toml").read_text("utf-8"))
QUANTITIES = _TEXT["quantities"]
_OF_DENSITIES = ("elbo", "nll", "distortion", "bits_per_dim")  # if likelihoods are densities


def model_card(entry, *, name=None, repository=None, **shown) -> str:
    """Returns a model's card in Markdown, with the Hub's metadata in its YAML front matter.

    Args:
        entry: what is known of the model: what `save_to_folder` writes, and as much as there is of
            what `keras_vae.info` returns.
        name: its name, if it comes with this package. Defaults to None.
        repository: where it is on the Hub, such as `"me/mine"`. Defaults to None, nowhere.
        shown: paths of what is beside the card: `picture`, with its `caption`; `latents`, the
            picture of `plots.latent_use`; `explorer`.
    """
    sources = [*filter(None, [name]), *([f"hf://{repository}"] if repository else [])]
    values, metrics = entry["input_range"], entry.get("metrics", {})
    title, training = name or repository.split("/")[-1], entry.get("training", {})
    protocol = data.PROTOCOLS.get(metrics.get("protocol"))
    facts = {
        **entry,
        **shown,
        "title": title,
        "front_matter": _front_matter(entry, title),
        "shape": tuple(entry["data_shape"]),
        "values": values if isinstance(values, str) else f"in {values}",
        "of_prior": f", prior `{entry['prior']}`" if entry.get("prior") else "",
        "plain_arguments": json.dumps(entry.get("arguments")),
        "architecture": str(entry["architecture"]) if "architecture" in entry else None,
        "source": sources[0],
        "other_source": "".join(f"  # the same from the Hub: {other}" for other in sources[1:]),
        "images": protocol.images if protocol else "its test data",
        "about_likelihoods": _TEXT["likelihoods"][entry["observes"]],
        "table": _table(metrics, entry.get("tolerances", {})) if metrics else None,
        "verify": name if metrics else None,
        "prose": prose(name) if name else None,
        "data_licence": _licence(entry.get("data", {})),
        "minutes": training.get("seconds", 0) / 60,
        "gigabytes": training["peak_memory_mb"] / 1000 if "peak_memory_mb" in training else None,
    }
    if entry["observes"] == "levels" and "elbo" in metrics:
        facts["elbo_bits"] = elbo_bits(entry)
    facts = {key: fact for key, fact in facts.items() if fact is not None}
    sections = []
    for section in _TEXT["sections"]:
        with contextlib.suppress(KeyError):  # of a fact that is not known
            sections.append(section.format(**facts).strip())
    return "\n\n".join(filter(None, sections)) + "\n"


def _licence(of_data):
    licence = of_data.get("licence")
    return f"licence {licence}" if licence else "no licence stated"


def prose(name) -> str:
    """Returns what people wrote about a published model: intended use, known failures."""
    path = registry.PRETRAINED / "prose" / f"{name}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def elbo_bits(entry):
    """The negative ELBO of an entry's figures, in bits per value."""
    likelihood, values = likelihoods.get(entry["likelihood"]), math.prod(entry["data_shape"])
    return likelihood.bits_per_dim(-entry["metrics"]["elbo"], values)


def caption(samples: bool, images: bool) -> str:
    """Returns what a picture of `plots.overview` shows."""
    parts = ["64 samples of one seed, not chosen"] * samples
    parts += ["images and, below them, their reconstructions"] * images
    return "; then ".join(parts).capitalize() + "."


def _front_matter(entry, title):
    facts, metrics = entry.get("data", {}), entry.get("metrics", {})
    name, record = facts.get("name"), data.DATASETS.get(facts.get("name"))
    on_hub = record and record.hub
    task = "unconditional-image-generation" if entry["generates"] else "image-feature-extraction"
    about = {"task_type": task, "dataset_type": on_hub or name, "dataset_split": "test"}
    about["dataset_name"] = f"{name} {facts.get('version')}"
    results = [
        huggingface_hub.EvalResult(
            metric_type=key,
            metric_name=QUANTITIES[key],
            metric_value=metrics[key],
            metric_config=metrics["protocol"],
            metric_args={"num_samples": metrics["num_samples"]} if key == "nll" else None,
            **about,
        )
        for key in QUANTITIES
        if key in metrics and (entry["code_length"] or key not in _OF_DENSITIES)
    ]
    tags = ["keras_vae", "vae", entry.get("factory", "vae").replace("_", "-"), name]
    return huggingface_hub.ModelCardData(
        library_name="keras",
        pipeline_tag=task if len(entry["data_shape"]) == 3 else None,
        license=entry["licence"].lower() if entry.get("licence") else None,
        datasets=[on_hub] if on_hub else None,
        tags=list(dict.fromkeys(filter(None, tags))),
        model_name=title if results else None,
        eval_results=results or None,
    ).to_yaml()


def _table(metrics, tolerances):
    rows = ["| quantity | value | standard error | tolerance |", "|---|---|---|---|"]
    for key in filter(metrics.__contains__, QUANTITIES):
        others = (metrics.get(f"{key}_stderr"), tolerances.get(key))
        error, tolerance = ("" if number is None else f"{number:.2g}" for number in others)
        rows.append(f"| {QUANTITIES[key]} | {metrics[key]:.5g} | {error} | {tolerance} |")
    return "\n".join(rows)
