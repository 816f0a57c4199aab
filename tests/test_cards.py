"""Model cards: what is known, nothing else, in the form that the Hub reads."""

import re
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from own_kinds import plain_autoencoder

import keras_vae
from keras_vae import plots, registry
from keras_vae.hub import cards
from keras_vae.hub.folder import read_entry
from zoo.cards import card as zoo_card

NAMES = sorted(keras_vae.registry.entries())
CARDS = Path(__file__).parents[1] / "zoo" / "cards"
OWN = {  # what save_to_folder knows of somebody's model
    "factory": "mlp_vae",
    "arguments": {"input_shape": [6, 5, 1]},
    "data_shape": [6, 5, 1],
    "observes": "binary",
    "code_length": True,
    "prior": "normal",
    "generates": True,
    "bytes": 12345,
    "sha256": "0123456789abcdef" * 4,
    "parameters": 678,
    "likelihood": "bernoulli",
    "input_range": [0, 1],
    "fingerprint": [0.5] * 8,
}


def results(card):
    return {result.metric_type: result for result in card.data.eval_results}


@pytest.mark.parametrize("name", NAMES)
def test_the_model_index_of_a_card_has_the_registrys_metrics_and_their_protocol(name):
    entry = keras_vae.info(name)
    card = ModelCard(cards.model_card(entry, name=name))
    assert card.data.model_name == name
    for key, result in results(card).items():
        assert result.metric_value == entry["metrics"][key]
        assert result.metric_config == entry["metrics"]["protocol"]
        dataset = keras_vae.data.DATASETS[entry["data"]["name"]].hub
        assert (result.dataset_type, result.dataset_split) == (dataset, "test")
    one_number = {k: v for k, v in entry["metrics"].items() if not isinstance(v, list)}
    quantities = {key for key in one_number if not key.endswith("_stderr")}
    left_out = quantities - {"protocol", "num_samples", *results(card)}
    # Densities of grey values are not to be listed beside likelihoods of binary images.
    of_densities = {"elbo", "nll", "distortion"}
    assert left_out == (set() if entry["code_length"] else of_densities)
    if entry["code_length"]:
        assert results(card)["nll"].metric_args == {"num_samples": entry["metrics"]["num_samples"]}


@pytest.mark.parametrize("name", NAMES)
def test_the_front_matter_of_a_card_is_what_the_hub_files_models_by(name):
    card = ModelCard(cards.model_card(keras_vae.info(name), name=name, repository=f"org/{name}"))
    assert card.data.library_name == "keras"
    assert card.data.license == "apache-2.0"
    assert card.data.datasets == [keras_vae.data.DATASETS[keras_vae.info(name)["data"]["name"]].hub]
    assert card.data.tags[0] == "keras_vae"
    assert card.data.tags[1:3] == ["vae", f"{name.split('-')[0]}-vae"]
    assert card.data.pipeline_tag == "unconditional-image-generation"  # VQ models by their prior


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_how_to_load_verify_and_make_the_model_and_where_it_fails(name):
    entry = keras_vae.info(name)
    text = ModelCard(cards.model_card(entry, name=name)).text
    code = re.search(r"```python\n(.*?)```", text, flags=re.DOTALL)[1]
    variables = {}
    exec(code, variables)
    assert variables["model"].count_params() == entry["parameters"]
    training = entry["training"]
    peak = training.get("peak_memory_mb")
    for part in (
        f"keras-vae verify {name}",
        entry["sha256"],
        entry["data"]["licence"] or "CIFAR-10",
        training["recipe"],
        f"seed: {training['seed']}",
        training["machine"],
        f"backend: {training['backend']}",
        *([f"peak memory: {peak / 1000:.1f} GB"] if peak else []),
        "## Intended use",
        "## Known failures and limits",
    ):
        assert part in text
    for key in ("elbo", "mse"):
        assert f"| {entry['metrics'][key]:.5g} |" in text


@pytest.mark.parametrize("name", NAMES)
def test_prose_quotes_no_figures_that_may_change(name):
    assert not re.search(r"\d\.\d", re.sub(r"arXiv [\d.]+", "", cards.prose(name)))


@pytest.mark.parametrize("name", NAMES)
def test_the_cards_in_the_zoo_are_those_of_the_registry(name):
    assert (CARDS / f"{name}.md").read_text() == zoo_card(name), "run: python -m zoo.cards"
    assert (CARDS / f"{name}.png").is_file()


def test_there_is_no_prose_or_card_of_a_model_that_is_not_published():
    assert {path.stem for path in (registry.PRETRAINED / "prose").glob("*.md")} == set(NAMES)
    of_each = (".md", ".png", "-latents.png")
    assert {path.name for path in CARDS.iterdir()} == {n + end for n in NAMES for end in of_each}


def test_the_card_of_ones_own_model_invents_nothing():
    card = ModelCard(cards.model_card(OWN, repository="me/mine"))
    assert card.data.to_dict() == {
        "library_name": "keras",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["keras_vae", "vae", "mlp-vae"],
    }
    headings = re.findall("^#+ .*", card.text, flags=re.MULTILINE)
    assert headings == ["# mine", "## The weights"]
    assert 'keras_vae.load("hf://me/mine")' in card.text
    assert "saved by" not in card.text and "Licence" not in card.text
    saved_with = {"keras": "3.99", "backend": "jax"}
    card = ModelCard(cards.model_card({**OWN, "saved_with": saved_with}, repository="me/mine"))
    assert "saved by Keras 3.99 on jax" in card.text
    assert "678 parameters" in card.text and OWN["sha256"] in card.text


def test_a_licence_that_is_given_is_in_the_front_matter_and_the_text():
    card = ModelCard(cards.model_card({**OWN, "licence": "MIT"}, repository="me/mine"))
    assert card.data.license == "mit"
    assert "The weights: MIT." in card.text


def test_a_model_of_vectors_has_no_picture_and_no_task_of_images(make):
    card = ModelCard(cards.model_card({**OWN, "data_shape": [6]}, repository="me/mine"))
    assert card.data.pipeline_tag is None and "of shape (6,)" in card.text
    assert plots.overview(make("mlp_vae", (6,)), np.zeros((3, 6))) is None


def test_the_card_of_a_plain_autoencoder_says_what_the_model_is_without_a_prior(tmp_path):
    keras_vae.save_to_folder(plain_autoencoder(), tmp_path)
    text = ModelCard(cards.model_card(read_entry(tmp_path), repository="me/mine")).text
    assert "likelihood `bernoulli`, for data of shape (8, 8, 1)" in text and "prior" not in text
    text = ModelCard(cards.model_card(OWN, repository="me/mine")).text
    assert "likelihood `bernoulli`, prior `normal`, for data of shape (6, 5, 1)" in text


def test_a_card_links_to_the_explorer_beside_it_if_there_is_one():
    text = cards.model_card(OWN, repository="me/mine", explorer="explorer.html")
    assert "[explorer.html](explorer.html) is this model as a page: download it" in text
    assert "explorer" not in cards.model_card(OWN, repository="me/mine")


def test_the_picture_has_samples_then_images_then_reconstructions(make, grey):
    model = make("conv_vae")
    tall = [plots.overview(model, x).get_size_inches()[1] for x in (None, grey[:1], grey)]
    assert tall[0] < tall[1] == tall[2]
    assert plots.overview(make("vq_vae")) is None
    assert plots.overview(make("vq_vae"), grey) is not None
    assert cards.caption(samples=True, images=False) == "64 samples of one seed, not chosen."
    assert cards.caption(samples=False, images=True).startswith("Images and, below")


def test_the_card_of_an_architecture_needs_no_factory():
    entry = {key: OWN[key] for key in OWN if key not in ("factory", "arguments")}
    card = ModelCard(cards.model_card({**entry, "architecture": {"a": 1}}, repository="me/mine"))
    assert card.data.tags == ["keras_vae", "vae"]
    assert "described as plain data in `config.json`." in card.text
    assert "factory" not in card.text and "{" not in card.text


def test_likelihoods_that_are_densities_are_not_listed_beside_code_lengths():
    metrics = {"protocol": "mnist-dynamic", "num_samples": 5, "nll": 1.0, "mse": 0.5}
    facts = {"metrics": metrics, "data": {"name": "mnist", "version": "3.0.1", "licence": "X"}}
    for observes, code_length, listed in (
        ("binary", True, {"nll", "mse"}),
        ("levels", True, {"nll", "mse"}),
        ("counts", True, {"nll", "mse"}),
        ("reals", False, {"mse"}),
    ):
        entry = {**OWN, **facts, "observes": observes, "code_length": code_length}
        card = ModelCard(cards.model_card(entry, repository="me/mine"))
        assert set(results(card)) == listed
        assert ("densities" in card.text) == (observes == "reals")


def test_the_card_of_a_model_of_levels_has_its_elbo_in_bits_too():
    metrics = {"protocol": "cifar10-levels", "num_samples": 5, "mse": 0.5, "bits_per_dim": 3.2}
    metrics |= {"elbo": -7200.0, "nll": 6814.0, "layer_rates": [20.0, 1500.0]}
    facts = {"metrics": metrics, "data": {"name": "cifar10", "version": "3.0.2", "licence": "X"}}
    facts |= {"tolerances": {"elbo": 0.36, "bits_per_dim": 1e-3}, "data_shape": [32, 32, 3]}
    entry = {**OWN, **facts, "observes": "levels", "likelihood": "logistic_mixture"}
    text = ModelCard(cards.model_card(entry, repository="me/mine")).text
    bits = 7200 / np.log(2) / 3072
    assert f"The negative ELBO is {bits:.3f} bits per value" in text and "levels of each" in text
    assert "| NLL, bits per value | 3.2 |  | 0.001 |" in text
    assert "bits per value, the" not in cards.model_card({**entry, "observes": "binary"}, name="x")
