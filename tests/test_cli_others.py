"""Commands with autoencoders that others published, and with models of any size."""

import json

import matplotlib.image
import numpy as np
import pytest
from PIL import Image
from test_cli import refused, run

import keras_vae
from keras_vae import hub, registry
from keras_vae.hub.fingerprint import fingerprint


@pytest.fixture
def tiny(make, monkeypatch):
    """A small model, loaded by the name taesd, whose weights are on the Hub only."""
    model = make("tiny_autoencoder", (None, None, 3))
    load = hub.load
    monkeypatch.setattr(
        hub, "load", lambda name, **k: model if name == "taesd" else load(name, **k)
    )
    return model


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for key in range(3):
        pixels = rng.integers(0, 256, (24, 40, 3), dtype="uint8")
        Image.fromarray(pixels).save(folder / f"{key}.png")
    return folder


def test_list_shows_them_in_a_table_of_their_own():
    shown = run("list").stdout
    ours, others = shown.index("conv-mnist"), shown.index("sd-vae-ft-mse")
    assert ours < shown.index("autoencoder ") < others
    only = run("list", "tae*").stdout
    assert "taef1" in only and "ELBO" not in only
    entries = {entry["name"]: entry for entry in json.loads(run("list", "--json").stdout)}
    assert entries["taesd"]["fingerprint"] is None
    assert entries["taesd"]["files"][0]["bytes"] == 9_793_292


def test_info_names_the_file_its_hash_and_the_authors_figures():
    shown = run("info", "sd-vae-ft-mse").stdout
    assert "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815" in shown
    assert "COCO 2017" in shown and "source: huggingface.co" in shown
    assert "not known yet: keras-vae verify sd-vae-ft-mse" in shown
    assert "size unknown" in run("info", "taef1").stdout


def test_the_entries_are_whole():
    for name, entry in registry.autoencoders().items():
        assert name not in registry.entries()
        assert all(len(file["sha256"]) == 64 for file in entry["files"]), name
        assert entry["revision"] == "main" or len(entry["revision"]) == 40, name
        assert {"class", "codes", "use", "licence", "parameters"} <= set(entry), name
        assert set(entry.get("figures", {"source": ""})) >= {"source"}, name


def test_verify_prints_a_fingerprint_where_none_is_known(tiny):
    result = run("verify", "taesd", "--quick")
    assert result.exit_code == 0, result.output
    assert "No one has computed a fingerprint of taesd before" in result.stdout
    printed = json.loads(result.stdout[result.stdout.rindex("[") :])
    assert printed == pytest.approx(fingerprint(tiny))
    rows = json.loads(run("verify", "taesd", "--quick", "--json").stdout)
    assert all(row["published"] is None and row["pass"] is None for row in rows)


def test_verify_compares_with_a_fingerprint_once_it_is_known(tiny, monkeypatch):
    known, entry = registry.autoencoders(), registry.autoencoders()["taesd"]
    for shift, code in ((0.0, 0), (1.0, 1)):
        entry = {**entry, "fingerprint": [number + shift for number in fingerprint(tiny)]}
        monkeypatch.setattr(registry, "autoencoders", lambda e=entry: {**known, "taesd": e})
        assert run("verify", "taesd").exit_code == code


@pytest.mark.parametrize("size", [None, "16x24"])
def test_photographs_are_reconstructed_at_256_or_the_size_asked_for(
    tiny, photos, tmp_path, monkeypatch, size
):
    seen = []
    reconstruct = type(tiny).reconstruct
    monkeypatch.setattr(
        type(tiny), "reconstruct", lambda self, x: seen.append(x.shape) or reconstruct(self, x)
    )
    options = () if size is None else ("--size", size)
    out = tmp_path / "out.png"
    result = run("reconstruct", "taesd", "--images", photos, "--out", out, *options)
    assert result.exit_code == 0, result.output
    assert seen == [(3, 256, 256, 3) if size is None else (3, 16, 24, 3)]
    assert out.is_file()


def test_codes_of_photographs_go_to_a_file_and_back(tiny, photos, tmp_path):
    codes, out = tmp_path / "codes.npy", tmp_path / "back"
    result = run("encode", "taesd", "--images", photos, "--size", "16x24", "--out", codes)
    assert result.exit_code == 0, result.output
    assert np.load(codes).shape == (3, 8, 12, 2)
    assert run("decode", "taesd", codes, "--out-dir", out).exit_code == 0
    shapes = {matplotlib.image.imread(path).shape[:2] for path in out.iterdir()}
    assert shapes == {(16, 24)}


def test_a_model_of_one_size_takes_no_other(tmp_path, make, photos):
    keras_vae.save_to_folder(make("conv_vae", (8, 8, 3)), tmp_path / "small")
    message = refused(
        run("reconstruct", tmp_path / "small", "--images", photos, "--size", "16", "--out", "x.png")
    )
    assert "takes images of 8 x 8 only" in message


def test_commands_encode_and_measure_signals_and_draw_none(tmp_path, make, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = make("conv_vae", (16, 2), likelihood="gaussian")
    keras_vae.save_to_folder(model, "small")
    x = np.random.default_rng(0).normal(size=(5, 16, 2)).astype("float32")
    np.save("x.npy", x)
    assert run("encode", "small", "--images", "x.npy", "--out", "codes.npy").exit_code == 0
    np.testing.assert_allclose(np.load("codes.npy"), model.encode(x), atol=1e-6)
    result = run("evaluate", "small", "--images", "x.npy", "-k", "2", "--json")
    assert json.loads(result.stdout)["mse"] == pytest.approx(
        np.mean((x - model.reconstruct(x)) ** 2), rel=1e-5
    )
    before = sorted(tmp_path.rglob("*"))
    for command in (
        *(["generate", "small"], ["generate", "small", "--out-dir", "each"]),
        *(["decode", "small", "codes.npy"], ["decode", "small", "codes.npy", "--out-dir", "each"]),
        *([command, "small", "--images", "x.npy"] for command in ("reconstruct", "traverse")),
    ):
        assert "data are not images, (height, width, channels): shape (16, 2)." in refused(
            run(*command)
        )
    assert "shows images" in refused(run("explore", "small", "--images", "x.npy"))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_model_of_any_size_is_exported_at_one(tmp_path, make):
    keras_vae.save_to_folder(make("tiny_autoencoder", (None, None, 3)), tmp_path / "any")
    assert "--size" in refused(run("export", tmp_path / "any", "--format", "saved_model"))
    out = tmp_path / "out"
    options = ("--format", "saved_model", "--out", out, "--size", "16")
    result = run("export", tmp_path / "any", *options)
    assert result.exit_code == 0, result.output
    assert json.loads((out / "metadata.json").read_text())["data_shape"] == [16, 16, 3]
