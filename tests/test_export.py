"""Export: files of each format compute what the model does, and nothing else is let out."""

import json
import subprocess
import sys

import numpy as np
import pytest
from own_kinds import SquashedGrid, of_map, plain_autoencoder
from runtimes import content, needs_tensorflow, run_onnx_by_position, run_tflite_by_position, runner

import keras_vae
from keras_vae.exporting import FORMATS
from keras_vae.exporting.export import replace_folder

SHAPES = {"mlp_vae": (5, 3, 2), "conv_vae": (7, 5, 3), "vq_vae": (10, 6, 3)}


@pytest.fixture(scope="module")
def exported(make, tmp_path_factory):
    """A function of a factory and a format: a small model, its export's folder and metadata."""
    known = {}

    def exported(factory, format):
        if (factory, format) not in known:
            model = make(factory, SHAPES.get(factory, (8, 8, 1)))
            folder = tmp_path_factory.mktemp("exports") / "out"
            known[factory, format] = model, folder, keras_vae.export(model, folder, format)
        return known[factory, format]

    return exported


@needs_tensorflow
def test_an_export_computes_what_the_model_does_for_any_number_of_examples(
    exported, factory, format
):
    model, folder, _ = exported(factory, format)
    run = runner(folder)
    for n in (1, 3):
        x = np.random.default_rng(n).random((n, *model.data_shape), dtype="float32")
        code, encoded = model.encode(x), run("encoder", data=x)
        if model.latent.code_spec.num_codes:
            np.testing.assert_array_equal(encoded["codes"], code)
            image = run("decoder", codes=code)["image"]
        else:
            summary = model.latent.summary(model.encoder(x))
            np.testing.assert_allclose(encoded[next(iter(summary))], code, atol=1e-5)
            for name, value in summary.items():
                np.testing.assert_allclose(encoded[name], value, atol=1e-5)
            image = run("decoder", z=code)["image"]
            noise = np.random.default_rng(n).standard_normal(code.shape, dtype="float32")
            generated = run("generator", noise=noise)["image"]
            np.testing.assert_allclose(generated, model.generate(n, seed=n), atol=1e-5)
        np.testing.assert_allclose(image, model.decode(code), atol=1e-5)


@needs_tensorflow
@pytest.mark.parametrize(
    "format, run", [("onnx", run_onnx_by_position), ("tflite", run_tflite_by_position)]
)
def test_outputs_come_in_the_order_of_the_metadata(exported, format, run):
    for module in FORMATS[format].packages:
        pytest.importorskip(module)
    model, folder, metadata = exported("mlp_vae", format)
    x = np.random.default_rng(0).random((2, *model.data_shape), dtype="float32")
    graph = metadata["graphs"]["encoder"]
    assert list(graph["outputs"]) == ["mean", "log_var"]
    got = run(str(folder / graph["file"]), x)
    for value, expected in zip(got, model.latent.posterior(model.encoder(x)), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)


@needs_tensorflow
def test_other_kinds_of_latents_and_likelihoods_are_exported_by_what_they_declare(tmp_path):
    x = np.random.default_rng(0).integers(2, size=(3, 8, 8, 1)).astype("float32")

    def export(model, **inputs):
        metadata = keras_vae.export(model, tmp_path / "out", "saved_model")
        (name,) = metadata["graphs"]["encoder"]["outputs"]
        run, code = runner(tmp_path / "out"), model.encode(x)
        np.testing.assert_allclose(run("encoder", data=x)[name], code, atol=1e-5)
        image = run("decoder", **{name: code})["image"]
        np.testing.assert_allclose(image, model.decode(code), atol=1e-5)
        assert list(metadata["graphs"]) == ["encoder", "decoder"]
        return name, metadata

    name, metadata = export(plain_autoencoder())
    assert name == "z" and metadata["prior"] is None and "num_codes" not in metadata
    assert metadata["no_generator"].startswith("A plain autoencoder (PointLatent) has no prior")
    name, metadata = export(of_map(SquashedGrid(), 2))
    assert name == "codes" and metadata["prior"] == "uniform" and metadata["num_codes"] == 9
    assert "cannot be sampled by transforming standard normal noise" in metadata["no_generator"]
    _, metadata = export(of_map(keras_vae.latents.PointLatent(), 2, "poisson"))
    assert metadata["preprocessing"].startswith("uint8 is cast; float32 of whole numbers from 0;")
    assert metadata["likelihood"] == "poisson"


@needs_tensorflow
def test_a_model_of_any_size_is_refused(tmp_path):
    model = of_map(keras_vae.latents.PointLatent(), 2, size=None)
    with pytest.raises(ValueError, match=r"takes a model of one size.*\(None, None, 1\)"):
        keras_vae.export(model, tmp_path / "out", "saved_model")
    assert list(tmp_path.iterdir()) == []


@needs_tensorflow
def test_noise_goes_through_a_flow_to_the_images_that_the_model_generates(make, format, tmp_path):
    prior = {"name": "realnvp", "couplings": 2, "hidden_units": [4]}
    model = make("mlp_vae", (4, 4, 1), prior=prior, likelihood="gaussian")
    rng = np.random.default_rng(0)
    for weight in model.latent.prior.weights:  # a new flow is the identity
        weight.assign(rng.normal(size=weight.shape))
    keras_vae.export(model, tmp_path / "out", format)
    noise = np.random.default_rng(5).standard_normal((4, 3), dtype="float32")
    assert np.abs(model.generate(4, seed=5) - model.decode(noise)).max() > 0.1
    image = runner(tmp_path / "out")("generator", noise=noise)["image"]
    np.testing.assert_allclose(image, model.generate(4, seed=5), rtol=1e-4, atol=1e-4)


@needs_tensorflow
@pytest.mark.parametrize(
    "factory, prior",
    [
        ("mlp_vae", {"name": "mixture", "components": 2}),
        ("mlp_vae", {"name": "vamp", "components": 2}),
        ("vq_vae", None),
        ("vq_vae", {"name": "transformer", "width": 4, "blocks": 1, "heads": 1}),
    ],
)
def test_a_prior_that_noise_cannot_sample_has_no_generator_and_the_metadata_say_so(
    make, factory, prior, tmp_path
):
    model = make(factory, prior=prior)
    metadata = keras_vae.export(model, tmp_path / "out", "saved_model")
    assert list(metadata["graphs"]) == ["encoder", "decoder"]
    name = prior["name"] if prior else "uniform"
    reason = (
        f"({name}) cannot be sampled by transforming standard normal noise"
        if prior
        else "from a trained prior"
    )
    assert metadata["prior"] == name and reason in metadata["no_generator"]
    assert not (tmp_path / "out" / "generator").exists()
    assert metadata.get("num_codes") == (8 if factory == "vq_vae" else None)


@needs_tensorflow
def test_another_runtime_can_test_itself_with_the_example_of_the_metadata(exported, format):
    _, folder, metadata = exported("mlp_vae", format)
    assert metadata == json.loads((folder / "metadata.json").read_text())
    assert metadata["graphs"]["encoder"]["inputs"] == {
        "data": {"shape": ["n", 5, 3, 2], "dtype": "float32"}
    }
    assert metadata["prior"] == "normal" and metadata["likelihood"] == "bernoulli"
    assert "[0, 1]" in metadata["preprocessing"] and metadata["data_shape"] == [5, 3, 2]
    assert 0 <= metadata["self_test"]["largest_difference"] < 1e-4
    for name, graph in metadata["graphs"].items():
        example = metadata["self_test"][name]
        inputs = {
            key: np.array(example["inputs"][key], spec["dtype"]).reshape(1, *spec["shape"][1:])
            for key, spec in graph["inputs"].items()
        }
        outputs = runner(folder)(name, **inputs)
        assert sorted(outputs) == sorted(graph["outputs"])
        for key, value in outputs.items():
            assert graph["outputs"][key] == {
                "shape": ["n", *value.shape[1:]],
                "dtype": str(value.dtype),
            }
            np.testing.assert_allclose(value.ravel(), example["outputs"][key], atol=1e-5)


@needs_tensorflow
@pytest.mark.parametrize("factory", ["mlp_vae", "vq_vae"])
def test_the_metadata_say_how_to_call_every_graph(exported, factory, format, monkeypatch):
    """Its lines of Python are run as they stand, in the folder of the export."""
    _, folder, metadata = exported(factory, format)
    monkeypatch.chdir(folder)
    for name, graph in metadata["graphs"].items():
        example, (input, spec) = metadata["self_test"][name], *graph["inputs"].items()
        data = np.array(example["inputs"][input], spec["dtype"]).reshape(1, *spec["shape"][1:])
        found = {input: data}
        exec("\n".join(graph["call"]), found)
        for key, value in example["outputs"].items():
            np.testing.assert_allclose(found[key].ravel(), value, atol=1e-5)
        assert list(graph["meaning"]) == [input, *graph["outputs"]]
    if "generator" in metadata["graphs"]:
        assert "N(0, 1)" in metadata["graphs"]["generator"]["meaning"]["noise"]


@needs_tensorflow
def test_the_metadata_file_is_readable(exported, format):
    lines = (exported("mlp_vae", format)[1] / "metadata.json").read_text().splitlines()
    assert '          "shape": ["n", 5, 3, 2],' in lines
    place = lines.index('  "self_test": {')
    assert len(lines) - place == 8 and max(map(len, lines[:place])) < 220


@needs_tensorflow
def test_onnx_files_run_in_a_process_without_keras(exported):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    model, folder, _ = exported("mlp_vae", "onnx")
    code = (
        "import sys, numpy as np, onnxruntime\n"
        "session = onnxruntime.InferenceSession(sys.argv[1])\n"
        "print(session.run(['image'], {'z': np.ones((1, 3), 'float32')})[0].ravel().tolist())\n"
        "assert not {'keras', 'keras_vae', 'tensorflow'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-c", code, folder / "decoder.onnx"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    image = model.decode(np.ones((1, 3), "float32"))
    np.testing.assert_allclose(json.loads(printed), image.ravel(), atol=1e-6)


@needs_tensorflow
def test_an_export_replaces_an_earlier_one_as_a_whole_but_nothing_else(make, tmp_path):
    out, small = tmp_path / "out", make("mlp_vae", (2, 2, 1), latent_dim=2, hidden_units=())
    keras_vae.export(small, out, "saved_model")
    before = content(out)
    small.set_weights([w + 1 for w in small.get_weights()])
    keras_vae.export(small, str(out), "saved_model")
    assert content(out) != before and content(out).keys() == before.keys()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="It holds: notes.txt"):
        keras_vae.export(small, out, "saved_model")
    keras_vae.save_to_folder(small, tmp_path / "model")
    with pytest.raises(ValueError, match="earlier export.* It holds: config.json, metadata.json"):
        keras_vae.export(small, tmp_path / "model", "saved_model")
    with pytest.raises(ValueError, match="must be a folder, or not there"):
        keras_vae.export(small, out / "notes.txt", "saved_model")
    with pytest.raises(FileNotFoundError, match="No such folder: .*none. Make it first"):
        keras_vae.export(small, tmp_path / "none" / "out", "saved_model")


def test_a_folder_that_cannot_be_put_in_place_leaves_the_earlier_one(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("earlier")
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "none", tmp_path / "out")
    assert content(tmp_path) == {"a": b"earlier"}
