"""The `keras-vae` command: what it prints, what it writes, and how it refuses."""

import contextlib
import json
import shutil

import matplotlib.image
import numpy as np
import pytest
from own_kinds import of_map
from PIL import Image
from typer.testing import CliRunner

import keras_vae
from keras_vae import cli, data, plots
from keras_vae.training.checkpoints import Checkpoints

SHAPE = (8, 8, 1)
ARGUMENTS = {
    "mlp_vae": {"input_shape": SHAPE, "latent_dim": 2, "hidden_units": [4]},
    "vq_vae": {"input_shape": SHAPE, "num_codes": 4, "code_dim": 2, "filters": [2], "blocks": 0},
}
X = np.random.default_rng(0).integers(0, 256, (12, *SHAPE), dtype="uint8")
METRICS = {"protocol": "mnist-dynamic", "elbo": -91.25, "nll": 87.5, "mse": 0.0125}
ENTRY = {
    "factory": "mlp_vae",
    "arguments": ARGUMENTS["mlp_vae"],
    "bytes": 1_240_000,
    "sha256": "0123456789abcdef" * 4,
    "parameters": 1234567,
    "fingerprint": [0.5, 1.0],
    "data": {"name": "mnist", "version": "3.0.1"},
    "observes": "binary",
    "code_length": True,
    "metrics": METRICS,
}


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def refused(result):
    """The sentence of an expected error, after a check that it is one and nothing else."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1
    return result.stderr.strip()


def picture(path):
    return np.rint(255 * matplotlib.image.imread(path)).astype("uint8")


def as_saved(figure, folder):
    plots.save(figure, folder / "expected.png")
    return picture(folder / "expected.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a small model in it."""
    return _saved("mlp_vae", tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def vq_folder(tmp_path_factory):
    return _saved("vq_vae", tmp_path_factory.mktemp("models") / "small-vq")


def _saved(factory, folder):
    keras_vae.save_to_folder(keras_vae.FACTORIES[factory](**ARGUMENTS[factory]), folder)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def registry(monkeypatch):
    """A registry of two models that are not there."""
    entries = {"mlp-mnist": ENTRY, "vq-mnist": {**ENTRY, "code_length": False}}
    monkeypatch.setattr("keras_vae.registry.entries", lambda: entries)
    monkeypatch.setattr("keras_vae.registry.autoencoders", dict)
    return entries


@pytest.fixture
def npz(tmp_path):
    np.savez(tmp_path / "data.npz", x_train=X)
    return tmp_path / "data.npz"


def test_the_list_has_a_row_for_each_model_with_its_numbers(registry):
    result = run("list")
    assert result.exit_code == 0
    first, second = [line for line in result.stdout.splitlines() if "-mnist" in line][:2]
    cells = [cell.strip() for cell in first.split("│")[1:-1]]
    figures = ["-91.25", "87.5", "0.0125", "1,234,567", "1.2 MB"]
    assert cells == ["mlp-mnist", "mlp_vae", "mnist", *figures]
    # A density is in other units: it stands in no column of these.
    assert [cell.strip() for cell in second.split("│")[4:7]] == ["-", "-", "0.0125"]
    assert result.stdout.splitlines()[-1].startswith("vq-mnist: a density of real values")
    assert "nll: 87.5 (a density: not comparable" in run("info", "vq-mnist").stdout
    assert "1,240,000 (1.2 MB)" in run("info", "vq-mnist").stdout


def test_the_list_has_a_column_of_bits_for_models_of_levels(registry):
    assert "bits/dim" not in run("list").stdout
    metrics = {**METRICS, "nll": 7234.5, "elbo": -7300.1, "bits_per_dim": 3.397}
    registry["ladder-cifar10"] = {**ENTRY, "observes": "levels", "metrics": metrics}
    lines = run("list").stdout.splitlines()
    rows = {cells[1].strip(): cells for cells in (line.split("│") for line in lines) if cells[1:]}
    assert [cell.strip() for cell in rows["ladder-cifar10"][4:8]] == ["-", "-", "3.397", "0.0125"]
    assert [cell.strip() for cell in rows["mlp-mnist"][4:8]] == ["-91.25", "87.5", "-", "0.0125"]


def test_closed_outputs_are_no_error(registry, monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    assert cli.app(["list"], standalone_mode=False) is None


def test_a_pattern_chooses_and_one_without_matches_names_what_there_is(registry):
    assert "mlp-mnist" not in run("list", "vq-*").stdout
    nothing = run("list", "cifar*")
    assert nothing.exit_code == 0
    assert nothing.stdout == (
        "No published model matches 'cifar*'. Available: mlp-mnist, vq-mnist.\n"
    )


def test_json_is_the_registry_entries_with_their_names(registry):
    assert json.loads(run("info", "mlp-mnist", "--json").stdout) == json.loads(
        json.dumps({"name": "mlp-mnist", **ENTRY})
    )
    listed = json.loads(run("list", "--json").stdout)
    assert [entry["name"] for entry in listed] == ["mlp-mnist", "vq-mnist"]
    assert listed[0]["metrics"] == METRICS
    assert json.loads(run("list", "cifar*", "--json").stdout) == []


def test_info_shows_every_part_of_an_entry_and_cuts_none(registry):
    shown = run("info", "mlp-mnist").stdout
    for part in ("mlp-mnist", ENTRY["sha256"], "hidden_units: [4]", "nll: 87.5", "version: 3.0.1"):
        assert part in shown


def test_info_of_ones_own_model_is_what_its_folder_or_file_says(folder, here):
    entry = json.loads((folder / "config.json").read_text())
    entry |= json.loads((folder / "metadata.json").read_text())
    for source in (folder, folder / "model.weights.h5"):
        shown = json.loads(run("info", source, "--json").stdout)
        assert shown == {"name": str(source), **entry}
    assert f"parameters  │ {entry['parameters']:,}" in run("info", folder).stdout
    keras_vae.load(folder).save("mine.keras")
    shown = run("info", "mine.keras").stdout
    assert "hidden_units: [4]" in shown and "GaussianLatent" in shown


def test_info_runs_nothing_and_prints_no_control_characters(folder, here):
    shutil.copytree(folder, "copy")
    config = json.loads((here / "copy" / "config.json").read_text())
    config["arguments"]["name"] = config["factory"] = "\x1b[2J\x9bred"
    (here / "copy" / "config.json").write_text(json.dumps(config))
    shown = run("info", "copy").stdout
    assert "?[2J?red" in shown and "\x1b" not in shown and "\x9b" not in shown
    for content in (b"", b"PK", (here / "copy" / "config.json").read_bytes()):
        (here / "mine.keras").write_bytes(content)
        assert "is not a file that model.save wrote" in refused(run("info", "mine.keras"))


COMMANDS = ["generate", "reconstruct", "interpolate", "traverse", "explore", "evaluate", "export"]


@pytest.mark.parametrize("command", [*COMMANDS, "verify", "download", "publish"])
def test_every_command_says_what_is_wrong_with_what_is_no_model(command, here, folder):
    (here / "empty").mkdir()
    for name in ("a.png", "mine.keras"):
        (here / name).write_bytes(b"")
    options = ["--namespace", "me"] if command == "publish" else []
    for source, why in (
        ("nosuch", "Unknown model 'nosuch'. Available: conv-cifar10"),
        ("./nosuch", "There is no such folder either"),
        ("empty", "'empty' holds no model"),
        ("a.png", "'a.png' is a file: a model is a folder, or a name"),
        ("mine.keras", "save_to_folder(model, 'mine'): then give that folder"),
        (folder / "model.weights.h5", f"give their folder, {str(folder)!r}"),
    ):
        assert why in refused(run(command, source, *options))


@pytest.mark.parametrize("command", ["info", "generate", "reconstruct"])
def test_an_unknown_model_is_one_sentence_and_exit_1(registry, here, command):
    sentence = refused(run(command, "mlp-mnits"))
    assert "Unknown model 'mlp-mnits'" in sentence and "Did you mean 'mlp-mnist'?" in sentence
    assert list(here.iterdir()) == []


def test_generate_writes_what_the_model_generates_and_says_where(here, folder):
    result = run("generate", folder, "--n", 5, "--seed", 3)
    assert result.stdout == f"Wrote {here / 'small-samples.png'}\n"
    images = keras_vae.load(folder).generate(5, seed=3)
    got = picture(here / "small-samples.png")
    np.testing.assert_array_equal(got, as_saved(plots.image_grid(images), here))


def test_generate_writes_where_it_is_told_even_if_the_path_is_long(here, folder):
    out = here / ("long-" * 20) / "very [bold] name.png"
    out.parent.mkdir()
    assert run("generate", folder, "--n", 1, "--out", out).stdout == f"Wrote {out}\n"
    assert out.is_file()


@pytest.fixture(scope="module")
def any_size(tmp_path_factory):
    """The folder of a model of images of any size, and the model."""
    latent = keras_vae.latents.GaussianLatent()
    model = of_map(latent, 4, size=None, decoder_channels=2)
    folder = tmp_path_factory.mktemp("models") / "any"
    keras_vae.save_to_folder(model, folder)
    return folder, model


def test_a_model_of_any_size_generates_the_size_asked_for(here, any_size):
    folder, model = any_size
    assert "such as --size 64." in refused(run("generate", folder))
    assert "one number or HEIGHTxWIDTH" in refused(run("generate", folder, "--size", "large"))
    assert run("generate", folder, "--n", 2, "--seed", 1, "--size", "6x8").exit_code == 0
    expected = as_saved(plots.image_grid(model.generate(2, seed=1, size=(6, 8))), here)
    np.testing.assert_array_equal(picture(here / "any-samples.png"), expected)


def test_a_model_of_one_size_generates_no_other(here, folder):
    assert "makes data of shape (8, 8, 1) only" in refused(run("generate", folder, "--size", 16))


@pytest.mark.parametrize("source", ["pictures", "pictures/0.png", "x.npy"])
def test_a_model_of_any_size_reads_images_in_their_own(here, any_size, source):
    folder, model = any_size
    x = X[:2, :6]  # 6 x 8 pixels
    (here / "pictures").mkdir()
    for key, image in enumerate(x):
        Image.fromarray(image[..., 0]).save(here / "pictures" / f"{key}.png")
    np.save("x.npy", x[..., 0])
    x = x[:1] if source.endswith(".png") else x
    result = run("reconstruct", folder, "--images", source, "--json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    error = np.mean((x / 255 - model.reconstruct(x)) ** 2)
    assert figures["images"] == len(x) and figures["mse"] == pytest.approx(error, rel=1e-4)


def test_generate_without_a_prior_says_so_and_writes_nothing(here, vq_folder):
    assert "prior over its codes" in refused(run("generate", vq_folder))
    assert list(here.iterdir()) == []


def test_a_missing_output_folder_is_one_sentence(here, folder):
    sentence = refused(run("generate", folder, "--n", 1, "--out", "none/a.png"))
    assert sentence == f"Error: No such folder: {here / 'none'}. Make it first."


def test_reconstruct_shows_originals_above_reconstructions_and_their_error(here, folder, npz):
    result = run("reconstruct", folder, "--images", npz, "--n", 3)
    again = keras_vae.load(folder).reconstruct(X[:3])
    error = np.mean((X[:3] / 255 - again) ** 2)
    first, second = result.stdout.splitlines()
    assert first.startswith("Mean squared error per pixel, 3 images: ")
    assert float(first.split()[-1]) == pytest.approx(error, rel=1e-4)
    assert second == f"Wrote {here / 'small-reconstructions.png'}"
    expected = as_saved(plots.reconstruction_pairs(X[:3], again), here)
    np.testing.assert_array_equal(picture(here / "small-reconstructions.png"), expected)


def test_reconstruct_reports_in_json_what_it_says_in_words(here, folder, npz):
    said = run("reconstruct", folder, "--images", npz, "--n", 3).stdout.splitlines()[0]
    figures = json.loads(run("reconstruct", folder, "--images", npz, "--n", 3, "--json").stdout)
    assert said.endswith(f"3 images: {figures['mse']:.6g}") and figures["images"] == 3
    assert figures["picture"] == str(here / "small-reconstructions.png")


def test_interpolate_goes_from_the_first_images_to_the_next(here, folder, vq_folder, npz):
    for name in (folder, vq_folder):
        result = run("interpolate", name, "--images", npz, "--n", 2, "--steps", 3)
        out = here / f"{name.name}-interpolation.png"
        assert result.stdout == f"Wrote {out}\n"
        expected = plots.interpolation(keras_vae.load(name), X[:2], X[2:4], 3)
        np.testing.assert_array_equal(picture(out), as_saved(expected, here))
    np.save("one.npy", X[:1])
    assert "needs two images. Received: 1" in refused(
        run("interpolate", folder, "--images", "one.npy")
    )


def test_traverse_shows_the_latents_of_the_first_image(here, folder, vq_folder, npz):
    result = run("traverse", folder, "--images", npz, "--units", 1, "--steps", 5, "--span", 2)
    assert result.stdout == f"Wrote {here / 'small-traversal.png'}\n"
    expected = plots.traversal(keras_vae.load(folder), X, units=1, steps=5, span=2.0)
    np.testing.assert_array_equal(picture(here / "small-traversal.png"), as_saved(expected, here))
    said = refused(run("traverse", vq_folder, "--images", npz))
    assert "needs codes that are real numbers" in said and "explore" in said


def test_evaluate_prints_the_figures_of_the_library(here, folder, npz):
    options = ["--images", npz, "--n", 5, "--num-samples", 3, "--seed", 4]
    figures = json.loads(run("evaluate", folder, *options, "--json").stdout)
    expected = keras_vae.evaluate(keras_vae.load(folder), X[:5], num_samples=3, seed=4)
    assert figures.pop("images") == 5
    assert figures.pop("latent_rates") == pytest.approx(expected["latent_rates"], rel=1e-5)
    assert figures == pytest.approx(
        {key: value for key, value in expected.items() if key != "latent_rates"}, rel=1e-5
    )
    rows = run("evaluate", folder, *options).stdout.splitlines()
    cells = {row.split("│")[1].strip(): row.split("│")[2:4] for row in rows if "│" in row}
    assert float(cells["nll"][0]) == pytest.approx(expected["nll"], rel=1e-4)
    assert float(cells["nll"][1]) == pytest.approx(expected["nll_stderr"], rel=1e-4)
    assert "nll_stderr" not in cells and cells["num_samples"][0].strip() == "3"


def test_bits_per_dim_are_shown_of_levels_and_refused_of_densities(here, npz):
    small = ["--factory", "mlp_vae", "--latent-dim", 2, "--set", "hidden_units=[4]", "--epochs", 1]
    for likelihood, says in (("discretised_logistic", "bits_per_dim"), ("laplace", "no bits per")):
        options = ["--likelihood", likelihood, *small]
        assert run("train", "--data", npz, "--out", here / likelihood, *options).exit_code == 0
        shown = run("evaluate", here / likelihood, "--images", npz, "-k", 2).stdout
        assert says in " ".join(shown.split())
        figures = json.loads(run("evaluate", here / likelihood, "--images", npz, "--json").stdout)
        assert ("bits_per_dim" in figures) == (likelihood == "discretised_logistic")
    assert "Laplace is a density, which depends on the units" in " ".join(shown.split())


def test_evaluate_measures_what_the_model_was_not_trained_on_and_says_so(here):
    folder, out = here / "pictures", here / "mine"
    folder.mkdir()
    for key, image in enumerate(X):
        Image.fromarray(image[..., 0]).save(folder / f"{key}.png")
    small = ["--factory", "mlp_vae", "--latent-dim", 2, "--set", "hidden_units=[4]", "--epochs", 1]
    assert run("train", "--images", folder, "--out", out, *small).exit_code == 0
    parts, _ = data.from_pictures(folder)
    held_out = keras_vae.evaluate(keras_vae.load(out), parts.x_validation, num_samples=2)
    moved = folder.rename(here / "moved")  # it is known by its pictures, not by its name
    result = run("evaluate", out, "--images", moved, "-k", 2, "--json")
    figures = json.loads(result.stdout)
    assert figures["images"] == 2 and figures["mse"] == pytest.approx(held_out["mse"], rel=1e-5)
    assert figures["measured"] == "2 images that it was not trained on"
    shown = run("evaluate", out, "--images", moved, "-k", 2).stdout
    assert "2 images that it was not trained on" in " ".join(shown.split())
    figures = json.loads(run("reconstruct", out, "--images", moved, "--json").stdout)
    assert figures["measured"] == "2 images that it was not trained on"
    # Others, and none but those that it was trained on.
    np.savez("x.npz", x=parts.x_train)
    result = run("evaluate", out, "--images", "x.npz", "-k", 2, "--json")
    assert json.loads(result.stdout)["measured"] == "10 images that it was trained on"
    assert "was trained on all of these images" in result.stderr
    np.savez("x.npz", x=np.concatenate([parts.x_train, 255 - X]))
    result = run("evaluate", out, "--images", "x.npz", "-k", 2, "--json")
    assert json.loads(result.stdout)["measured"] == "12 images that it was not trained on"


def test_square_brackets_in_a_name_are_no_markup(here, folder, npz):
    shutil.copytree(folder, here / "run[" / "a]")
    result = run("evaluate", "run[/a]", "--images", npz, "--n", 2, "--num-samples", 2)
    assert result.exit_code == 0 and "run[/a], 2 images" in result.stdout


def test_a_folder_in_a_picture_s_place_is_named(here, folder):
    (here / "a.png").mkdir()
    assert refused(run("generate", folder, "--out", "a.png")) == "Error: Is a directory: a.png"


def test_a_folder_of_pictures_serves_every_command(here, folder):
    for key, image in enumerate(X[:4]):
        Image.fromarray(image[..., 0]).save(here / f"{key}.png")
    (here / "broken.png").write_bytes(b"text")
    result = run("evaluate", folder, "--images", here, "--json")
    assert json.loads(result.stdout)["images"] == 4
    assert result.stderr == f"Left out: {here / 'broken.png'} is not a picture.\n"


def test_a_vq_model_reconstructs_floats_without_a_channel_axis(here, vq_folder):
    np.save("x.npy", (X[:2, ..., 0] / 255).astype("float32"))
    result = run("reconstruct", vq_folder, "--images", "x.npy", "--out", "pairs.png")
    again = keras_vae.load(vq_folder).reconstruct(X[:2])
    error = np.mean((X[:2] / 255 - again) ** 2)
    assert float(result.stdout.splitlines()[0].split()[-1]) == pytest.approx(error, rel=1e-4)


def test_the_arrays_of_an_npz_are_looked_for_by_name_then_the_only_one_is_taken(tmp_path):
    path = tmp_path / "some.npz"
    for names in (["x", "x_test", "x_train"], ["x_train", "x"], ["x_train", "y"], ["images"]):
        arrays = {name: np.full((1, 8, 8, 1), i, "uint8") for i, name in enumerate(names)}
        np.savez(path, **arrays)
        best = next(name for name in ("x_test", "x", "x_train", "images") if name in names)
        np.testing.assert_array_equal(cli.sources.read_images(path, SHAPE), arrays[best])
    np.savez(path, a=X, b=X)
    with pytest.raises(ValueError, match="x_test, x or x_train. Received: a, b"):
        cli.sources.read_images(path, SHAPE)


def test_a_picture_is_read_in_the_models_channels_and_size(tmp_path):
    colours = np.full((16, 16, 3), [200, 100, 50], "uint8")
    Image.fromarray(colours).save(tmp_path / "a.png")
    as_rgb = cli.sources.read_images(tmp_path / "a.png", (8, 4, 3))
    np.testing.assert_array_equal(as_rgb, np.broadcast_to([200, 100, 50], (1, 8, 4, 3)))
    as_grey = cli.sources.read_images(tmp_path / "a.png", (16, 16, 1))
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50  # ITU-R 601-2
    assert as_grey.shape == (1, 16, 16, 1) and abs(as_grey.astype(float) - luma).max() < 1
    exact = X[0, ..., 0]
    Image.fromarray(exact).save(tmp_path / "b.png")
    np.testing.assert_array_equal(cli.sources.read_images(tmp_path / "b.png", SHAPE), X[:1])


@pytest.mark.parametrize("name", ["bad.npz", "bad.npy", "bad.png"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 damaged", b"\x93NUMPY damaged", b"text"])
def test_a_damaged_file_is_one_sentence(here, folder, name, content):
    (here / name).write_bytes(content)
    refused(run("reconstruct", folder, "--images", name))


@pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.png"])
def test_a_file_cut_or_changed_anywhere_is_one_sentence_or_read(tmp_path, name):
    path = tmp_path / name
    if name == "x.png":
        Image.fromarray(X[0, ..., 0]).save(path)
    elif name == "x.npy":
        np.save(path, X)
    else:
        np.savez_compressed(path, x=X)
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        for content in (whole[:at], whole[:at] + b"\xff\x00" + whole[at + 2 :]):
            path.write_bytes(content)
            with contextlib.suppress(ValueError, OSError):
                assert cli.sources.read_images(path, SHAPE).dtype.kind in "uif"


def test_a_missing_file_of_images_is_one_sentence(here, folder):
    sentence = refused(run("reconstruct", folder, "--images", "none.npz"))
    assert sentence == "Error: No such file: none.npz"


def test_images_of_another_shape_are_refused_by_the_models_own_rule(here, folder):
    np.save("x.npy", np.zeros((2, 9, 9), "uint8"))
    sentence = refused(run("reconstruct", folder, "--images", "x.npy"))
    assert "must have shape (n, 8, 8, 1). Received shape: (2, 9, 9)" in sentence


def test_a_model_of_your_own_has_no_data_set_of_its_own(here, folder):
    assert "give --images or --dataset" in refused(run("reconstruct", folder))


def test_reconstruct_takes_the_test_images_of_a_data_set(here, folder, monkeypatch):
    parts = data.Data(x_train=X[:4], x_validation=X[4:6], x_test=X[6:])
    monkeypatch.setattr(data, "load", {"mnist": parts}.__getitem__)
    result = run("reconstruct", folder, "--dataset", "mnist", "--n", 2)
    error = np.mean((X[6:8] / 255 - keras_vae.load(folder).reconstruct(X[6:8])) ** 2)
    assert float(result.stdout.splitlines()[0].split()[-1]) == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["generate"],
        ["generate", "mlp-mnist", "--n", "0"],
        ["generate", "mlp-mnist", "--seed", "-1"],
        ["reconstruct", "mlp-mnist", "--images", "x.npy", "--dataset", "mnist"],
        ["reconstruct", "mlp-mnist", "--dataset", "cifar"],
        ["interpolate", "mlp-mnist", "--images", "x.npy", "--dataset", "mnist"],
        ["interpolate", "mlp-mnist", "--steps", "1"],
        ["traverse", "mlp-mnist", "--dataset", "cifar"],
        ["evaluate", "mlp-mnist", "--dataset", "cifar"],
        ["evaluate", "mlp-mnist", "--num-samples", "0"],
        ["train", "--data", "mnist", "--out", "a", "--size", "64"],
        ["train", "--factory", "mlp_vae", "--data", "mnist"],
        ["train", "--factory", "mlp_vae", "--data", "x.npz", "--out", "a", "--set", "activation"],
        ["train", "--factory", "mlp_vae", "--data", "x.npz", "--out", "a", "--beta", "-1"],
    ],
)
def test_wrong_usage_is_exit_2(here, arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert list(here.iterdir()) == []


TRAIN = ["--batch-size", 4, "--learning-rate", 0.01, "--epochs", 2, "--set", "hidden_units=[4]"]


def test_a_trained_model_is_loaded_as_the_last_line_says(tmp_path, npz):
    out = tmp_path / "mine"
    options = ["--factory", "mlp_vae", "--data", npz, "--out", out, "--latent-dim", 2, *TRAIN]
    result = run("train", *options, "--likelihood", "gaussian", "--beta", 0.5)
    assert result.exit_code == 0, result.output
    model = eval(result.stdout.splitlines()[-1], {"keras_vae": keras_vae})
    assert model.encode(X).shape == (12, 2)
    assert float(model.beta) == 0.5
    assert isinstance(model.likelihood, keras_vae.likelihoods.Gaussian)
    history = json.loads((out / "run" / "state.json").read_text())["history"]
    assert [entry["epoch"] for entry in history] == [1, 2]
    assert run("generate", out, "--n", 1, "--out", tmp_path / "a.png").exit_code == 0


def test_training_with_levels_says_in_how_many_bits_held_out_images_are(tmp_path, npz):
    options = ["--factory", "mlp_vae", "--data", npz, "--latent-dim", 2, *TRAIN]
    options += ["--likelihood", "discretised_logistic", "--out", tmp_path / "mine"]
    result = run("train", *options)
    assert result.exit_code == 0, result.output
    model, x = keras_vae.load(str(tmp_path / "mine")), data.load(str(npz)).x_validation
    bits = -model.elbo(x, seed=0).mean() / (64 * np.log(2))
    assert f"each; {bits:.2f} bits per dimension (ELBO); PCA with" in result.stdout


def pictures_in(folder):
    """Colour pictures of odd sizes, and a broken one."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for key in range(12):
        size = rng.integers(8, 20, 2)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype="uint8")).save(
            folder / f"{key}.{'png' if key % 2 else 'jpg'}"
        )
    (folder / "broken.png").write_bytes(b"text")
    return folder


def test_a_folder_of_pictures_becomes_a_model_that_knows_them(tmp_path):
    folder, out = pictures_in(tmp_path / "pictures"), tmp_path / "mine"
    command = ["train", "--images", folder, "--size", "8x12", "--epochs", 1, "--out", out]
    command += ["--set", "filters=[4]", "--set", "hidden_units=[4]"]
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert "12 pictures of 8 x 12, 3 channels; 1 left out.\n" in result.stdout
    assert result.stderr == f"Left out: {folder / 'broken.png'} is not a picture.\n"
    model = keras_vae.load(out)
    assert model.data_shape == (8, 12, 3)
    assert isinstance(model.likelihood, keras_vae.likelihoods.LearnedGaussian)
    assert model.likelihood.scale != 1  # what was learned is what was saved
    assert "from 96 numbers each; PCA with 9 components: " in result.stdout
    assert "epoch 1/1" not in run(*command).stdout  # finished: there is nothing to do again
    assert "epoch 2/2" in run(*command[:6], 2, *command[7:]).stdout
    (folder / "broken.png").unlink()
    assert "Left out" not in run(*command).output
    (folder / "0.jpg").unlink()
    assert "run of another plan (data changed)" in run(*command).stderr.replace("\n", " ")


def test_pictures_are_made_grey_or_binary_if_that_is_asked_for(tmp_path):
    folder = pictures_in(tmp_path / "pictures")
    options = ["--size", 8, "--channels", 1, "--likelihood", "bernoulli", "--epochs", 1]
    options += ["--factory", "mlp_vae", "--set", "hidden_units=[4]"]
    assert run("train", "--images", folder, "--out", tmp_path / "a", *options).exit_code == 0
    model = keras_vae.load(tmp_path / "a")
    assert model.data_shape == SHAPE
    assert isinstance(model.likelihood, keras_vae.likelihoods.Bernoulli)


def test_the_shell_completes_commands():
    words = {"COMP_WORDS": "keras-vae tra", "COMP_CWORD": "1"}
    asked = {"_KERAS_VAE_COMPLETE": "complete_bash", **words}
    result = CliRunner().invoke(cli.app, prog_name="keras-vae", env=asked)
    assert result.output.split() == ["traverse", "train"]


def test_interrupted_training_exits_with_130_and_the_same_command_goes_on(
    tmp_path, npz, monkeypatch
):
    out = tmp_path / "mine"
    command = ["train", "--factory", "mlp_vae", "--data", npz, "--out", out, *TRAIN]
    write = Checkpoints.write

    def write_and_stop(*arguments):
        write(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "write", write_and_stop)
    stopped = run(*command)
    assert stopped.exit_code == 130
    assert f"The last finished epoch is kept in {out / 'run'}\n" in stopped.stderr
    assert "Saved the model of epoch 1 of 1" in stopped.stdout
    assert keras_vae.load(out).data_shape == SHAPE
    monkeypatch.undo()

    resumed = run(*command)
    assert "epoch 1/2" not in resumed.stdout and "epoch 2/2" in resumed.stdout
    assert keras_vae.load(out).data_shape == SHAPE


def test_training_interrupted_before_an_epoch_keeps_nothing(tmp_path, npz, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "on_epoch_begin", stop)
    out = tmp_path / "mine"
    stopped = run("train", "--factory", "mlp_vae", "--data", npz, "--out", out, *TRAIN)
    assert stopped.exit_code == 130
    assert stopped.stderr == "Interrupted before the run was first saved: nothing is kept.\n"
    assert not out.exists()


@pytest.mark.parametrize("command", ["generate", "evaluate", "info"])
def test_an_interrupted_command_is_one_line_and_exit_130(folder, npz, monkeypatch, command):
    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_vae.hub.load", stop)
    monkeypatch.setattr("keras_vae.registry.info", stop)
    arguments = ["conv-mnist"] if command == "info" else [folder]
    result = run(command, *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "Interrupted.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--factory", "gan"], "Available: mlp_vae"),
        (["--likelihood", "poison"], "'poison'"),
        (["--set", "colour=red"], "'colour'"),
        (["--set", "filters=[0]"], "each of filters must be a whole number >= 1"),
        (["--latent-dim", -3], "latent_dim must be"),
        (["--size", "large"], "one number or HEIGHTxWIDTH"),
        (["--channels", 2], "1, 3 or 4 channels"),
        (["--out", "file/mine"], "Not a directory: file/mine"),
    ],
)
def test_wrong_arguments_are_refused_before_a_picture_is_read(here, monkeypatch, arguments, said):
    pictures_in(here / "pictures")
    (here / "file").write_text("")

    def fail(*_, **__):
        raise AssertionError("a picture was read")

    monkeypatch.setattr("keras_vae.data.pictures.read_each", fail)
    assert said in refused(run("train", "--images", "pictures", "--out", "mine", *arguments))
    assert sorted(path.name for path in here.iterdir()) == ["file", "pictures"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["generate", "--out", "a.jpg"], "must end in .png"),
        (["generate", "--out-dir", "file/a"], "Not a directory"),
        (["reconstruct", "--images", "x.npy", "--out", "none/a.png"], "No such folder"),
        (["interpolate", "--images", "none.npy"], "No such file: none.npy"),
        (["evaluate", "--images", "none"], "No such file: none"),
        (["encode", "--images", "x.npy", "--out", "a.png"], "ends in .npy"),
        (["decode", "none.npy"], "No such file: none.npy"),
    ],
)
def test_wrong_arguments_are_refused_before_a_model_is_loaded(here, monkeypatch, arguments, said):
    (here / "file").write_text("")
    np.save("x.npy", X)

    def fail(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("keras_vae.hub.load", fail)
    command, *options = arguments
    assert said in refused(run(command, "conv-mnist", *options))
    assert sorted(path.name for path in here.iterdir()) == ["file", "x.npy"]


def test_more_images_than_fit_in_a_picture_are_refused_before_they_are_made(folder, monkeypatch):
    monkeypatch.setattr(keras_vae.VAE, "sample_prior", None)
    assert "A picture may have 100,000,000 pixels" in refused(run("generate", folder, "--n", 10**9))


def test_reconstruct_reads_no_more_pictures_than_it_shows(here, folder, monkeypatch):
    for key in range(30):
        Image.fromarray(np.full((8, 8), key, "uint8")).save(here / f"{key:02d}.png")
    opened = []
    read = data.pictures._read
    monkeypatch.setattr(data.pictures, "_read", lambda *a: opened.append(a[0]) or read(*a))
    result = run("reconstruct", folder, "--images", here, "--n", 4, "--json")
    assert json.loads(result.stdout)["images"] == 4 == len(opened)
    assert sorted(opened) != sorted(here.glob("*.png"))[:4]


def test_an_option_that_the_factory_does_not_take_is_one_sentence(tmp_path, npz):
    options = ["--data", npz, "--out", tmp_path / "mine"]
    assert "latent_dim" in refused(run("train", "--factory", "vq_vae", "--latent-dim", 2, *options))
    assert "colour" in refused(
        run("train", "--factory", "mlp_vae", "--set", "colour=red", *options)
    )
    assert "Available: mlp_vae" in refused(run("train", "--factory", "gan", *options))
    assert not (tmp_path / "mine").exists()


def test_training_with_other_settings_in_the_same_folder_is_refused(tmp_path, npz):
    options = ["--factory", "mlp_vae", "--data", npz, "--out", tmp_path, "--epochs", 1]
    small = ["--set", "hidden_units=[4]", "--latent-dim", 2]
    assert run("train", *options, *small).exit_code == 0
    assert "another plan (beta changed)" in refused(run("train", *options, *small, "--beta", 2))
    np.savez(npz, x_train=X[::-1])
    assert "another plan" in refused(run("train", *options, *small))


def test_train_replaces_nothing_that_is_not_its_own(here, npz):
    options = ["--factory", "mlp_vae", "--data", npz, "--epochs", 1, "--latent-dim", 2]
    (here / "theirs").mkdir()
    for content in ('{"_class_name": "AutoencoderKL"}', '{"name": "my project"}', "not json"):
        (here / "theirs/config.json").write_text(content)
        result = run("train", *options, "--out", "theirs")
        assert "theirs/config.json was not written by keras_vae" in refused(result)
        assert (here / "theirs/config.json").read_text() == content
    result = run("train", *options, "--out", "conv-mnist")
    assert result.exit_code == 2 and "the name of a published model" in result.stderr
    for twice in (["--set", "latent_dim=8"], ["--beta", 1, "--set", "beta=2"]):
        result = run("train", *options, "--out", "mine", *twice)
        assert result.exit_code == 2 and "is given twice" in result.stderr
    assert sorted(path.name for path in here.iterdir()) == ["data.npz", "theirs"]


def test_a_data_set_is_not_taken_for_the_folder_of_its_name_in_silence(here):
    (here / "mnist").mkdir()
    result = run("train", "--data", "mnist", "--out", "conv-mnist")
    assert "Using the data set mnist. For the path, pass ./mnist" in result.stderr


def test_missing_training_data_is_one_sentence(tmp_path):
    options = ["--factory", "mlp_vae", "--out", tmp_path / "mine", "--data", tmp_path / "none.npz"]
    assert f"No such file: {tmp_path / 'none.npz'}" in refused(run("train", *options))


def test_an_unexpected_error_is_not_hidden(folder, monkeypatch):
    def broken(images):
        raise TypeError("a bug")

    monkeypatch.setattr(plots, "image_grid", broken)
    result = run("generate", folder)
    assert isinstance(result.exception, TypeError)


@pytest.mark.parametrize("command", [command.callback for command in cli.app.registered_commands])
def test_every_command_explains_itself_with_an_example(command):
    name = {"list_models": "list"}.get(command.__name__, command.__name__)
    shown = " ".join(run(name, "--help").stdout.split())
    assert f"Example: keras-vae {name} " in shown
    assert command.__doc__.splitlines()[0][:40] in shown


@pytest.mark.skipif(not keras_vae.list_models(), reason="no model is published yet")
def test_every_published_model_is_listed_and_explained():
    shown = run("list").stdout
    for name in keras_vae.registry.entries():
        assert name in shown
        assert keras_vae.info(name)["sha256"] in run("info", name).stdout


@pytest.mark.skipif(
    "conv-mnist" not in keras_vae.list_models(), reason="conv-mnist is not published"
)
def test_the_first_line_of_the_readme_draws_64_digits(here):
    result = run("generate", "conv-mnist", "--seed", 0)
    assert result.stdout == f"Wrote {here / 'conv-mnist-samples.png'}\n"
    images = keras_vae.load("conv-mnist").generate(64, seed=0)
    expected = as_saved(plots.image_grid(images, columns=8), here)
    np.testing.assert_array_equal(picture(here / "conv-mnist-samples.png"), expected)
