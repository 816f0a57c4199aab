"""Export: files of each format compute what the model does, and nothing else is let out."""

import dataclasses
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from own_kinds import Poisson, SquashedGrid, of_map, plain_autoencoder
from typer.testing import CliRunner

import keras_vae
from keras_vae import cli, hub
from keras_vae.exporting import FORMATS, formats
from keras_vae.exporting.export import replace_folder

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="export needs the TensorFlow backend"
)
SHAPES = {"mlp_vae": (5, 3, 2), "conv_vae": (7, 5, 3), "vq_vae": (10, 6, 3)}


def run_onnx(path, **inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs)))


def run_saved_model(path, **inputs):
    import tensorflow as tf

    loaded = tf.saved_model.load(path)
    outputs = loaded.signatures["serving_default"](**inputs)
    return {name: value.numpy() for name, value in outputs.items()}


def run_tflite(path, **inputs):
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(path).get_signature_runner()(**inputs)


RUN = {"onnx": run_onnx, "saved_model": run_saved_model, "tflite": run_tflite}


@pytest.fixture(params=sorted(FORMATS))
def format(request):
    """The name of each format whose packages are here."""
    for module in FORMATS[request.param].packages:
        pytest.importorskip(module)
    return request.param


@pytest.fixture(scope="module")
def small(make):
    """A model of two layers, as quick to export as there is."""
    return make("mlp_vae", (2, 2, 1), latent_dim=2, hidden_units=())


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


def runner(folder):
    """A function of a graph's name and its inputs that runs an export as its metadata says."""
    metadata = json.loads((folder / "metadata.json").read_text())

    def run(name, **inputs):
        path = str(folder / metadata["graphs"][name]["file"])
        return RUN[metadata["format"]](path, **inputs)

    return run


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
            np.testing.assert_allclose(encoded["mean"], code, atol=1e-5)
            _, log_var = model.latent.posterior(model.encoder(x))
            np.testing.assert_allclose(encoded["log_var"], log_var, atol=1e-5)
            image = run("decoder", z=code)["image"]
            noise = np.random.default_rng(n).standard_normal((n, 3), dtype="float32")
            generated = run("generator", noise=noise)["image"]
            np.testing.assert_allclose(generated, model.generate(n, seed=n), atol=1e-5)
        np.testing.assert_allclose(image, model.decode(code), atol=1e-5)


def run_onnx_by_position(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: x})


def run_tflite_by_position(path, x):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path)
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, x)
    interpreter.invoke()
    return [interpreter.get_tensor(of["index"]) for of in interpreter.get_output_details()]


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
    assert metadata["no_generator"] == "There is no trained prior over the codes to draw from."
    name, metadata = export(of_map(SquashedGrid(), 2))
    assert name == "codes" and metadata["prior"] == "uniform" and metadata["num_codes"] == 9
    assert "is no function of standard normal noise" in metadata["no_generator"]
    _, metadata = export(of_map(keras_vae.latents.PointLatent(), 2, Poisson()))
    assert metadata["preprocessing"].startswith("uint8 is cast; float32 of whole numbers from 0;")
    assert metadata["likelihood"] == "Poisson"


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
def test_a_prior_that_is_no_function_of_noise_has_no_generator_and_the_metadata_say_so(
    make, factory, prior, tmp_path
):
    model = make(factory, prior=prior)
    metadata = keras_vae.export(model, tmp_path / "out", "saved_model")
    assert list(metadata["graphs"]) == ["encoder", "decoder"]
    name = prior["name"] if prior else "uniform"
    reason = f"({name}) is no function of standard normal noise" if prior else "no trained prior"
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
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_weight_that_is_written_wrong_is_found_and_the_earlier_export_survives(
    small, format, part, tmp_path, monkeypatch
):
    keras_vae.export(small, tmp_path / "out", "saved_model")  # the quickest
    before = content(tmp_path / "out")
    form, weight = FORMATS[format], getattr(small, part).weights[0]

    def write_wrong(function, path):
        value = weight.numpy()
        weight.assign(value + 1e-3)
        form.write(function, path)
        weight.assign(value)

    wrong = dataclasses.replace(form, write=write_wrong)
    monkeypatch.setitem(FORMATS, format, wrong)
    with pytest.raises(ValueError, match=f"The exported {part} does not compute .* is allowed"):
        keras_vae.export(small, tmp_path / "out", format)
    assert content(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@needs_tensorflow
def test_a_file_that_its_runtime_cannot_read_is_refused_and_leaves_nothing(
    small, format, tmp_path, monkeypatch
):
    def write_damaged(function, path):
        path.write_bytes(b"damaged")

    wrong = dataclasses.replace(FORMATS[format], write=write_damaged)
    monkeypatch.setitem(FORMATS, format, wrong)
    with pytest.raises(ValueError, match=f"The encoder does not work as {format}: "):
        keras_vae.export(small, tmp_path / "out", format)
    assert list(tmp_path.iterdir()) == []


@needs_tensorflow
def test_outputs_of_another_kind_or_that_are_no_numbers_are_refused(small, tmp_path, monkeypatch):
    form = FORMATS["saved_model"]

    def refused(change, message):
        def read(path):
            run = form.read(path)
            return lambda **inputs: change(run(**inputs))

        monkeypatch.setitem(FORMATS, "saved_model", dataclasses.replace(form, read=read))
        with pytest.raises(ValueError, match=message):
            keras_vae.export(small, tmp_path / "out", "saved_model")

    refused(lambda outputs: {}, "does not return mean, ")
    refused(lambda outputs: {k: v[:1] for k, v in outputs.items()}, "does not return mean, ")
    refused(lambda outputs: {k: v.astype("float64") for k, v in outputs.items()}, "does not return")
    refused(lambda outputs: {k: v * np.nan for k, v in outputs.items()}, "differs by nan")


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


def test_an_unknown_format_gives_the_known_ones(small, tmp_path):
    with pytest.raises(ValueError, match="onnx, saved_model, tflite. Received: 'tflight'"):
        keras_vae.export(small, tmp_path / "out", "tflight")


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow exports")
def test_other_backends_say_which_one_exports(small, tmp_path):
    with pytest.raises(ValueError, match="needs KERAS_BACKEND=tensorflow"):
        keras_vae.export(small, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@needs_tensorflow
def test_missing_packages_are_named_with_the_command_that_installs_them(
    small, tmp_path, monkeypatch
):
    monkeypatch.setattr(formats, "_is_installed", lambda module: module == "onnx")
    rule = r"needs onnxruntime and tf2onnx, .* pip install 'keras-vae\[export\]'"
    with pytest.raises(ValueError, match=rule):
        keras_vae.export(small, tmp_path / "out", "onnx")


@needs_tensorflow
def test_a_model_that_is_not_built_or_not_in_float32_is_refused(make, tmp_path):
    networks = [keras.Sequential([keras.layers.Dense(4)]) for _ in range(2)]
    with pytest.raises(ValueError, match="not built"):
        keras_vae.export(keras_vae.VAE(*networks), tmp_path / "out", "saved_model")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make("mlp_vae")
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match="float32: .* Received: bfloat16"):
        keras_vae.export(model, tmp_path / "out", "saved_model")


@pytest.fixture
def folder(tmp_path):
    arguments = {"input_shape": [4, 4, 1], "latent_dim": 2, "hidden_units": []}
    model = hub.build({"factory": "mlp_vae", "arguments": arguments})
    keras_vae.save_to_folder(model, tmp_path / "small")
    return tmp_path / "small"


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


@needs_tensorflow
def test_the_command_exports_a_folders_model_and_says_where(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("export", folder, "--format", "saved_model")
    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()
    assert first.startswith("Read back by tensorflow: largest difference ")
    out = tmp_path / "small-saved_model"
    assert second == f"Wrote {out}: encoder, decoder, generator, metadata.json"
    assert json.loads((out / "metadata.json").read_text())["model"] == "small"
    noise = np.random.default_rng(1).standard_normal((2, 2), dtype="float32")
    expected = keras_vae.load(folder).generate(2, seed=1)
    image = runner(out)("generator", noise=noise)["image"]
    np.testing.assert_allclose(image, expected, atol=1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--format", "pickle"], "format must be one of onnx, saved_model, tflite."),
        (["--format", "saved_model", "--out", "none/out"], "none. Make it first."),
    ],
)
@needs_tensorflow
def test_a_wrong_option_is_one_sentence_and_exit_1(folder, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    result = run("export", folder, *options)
    assert result.exit_code == 1 and message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["small"]


@needs_tensorflow
def test_an_unknown_model_is_refused_by_its_name(tmp_path):
    result = run("export", "conv-mnits", "--format", "saved_model", "--out", tmp_path / "out")
    assert result.exit_code == 1 and "Unknown model 'conv-mnits'" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_without_a_model_is_wrong_usage():
    result = run("export")
    assert result.exit_code == 2 and "Usage: " in result.stderr
