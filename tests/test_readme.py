"""The README: its code runs, its figures are the registry's."""

import re
from pathlib import Path

import loopback_hub
import numpy as np
import pytest

import keras_vae
from zoo.table import BEGIN, END, table

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
loopback, served = loopback_hub.loopback, loopback_hub.served


@pytest.mark.filterwarnings("ignore:Use 'content=")  # huggingface_hub 2.4 uploads
def test_the_code_of_the_readme_runs_as_it_stands(tmp_path, monkeypatch, loopback):
    rng = np.random.default_rng(0)
    images = {
        f"x_{part}": rng.integers(0, 256, (128, 28, 28, 1), dtype="uint8")
        for part in ("train", "validation", "test")
    }
    monkeypatch.setattr(keras_vae.data, "load", lambda name: keras_vae.data.Data(**images))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", loopback_hub.TOKEN)
    monkeypatch.setitem(loopback.tokens, loopback_hub.TOKEN, {"name": "me", "orgs": []})
    assert len(BLOCKS) >= 4
    variables = {}
    for block in BLOCKS:
        exec(block, variables)
    assert variables["images"].shape == (16, 28, 28, 1)
    assert Path("mine.keras").is_file()
    assert "me/mine" in loopback.repositories


def test_the_table_of_models_is_that_of_the_registry():
    assert README.partition(BEGIN)[2].partition(END)[0] == table()


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_a_link_of_the_readme_leads_to_a_file(link):
    assert (Path(__file__).parents[1] / link).is_file()
