"""The command `keras-vae explore`, and the server of its --serve."""

import threading
import urllib.error
import urllib.request
import webbrowser
from http.server import ThreadingHTTPServer

import numpy as np
import pytest
from typer.testing import CliRunner

import keras_vae
from keras_vae import cli, data, explorer, registry

X = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), dtype="uint8")


def run(*arguments):
    return CliRunner().invoke(cli.app, ["explore", *map(str, arguments)])


def refused(result):
    assert result.exit_code == 1 and result.stdout == "", result.output
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1
    return result.stderr.strip()


@pytest.fixture(scope="module")
def folders(make, tmp_path_factory):
    """Folders of small models, by name."""
    places = {}
    for name, shape in (("mlp_vae", (8, 8, 1)), ("vq_vae", (8, 8, 1)), ("vectors", (6,))):
        model = make("mlp_vae" if name == "vectors" else name, shape)
        places[name] = tmp_path_factory.mktemp("models") / f"small-{name}"
        keras_vae.save_to_folder(model, places[name])
    return places


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_writes_the_page_of_a_model_by_default_beside_you(here, folders):
    result = run(folders["mlp_vae"])
    assert result.stdout == f"Wrote {here / 'small-mlp_vae-explorer.html'}\n"
    assert [path.name for path in here.iterdir()] == ["small-mlp_vae-explorer.html"]
    model = keras_vae.load(folders["mlp_vae"])
    page = (here / "small-mlp_vae-explorer.html").read_text()
    assert page == explorer.render(model, name="small-mlp_vae")


def test_images_of_a_file_are_those_that_are_shown(here, folders):
    np.savez("pictures.npz", x=X)
    assert run(folders["vq_vae"], "--images", "pictures.npz", "--out", "a.html").exit_code == 0
    expected = explorer.render(keras_vae.load(folders["vq_vae"]), X, name="small-vq_vae")
    assert (here / "a.html").read_text() == expected


def test_a_published_model_is_shown_its_own_test_images(here, folders, monkeypatch):
    entry = {"data": {"name": "mnist"}}
    model = keras_vae.load(folders["mlp_vae"])
    monkeypatch.setattr(registry, "entries", lambda: {"small": entry})
    monkeypatch.setattr("keras_vae.hub.load", {"small": model}.__getitem__)
    parts = data.Data(x_train=X[:1], x_validation=X[:1], x_test=X[1:])
    monkeypatch.setattr(data, "load", {"mnist": parts, "fashion-mnist": parts}.__getitem__)
    assert run("small").exit_code == 0
    own = (here / "small-explorer.html").read_text()
    assert own == explorer.render(model, X[1:], name="small")
    assert run("small", "--dataset", "fashion-mnist", "--out", "b.html").exit_code == 0
    assert (here / "b.html").read_text() == own


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["mlp-mnist", "--images", "x.npy", "--dataset", "mnist"],
        ["mlp-mnist", "--dataset", "cifar"],
        ["mlp-mnist", "--port", "8000"],
        ["mlp-mnist", "--serve", "--port", "0"],
        ["mlp-mnist", "--serve", "--port", "65536"],
    ],
)
def test_wrong_usage_is_exit_2(here, arguments):
    result = run(*arguments)
    assert result.exit_code == 2 and "Usage: " in result.stderr
    assert list(here.iterdir()) == []


def test_what_cannot_be_shown_is_one_sentence(here, folders):
    assert "Unknown model" in refused(run("none"))
    assert "give some, as x" in refused(run(folders["vq_vae"]))
    assert "shows images of shape" in refused(run(folders["vectors"]))
    missing = refused(run(folders["mlp_vae"], "--out", "none/a.html"))
    assert missing == f"Error: No such folder: {here / 'none'}. Make it first."
    for out in ("a.png", "a", "html"):
        assert "its path must end in .html" in refused(run(folders["mlp_vae"], "--out", out))
    assert list(here.iterdir()) == []


def test_served_it_is_on_this_machine_only_and_written_nowhere(here, folders, monkeypatch):
    seen = []

    def serve(server):
        seen.append(server.server_address)
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", serve)
    monkeypatch.setattr(webbrowser, "open", seen.append)
    result = run(folders["mlp_vae"], "--serve")
    assert result.exit_code == 0, result.output
    address, (host, port) = seen
    assert host == "127.0.0.1" and address == f"http://127.0.0.1:{port}/"
    assert result.stdout.startswith(f"Serving {address} to this machine only. Ctrl-C ends it.\n")
    assert list(here.iterdir()) == []
    assert run(folders["mlp_vae"], "--serve", "--out", "a.html").exit_code == 0
    assert (here / "a.html").is_file()


def test_the_server_answers_with_the_page_and_with_nothing_else():
    with explorer.server("<p>é</p>") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(f"{address}/") as answer:
            assert answer.read().decode() == "<p>é</p>"
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        with pytest.raises(urllib.error.HTTPError, match="404") as missing:
            urllib.request.urlopen(f"{address}/../config.json")
        missing.value.close()
        with pytest.raises(ValueError, match=f"Port {server.server_port} cannot be used.*none"):
            explorer.server("", server.server_port)
        server.shutdown()
        thread.join()
