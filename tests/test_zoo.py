"""Recipes make models in stages: a refinement continues, a prior over the codes comes last."""

import copy
import shutil

import numpy as np
import pytest
from conftest import eagerly

from keras_vae import data, hub, registry
from keras_vae.training import checkpoints, follow, restore
from keras_vae.training.recipes import build_stage
from zoo import table
from zoo.train import RECIPES, read_recipe

pytestmark = pytest.mark.usefixtures("eager")

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


IN_FLOAT16 = {"conv-cifar10", "vq-cifar10"}  # python -m zoo.publish --float16


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_builds_its_model(name):
    recipe = read_recipe(name)
    model = hub.build(recipe["model"])
    assert model.count_params() * (2 if name in IN_FLOAT16 else 4) <= 8 * 2**20


@pytest.mark.parametrize(
    ("table", "name", "said"),
    [
        (None, "refinements", "A recipe has no refinements"),
        ("training", "flip", "The stage training has no flip"),
    ],
)
def test_a_misspelt_setting_is_not_ignored(tmp_path, table, name, said):
    recipe = copy.deepcopy(TWO_STAGES)
    (recipe if table is None else recipe[table])[name] = True
    with pytest.raises(ValueError, match=f"^{said}\\. It may have: .*(flips|refinement, )"):
        follow(recipe, DATA, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_learning_rate_rises_and_then_falls_along_a_cosine():
    stage = {**TWO_STAGES["training"], "epochs": 5, "warmup": 4, "decay_to": 0.1}
    model = build_stage({**TWO_STAGES, "training": stage}, steps_per_epoch=4)
    rates = []
    for step in (0, 1, 4, 12, 20, 30):
        model.optimizer.iterations.assign(step)
        rates.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates, [0, 0.0025, 0.01, 0.0055, 0.001, 0.001], rtol=1e-5)


def test_an_unknown_recipe_gets_the_names():
    with pytest.raises(SystemExit, match=f"No recipe 'mnist'. Available: {', '.join(NAMES)}$"):
        read_recipe("mnist")


DATA = data.Data(X[:48], X[48:])


@pytest.fixture(scope="module")
def two_stages(tmp_path_factory):
    """The folder of a finished run of `TWO_STAGES`, and its model."""
    folder = tmp_path_factory.mktemp("run")
    with eagerly():
        return folder, follow(TWO_STAGES, DATA, folder)[0]


def first_stage(recipe, folder):
    """The model that the first stage of a run made."""
    model = build_stage(recipe)
    checkpoints.restore_checkpoint(model, next(folder.glob("epoch-*.npz")))
    return model


def share_changed(model, other):
    pairs = zip(model.get_weights(), other.get_weights(), strict=True)
    return np.mean([(a != b).any() for a, b in pairs])


@pytest.mark.long
def test_the_prior_stage_trains_the_prior_and_nothing_else(two_stages):
    folder, model = two_stages
    first = first_stage(TWO_STAGES, folder)
    assert first.latent.prior is None
    assert share_changed(model.encoder, first.encoder) == 0
    assert share_changed(model.decoder, first.decoder) == 0
    codes = model.encode(X)
    np.testing.assert_array_equal(codes, first.encode(X))
    np.testing.assert_array_equal(model.decode(codes), first.decode(codes))
    fresh = build_stage(TWO_STAGES, "prior", first)
    assert share_changed(model.latent.prior, fresh.latent.prior) > 0.5
    assert model.generate(3, seed=0).shape == (3, 8, 8, 1)


def test_a_finished_run_is_restored_and_can_be_shared(two_stages, tmp_path):
    folder, model = two_stages
    again, history = restore(TWO_STAGES, folder)
    assert [entry["epoch"] for entry in history] == [1, 2, 1, 2]
    np.testing.assert_allclose(again.elbo(X), model.elbo(X), rtol=1e-5)
    hub.save_to_folder(again, tmp_path / "saved")
    np.testing.assert_allclose(hub.load(tmp_path / "saved").elbo(X), model.elbo(X), rtol=1e-5)


def test_a_finished_recipe_is_not_trained_again(two_stages, capsys):
    folder, model = two_stages
    again, history = follow(TWO_STAGES, DATA, folder)
    assert len(history) == 4 and "epoch" not in capsys.readouterr().out
    np.testing.assert_allclose(again.elbo(X), model.elbo(X), rtol=1e-5)


@pytest.mark.long
def test_a_refinement_continues_from_the_stage_before_with_its_own_objective(tmp_path):
    model, history = follow(REFINED, DATA, tmp_path)
    assert [entry["epoch"] for entry in history] == [1, 2, 1]
    first = first_stage(REFINED, tmp_path)
    begun = build_stage(REFINED, "refinement", first)
    assert (first.num_samples, begun.num_samples) == (1, 3)
    assert type(first.objective) is not type(begun.objective)
    bounds = [each.elbo(X, num_samples=1, seed=0) for each in (begun, first)]
    np.testing.assert_allclose(*bounds, rtol=1e-5)
    assert share_changed(model, first) > 0.5
    again, _ = restore(REFINED, tmp_path)
    bounds = [each.elbo(X, num_samples=1, seed=0) for each in (again, model)]
    np.testing.assert_allclose(*bounds, rtol=1e-5)


def test_a_run_is_not_resumed_by_another_recipe(two_stages):
    other = copy.deepcopy(TWO_STAGES)
    other["training"]["learning_rate"] = 1e-3
    with pytest.raises(ValueError, match="another plan"):
        follow(other, DATA, two_stages[0])


def test_a_run_is_not_restored_as_that_of_another_recipe(two_stages):
    other = copy.deepcopy(TWO_STAGES)
    other["training"]["seed"] = 3  # as many weights
    with pytest.raises(ValueError, match=r"another plan \(seed changed\)"):
        restore(other, two_stages[0])


def test_what_a_later_stage_does_is_free_until_it_begins(two_stages, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(two_stages[0], folder)
    other = copy.deepcopy(TWO_STAGES)
    other["prior"]["epochs"] = 1
    other["model"]["arguments"]["prior"]["width"] = 4
    with pytest.raises(ValueError, match=r"prior holds a run .*\(width, epochs changed\)"):
        follow(other, DATA, folder)
    shutil.rmtree(folder / "prior")
    before = (folder / "state.json").read_bytes()
    model, history = follow(other, DATA, folder)
    assert [entry["epoch"] for entry in history] == [1, 2, 1]
    assert (folder / "state.json").read_bytes() == before
    assert restore(other, folder)[0].count_params() == model.count_params()


def test_a_stage_is_not_made_longer_once_the_next_has_begun(tmp_path):
    recipe = copy.deepcopy(REFINED)
    recipe["training"]["decay_to"] = 1.0
    recipe["training"]["epochs"] = 1
    follow(recipe, DATA, tmp_path)
    recipe["training"]["epochs"] = 2
    with pytest.raises(ValueError, match=r"refinement holds a run .*\(epochs changed\)"):
        follow(recipe, DATA, tmp_path)
    assert len(checkpoints.read_state(tmp_path)["history"]) == 1  # refused before it goes on
    shutil.rmtree(tmp_path / "refinement")
    recipe["refinement"]["epochs"] = 2
    _, history = follow(recipe, DATA, tmp_path)
    assert [entry["epoch"] for entry in history] == [1, 2, 1, 2]


def test_a_stage_does_not_begin_after_more_epochs_than_the_recipe_has(tmp_path):
    recipe = copy.deepcopy(REFINED)
    recipe["training"] |= {"decay_to": 1.0, "epochs": 2}
    follow({key: recipe[key] for key in ("model", "training")}, DATA, tmp_path)
    recipe["training"]["epochs"] = 1
    for call in (lambda: follow(recipe, DATA, tmp_path), lambda: restore(recipe, tmp_path)):
        with pytest.raises(ValueError, match="has 2 epochs, and the recipe asks for 1 before"):
            call()
    assert not (tmp_path / "refinement").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("epochs", value) for value in (0, -1, 1.5, None)),
        *(("batch_size", 0), ("learning_rate", -1.0), ("learning_rate", "x"), ("seed", None)),
        *(("clip", -1), ("clip", 0), ("skip_above", -1.0), ("warmup", -5), ("decay_to", -1)),
        *(
            ("average", 2),
            ("average", 1),
            ("seed", 2**40),
            ("optimizer", ["adam"]),
            ("patience", -1),
            ("shifts", -1),
            ("flips", "yes"),
            ("keep_best", 1),
        ),
        *(("beta_warmup", -1), ("optimizer", "sgd"), ("arguments", [])),
    ],
)
def test_a_setting_out_of_its_range_is_refused(tmp_path, key, value):
    recipe = copy.deepcopy(TWO_STAGES)
    recipe["prior"][key] = value
    with pytest.raises(ValueError, match=f"^({key} of the stage prior|seed) must be"):
        follow(recipe, DATA, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("table", ["model", "arguments", "training"])
def test_a_list_is_no_table(tmp_path, table):
    recipe = copy.deepcopy(TWO_STAGES)
    (recipe["model"] if table == "arguments" else recipe)[table] = []
    with pytest.raises(ValueError, match=f"{table}.* must be a table"):
        follow(recipe, DATA, tmp_path / "run")


@pytest.mark.parametrize(
    ("table", "key"),
    [
        *((None, key) for key in ("model", "training")),
        *(("model", key) for key in ("factory", "arguments")),
        *(("prior", key) for key in ("epochs", "batch_size", "learning_rate", "seed")),
    ],
)
def test_a_recipe_that_lacks_something_says_what(tmp_path, table, key):
    recipe = copy.deepcopy(TWO_STAGES)
    del (recipe if table is None else recipe[table])[key]
    with pytest.raises(ValueError, match=f"needs .*{key}"):
        follow(recipe, DATA, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_stage_for_a_prior_needs_one(tmp_path):
    recipe = copy.deepcopy(TWO_STAGES)
    del recipe["model"]["arguments"]["prior"]
    with pytest.raises(ValueError, match="its arguments have none"):
        follow(recipe, DATA, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unfinished_run_is_not_restored(two_stages):
    longer = copy.deepcopy(TWO_STAGES)
    longer["prior"]["epochs"] = 3
    with pytest.raises(ValueError, match="is not finished: 2 epochs"):
        restore(longer, two_stages[0])


@pytest.fixture
def entries(monkeypatch):
    """A registry of three models that are not there, which a test may change."""
    facts = {"parameters": 1_230_000, "bytes": 5_100_000, "code_length": True}
    metrics = {"num_samples": 100, "mse": 7.73e-3, "active_units": 9, "elbo": -82.5, "nll": 79.4}
    plain = {**facts, "observes": "binary", "data_shape": [28, 28, 1], "metrics": metrics}
    layers = {"input_shape": [6, 6, 1], "latent_channels": 2, "filters": [3, 4], "layers": [1, 2]}
    ladder = {"factory": "ladder_vae", "arguments": {**layers, "blocks": 0}}
    of_levels = {"elbo": -7200.0, "nll": 7100.0, "bits_per_dim": 3.3343, "active_units": 700}
    made = {
        "conv-mnist": {**plain, "arguments": {"latent_dim": 40}},
        "ladder-mnist": {**plain, **ladder, "metrics": {**metrics, "layer_rates": [9.0, 8.0, 7.0]}},
        "conv-cifar10": {
            **plain,
            "observes": "levels",
            "likelihood": "logistic_mixture",
            "data_shape": [32, 32, 3],
            "arguments": {"latent_shape": [8, 8, 16]},
            "metrics": {**metrics, **of_levels},
        },
    }
    monkeypatch.setattr(registry, "entries", lambda: made)
    return made


def test_the_table_counts_the_units_of_all_layers_of_a_hierarchy(entries):
    rows = table.table().splitlines()
    begin = "1.23 M | 5.1 MB | -82.50 | 79.40 (K = 100) | 7.73e-03"
    assert rows[2] == f"| `conv-mnist` | {begin} | 9 of 40 units active |"
    # Two layers on maps of 3 x 3, one on 6 x 6, of two channels.
    assert rows[3] == f"| `ladder-mnist` | {begin} | 9 of 108 units active in 3 layers |"


def test_bits_of_levels_stand_in_a_table_of_their_own_where_there_are_any(entries):
    del entries["ladder-mnist"]  # it takes longer, as it is built
    first, _, second = table.table().partition(
        "\nModels of levels, such as those of 8-bit images, in bits"
    )
    assert "cifar10" not in first and "ELBO | NLL | MSE" in first and "bits" not in first
    row = second.splitlines()[-1]
    bits = 7200 / (32 * 32 * 3 * np.log(2))
    assert "| -ELBO, bits | NLL, bits |" in second
    assert f"| {bits:.3f} | 3.334 (K = 100) | 7.73e-03 | 700 of 1024 units active |" in row
    del entries["conv-cifar10"]
    assert table.table() == first
