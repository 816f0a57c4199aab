"""What is said of weights, and by them: entries, sizes, digests, fingerprints."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import weight_files

from keras_vae import hub
from keras_vae.files import sha256
from keras_vae.hub.fingerprint import check_fingerprint, fingerprint
from keras_vae.hub.folder import check_file, describe, read_metadata
from keras_vae.hub.formats import keras_h5

KERNEL, BIAS = weight_files.KERNEL, weight_files.BIAS
model, good, path = weight_files.model, weight_files.good, weight_files.path


@pytest.fixture
def entry(model, good):
    """The entry of the weights in `good`."""
    keras_h5.read(model, good)
    return describe(model, good)


def test_swapped_heads_are_caught_by_the_fingerprint(model, path, entry):
    def swapped(file, one, other):
        file[one][()], file[other][()] = file[other][()], file[one][()]

    def halves(file):  # mean and log_var
        for name in ("encoder/layers/dense_2/vars/0", "encoder/layers/dense_2/vars/1"):
            file[name][()] = np.roll(file[name][()], 3, axis=-1)

    def layers(file):
        swapped(file, "encoder/layers/dense_1/vars/0", "decoder/layers/dense_1/vars/0")

    def biases(file):
        swapped(file, "decoder/layers/dense/vars/1", "decoder/layers/dense_1/vars/1")

    def units(file):
        file[KERNEL][()] = file[KERNEL][()][:, ::-1]

    content = path.read_bytes()
    for swap in (halves, layers, biases, units):
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            swap(file)
        check_file(path, {**entry, "sha256": sha256(path)})
        keras_h5.read(model, path)
        with pytest.raises(hub.WeightsError, match="outputs of 'a model' are not the publi"):
            check_fingerprint(model, entry["fingerprint"], "a model")
    path.write_bytes(content)
    keras_h5.read(model, path)
    check_fingerprint(model, entry["fingerprint"], "a model")


def test_outputs_that_are_not_finite_are_no_fingerprint(model, path, entry):
    with h5py.File(path, "r+") as file:
        for name in (KERNEL, BIAS):
            file[name][()] = 3e38
    keras_h5.read(model, path)
    with pytest.raises(hub.WeightsError, match="(inf|nan) where"):
        check_fingerprint(model, entry["fingerprint"], "a model")


def test_metadata_are_refused_by_the_name_of_what_is_wrong(entry, tmp_path):
    def read(content):
        (tmp_path / "metadata.json").write_text(json.dumps(content))
        return read_metadata(tmp_path)

    assert read({**entry, "more": None}) == {**entry, "more": None}
    wrong = {
        "bytes": (0, -1, 1.0, "1", True, None, [1]),
        "sha256": (None, "", "0" * 63, "0" * 65, "g" * 64, "A" * 64, 0, ["0" * 64]),
        "fingerprint": (
            *(None, [], [0.0] * 7, [0.0] * 9, ["0"] * 8, [True] * 8, [float("nan")] * 8, 8),
            *([1.0] * 7 + [float("inf")], [10**400] * 8, "12345678"),
        ),
    }
    for key, values in wrong.items():
        for value in values:
            with pytest.raises(hub.WeightsError, match=f"metadata.json: '{key}' must be .*Receiv"):
                read({**entry, key: value})
        rest = {name: value for name, value in entry.items() if name != key}
        with pytest.raises(hub.WeightsError, match=f"'{key}' must be .*Received: None"):
            read(rest)


def test_a_fingerprint_of_another_length_is_refused(model, entry):
    with pytest.raises(hub.WeightsError, match="None where 0.0 was expected"):
        check_fingerprint(model, [*entry["fingerprint"], 0.0, 0.0], "x")


def test_a_wrong_size_or_digest_of_any_type_is_refused(good, entry):
    check_file(good, entry)
    for value in (None, "1", [], {}, -1, True):
        with pytest.raises(hub.WeightsError, match="bytes, not .* bytes"):
            check_file(good, {**entry, "bytes": value})
        with pytest.raises(hub.WeightsError, match="has .*, sha256 .*, not"):
            check_file(good, {**entry, "sha256": value})
    with pytest.raises(hub.WeightsError, match="are missing"):
        check_file(good.parent, entry)


@pytest.mark.long
@pytest.mark.parametrize("count", [2, 50])
def test_mutations_are_refused_or_load_with_the_same_fingerprint(tmp_path, count):
    command = [sys.executable, "-m", "tests.mutations", str(tmp_path), str(count)]
    run = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=900
    )
    tried = (tmp_path / "log").read_text().splitlines()
    assert run.returncode == 0, f"{tried[-1]}\n{run.stderr[-3000:]}"
    results = json.loads((tmp_path / "results.json").read_text())
    slowest = results.pop("slowest")
    of_weights = {key: number for key, number in results.items() if key.startswith("weights")}
    assert sum(of_weights.values()) == 13 * count
    assert sum(results.values()) - sum(of_weights.values()) == 10 * count
    for damage in ("a_cut", "inserted_bytes", "deleted_bytes", "many_flipped_bits"):
        assert results[f"weights, {damage}: refused"] >= 0.8 * count
    assert slowest < 60


def test_another_scale_of_the_likelihood_is_another_fingerprint(make):
    model = make("mlp_vae", likelihood="learned_gaussian")
    before = fingerprint(model)
    assert len(before) == 10  # four of the encoder, four of the decoder, two densities
    check_fingerprint(model, before, "a model")
    model.likelihood.tenth_of_log_var.assign_add(0.01)
    with pytest.raises(hub.WeightsError, match="not the published ones"):
        check_fingerprint(model, before, "a model")
