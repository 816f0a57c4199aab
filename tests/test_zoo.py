"""Recipes: they make models, in stages: a refinement goes on, a prior over codes comes last."""

import copy

import numpy as np
import pytest

from keras_vae import hub
from keras_vae.training import train
from zoo.train import RECIPES, build, finished, read_recipe, stages

NAMES = sorted(path.stem for path in RECIPES.glob("*.toml"))
TWO_STAGES = {
    "model": {
        "factory": "vq_vae",
        "arguments": {
            "input_shape": [8, 8, 1],
            "num_codes": 8,
            "code_dim": 4,
            "filters": [4, 4],
            "blocks": 0,
            "prior": {"name": "transformer", "width": 8, "blocks": 1, "heads": 2, "dropout": 0.1},
        },
    },
    "training": {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2, "seed": 1},
    "prior": {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2, "seed": 2},
}
REFINED = {
    "model": {
        "factory": "mlp_vae",
        "arguments": {
            "input_shape": [8, 8, 1],
            "latent_dim": 3,
            "hidden_units": [8],
            "prior": {"name": "realnvp", "couplings": 2, "hidden_units": [8]},
        },
    },
    "training": TWO_STAGES["training"],
    "refinement": {
        "epochs": 1,
        "batch_size": 16,
        "learning_rate": 1e-2,
        "decay_to": 1.0,
        "average": 0.9,
        "seed": 2,
        "arguments": {"num_samples": 3, "importance_weighted": True},
    },
}
X = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 1), dtype="uint8")


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_builds_its_model(name):
    recipe = read_recipe(name)
    model = hub.build(recipe["model"]["factory"], recipe["model"]["arguments"])
    assert model.count_params() * 4 <= 8 * 2**20


def test_an_unknown_recipe_gets_the_names():
    with pytest.raises(SystemExit, match=f"No recipe 'mnist'. Available: {', '.join(NAMES)}$"):
        read_recipe("mnist")


def run(folder, recipe=TWO_STAGES, only=None):
    model = None
    for name in only or stages(recipe):
        model = build(recipe, name, model, 4)
        options = {key: recipe[name][key] for key in ("epochs", "batch_size", "seed")}
        train(model, X, None, folder if name == "training" else folder / name, **options)
    return model


def test_the_second_stage_trains_the_prior_and_nothing_else(tmp_path):
    first = run(tmp_path, only=("training",))
    model = run(tmp_path)
    for ours, theirs in ((model.encoder, first.encoder), (model.decoder, first.decoder)):
        for a, b in zip(ours.get_weights(), theirs.get_weights()):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.encode(X), first.encode(X))
    fresh = build(TWO_STAGES, "prior", first)
    moved = [
        (a != b).any()
        for a, b in zip(model.latent.prior.get_weights(), fresh.latent.prior.get_weights())
    ]
    assert np.mean(moved) > 0.5
    assert model.generate(3, seed=0).shape == (3, 8, 8, 1)


def test_a_finished_run_gives_back_the_model_that_the_recipe_names(tmp_path):
    model = run(tmp_path)
    again, history = finished(TWO_STAGES, tmp_path)
    assert len(history) == 4
    np.testing.assert_allclose(again.elbo(X), model.elbo(X), rtol=1e-5)
    hub.save_to_folder(again, tmp_path / "saved")
    np.testing.assert_allclose(hub.load(tmp_path / "saved").elbo(X), model.elbo(X), rtol=1e-5)


def test_a_refinement_goes_on_from_the_stage_before_under_its_own_objective(tmp_path):
    first = run(tmp_path, REFINED, only=("training",))
    assert (first.num_samples, first.importance_weighted) == (1, False)
    begun = build(REFINED, "refinement", first)
    assert (begun.num_samples, begun.importance_weighted) == (3, True)
    np.testing.assert_allclose(
        begun.elbo(X, num_samples=1, seed=0), first.elbo(X, num_samples=1, seed=0), rtol=1e-5
    )
    model = run(tmp_path, REFINED)
    assert len(stages(REFINED)) == 2 and model.importance_weighted
    moved = [(a != b).any() for a, b in zip(model.get_weights(), first.get_weights())]
    assert np.mean(moved) > 0.5
    again, history = finished(REFINED, tmp_path)
    assert [entry["epoch"] for entry in history] == [1, 2, 1]
    np.testing.assert_allclose(
        again.elbo(X, num_samples=1, seed=0), model.elbo(X, num_samples=1, seed=0), rtol=1e-5
    )


def test_an_unfinished_run_is_not_published(tmp_path):
    run(tmp_path)
    longer = copy.deepcopy(TWO_STAGES)
    longer["prior"]["epochs"] = 3
    with pytest.raises(SystemExit, match="is not finished: 2 epochs"):
        finished(longer, tmp_path)
