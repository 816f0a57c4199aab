"""The README: its code runs, its figures are the registry's."""

import re
import shlex
from pathlib import Path

import keras
import loopback_hub
import numpy as np
import pytest
from conftest import on_default_backend
from PIL import Image
from test_cli import run

import keras_vae
from zoo.table import BEGIN, BEGIN_OTHERS, END, END_OTHERS, table, table_of_others

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    for line in block.splitlines()
]
# What a test adds: it has no hour, and no real data to reproduce a number with.
SHORTER = {"train": ["--epochs", "1"], "verify": ["--quick"]}
loopback, served = loopback_hub.loopback, loopback_hub.served


pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=")  # huggingface_hub 2.4 uploads


@pytest.fixture
def newcomer(tmp_path, monkeypatch, loopback):
    """An empty folder, small data sets, and an account on the Hub."""
    rng = np.random.default_rng(0)
    images = {
        f"x_{part}": rng.integers(0, 256, (16, 28, 28, 1), dtype="uint8")
        for part in ("train", "validation", "test")
    }
    load = keras_vae.data.load

    def load_small(name, **options):
        small = keras_vae.data.Data(**images)
        return small if name in keras_vae.data.DATASETS else load(name, **options)

    def load_random(name, **options):
        """Of others' autoencoders the architecture, since their weights are not here."""
        return keras_vae.tiny_autoencoder() if name == "taesd" else load_model(name, **options)

    load_model = keras_vae.load
    monkeypatch.setattr(keras_vae, "load", load_random)
    monkeypatch.setattr(keras_vae.hub, "load", load_random)
    pixels = rng.integers(0, 256, (600, 800, 3), dtype="uint8")
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    monkeypatch.setattr(keras_vae.data, "load", load_small)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", loopback_hub.TOKEN)
    monkeypatch.setitem(loopback.tokens, loopback_hub.TOKEN, {"name": "me", "orgs": []})
    return loopback


@pytest.mark.long
def test_the_code_of_the_readme_runs_as_it_stands(newcomer):
    assert len(BLOCKS) >= 8
    variables = {}
    for block in BLOCKS:
        exec(block, variables)
    assert variables["images"].shape == (16, 28, 28, 1)
    assert Path("mine.keras").is_file()
    assert "me/mine" in newcomer.repositories


@pytest.mark.long
@on_default_backend
def test_the_commands_of_the_readme_run_as_they_stand(newcomer):
    rng = np.random.default_rng(0)
    Path("pictures").mkdir()
    for key in range(6):
        pixels = rng.integers(0, 256, (*rng.integers(20, 40, 2), 3), dtype="uint8")
        Image.fromarray(pixels).save(f"pictures/{key}.png")
    np.savez("pictures.npz", x_train=rng.integers(0, 256, (8, 8, 8), dtype="uint8"))
    assert len(COMMANDS) >= 12
    for program, command, *options in COMMANDS:
        assert program == "keras-vae"
        if command == "export" and keras.backend.backend() != "tensorflow":
            continue
        result = run(command, *options, *SHORTER.get(command, []))
        assert result.exit_code == 0, (command, result.output)
    assert "me/my-model" in newcomer.repositories
    written = {path.name for path in Path().iterdir()}
    assert written >= {
        *("my-model-samples.png", "my-model-reconstructions.png", "my-model-explorer.html"),
        *("conv-mnist-explorer.html", "conv-mnist-saved_model", "another-model"),
    } - ({"conv-mnist-saved_model"} if keras.backend.backend() != "tensorflow" else set())


def test_the_table_of_models_is_that_of_the_registry():
    assert README.partition(BEGIN)[2].partition(END)[0] == table()
    assert README.partition(BEGIN_OTHERS)[2].partition(END_OTHERS)[0] == table_of_others()


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_a_link_of_the_readme_leads_to_a_file(link):
    assert (Path(__file__).parents[1] / link).is_file()
