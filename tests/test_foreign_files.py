"""Files of other libraries, from anyone: every tensor is the model's, or the file is refused."""

import json
import re
import struct

import foreign_files
import ml_dtypes
import numpy as np
import pytest
from foreign_files import CONFIGS, WEIGHTS, config, header, renamed, sharded
from safetensors.numpy import save

import keras_vae
from keras_vae.hub import WeightsError, rules

KINDS = sorted(CONFIGS)


@pytest.fixture(scope="module")
def tensors():
    """The tensors of a small model of each class."""
    return {kind: foreign_files.tensors(kind) for kind in KINDS}


@pytest.fixture
def folder(tmp_path):
    """A function that writes files in the test's folder, in place of those there."""

    def write(files):
        for old in tmp_path.iterdir():
            old.unlink()
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        return tmp_path

    return write


@pytest.fixture
def refused(folder, monkeypatch):
    """Asserts that files are refused in one short sentence before there is memory for a model."""

    def refused(files, sentence, kind=WeightsError):
        folder(files)
        with monkeypatch.context() as context:
            context.setattr("keras_vae.hub.building._blank", lambda make: pytest.fail("was made"))
            with pytest.raises(kind, match=sentence) as refusal:
                keras_vae.load(folder(files))
        said = str(refusal.value)
        assert said.isprintable() and len(said) < 900

    return refused


def outputs(folder):
    model = keras_vae.load(folder, compile=False)
    x = np.random.default_rng(0).random((1, 4, 6, 3), dtype="float32")
    return np.concatenate([np.asarray(model.encoder(x)).ravel(), np.asarray(model(x)).ravel()])


def of(kind, tensors, **changes):
    return foreign_files.files(kind, tensors, **changes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_in_parts_of_any_order_gives_the_same_model(folder, tensors, kind):
    given = tensors[kind]
    whole, names = outputs(folder(of(kind, given))), sorted(given, reverse=True)
    half = len(names) // 2
    parts = sharded(given, names[half:], names[:half])
    got = outputs(folder({"config.json": of(kind, given)["config.json"], **parts}))
    np.testing.assert_array_equal(got, whole)


@pytest.mark.parametrize(
    ("kind", "name", "dtype"),
    [
        ("AutoencoderKL", "fp16.", "float16"),
        ("AutoencoderKL", "", ml_dtypes.bfloat16),
        ("AutoencoderTiny", "", "float16"),
        ("VQModel", "bf16.", ml_dtypes.bfloat16),
        ("VQModel", "", "float64"),
    ],
)
def test_other_floats_are_read_as_the_numbers_that_they_are(folder, tensors, kind, name, dtype):
    cast = {key: value.astype(dtype) for key, value in tensors[kind].items()}
    wanted = outputs(folder(of(kind, {k: v.astype("float32") for k, v in cast.items()})))
    files = of(kind, cast)
    files[WEIGHTS.replace("safetensors", f"{name}safetensors")] = files.pop(WEIGHTS)
    np.testing.assert_array_equal(outputs(folder(files)), wanted)


LDM = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
EARLY = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.mark.parametrize("kind", ["AutoencoderKL", "VQModel"])
@pytest.mark.parametrize("names", [LDM, EARLY])
def test_older_names_of_attention_are_known(folder, tensors, kind, names):
    whole = outputs(folder(of(kind, tensors[kind])))
    old = renamed(tensors[kind], names)
    assert len(set(old) - set(tensors[kind])) >= 16
    np.testing.assert_array_equal(outputs(folder(of(kind, old))), whole)


def test_a_tensor_under_two_names_is_refused(refused, tensors):
    given = tensors["AutoencoderKL"]
    name = next(name for name in given if name.endswith("to_q.weight"))
    refused(of("AutoencoderKL", {**given, **renamed(given, EARLY)}), "twice")
    old = {**renamed(given, EARLY), name: given[name]}
    refused(of("AutoencoderKL", old), "holds .*to_q.weight twice")


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_an_extra_or_a_misshapen_tensor_is_named(refused, tensors, kind):
    given = tensors[kind]
    for name in (list(given)[0], list(given)[-1]):
        less = {key: value for key, value in given.items() if key != name}
        refused(of(kind, less), f"The file has no {re.escape(name)}")
        shape = given[name].shape
        for wrong in ((*shape, 1), shape[::-1] if len(set(shape)) > 1 else (2, *shape), (0,)):
            tensor = np.zeros(wrong, "float32")
            refused(of(kind, {**given, name: tensor}), f"^{re.escape(name)} has shape")
    more = {**given, "decoder.lora.weight": np.zeros(2, "float32")}
    refused(of(kind, more), "The model has no decoder.lora.weight, which the file holds")


@pytest.mark.parametrize("shape", [(16, 4), (64,), (8, 8, 1), (1, 1, 8, 8)])
def test_a_matrix_of_attention_is_never_given_another_shape(refused, tensors, shape):
    given = tensors["AutoencoderKL"]
    name = "encoder.mid_block.attentions.0.to_q.weight"
    assert given[name].shape == (8, 8)
    refused(of("AutoencoderKL", {**given, name: given[name].reshape(shape)}), "to_q.weight has")
    bias = name.replace("weight", "bias")
    refused(of("AutoencoderKL", {**given, bias: given[bias].reshape(1, 8)}), "to_q.bias has shape")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_a_number_that_is_not_finite_is_refused(folder, tensors, value, dtype):
    given = {**tensors["VQModel"]}
    name = "decoder.conv_in.bias"
    with np.errstate(over="ignore"):
        given[name] = np.full(given[name].shape, value).astype(dtype)
    with pytest.raises(WeightsError, match=f"{name} holds 8 numbers not finite"):
        keras_vae.load(folder(of("VQModel", given)))


@pytest.mark.parametrize("dtype", ["int32", "int8", "bool", "uint8", "int64"])
def test_tensors_that_are_no_floats_are_refused(refused, tensors, dtype):
    name = "decoder.layers.0.bias"
    given = {**tensors["AutoencoderTiny"], name: np.ones(4, dtype)}
    refused(of("AutoencoderTiny", given), f"{name} holds .*Supported: BF16, F16, F32, F64")


def test_a_pickle_is_refused_in_one_sentence(refused, tensors):
    files = of("AutoencoderKL", tensors["AutoencoderKL"])
    content = files.pop(WEIGHTS)
    for name in ("diffusion_pytorch_model.bin", "pytorch_model.bin"):
        refused({**files, name: content}, "is a pickle, which can run any code")
    refused(files, "The weights are missing: there is no diffusion_pytorch_model.safetensors")


@pytest.mark.parametrize(
    "kind",
    ["AutoencoderKLFlux2", "AutoencoderDC", "UNet2DModel", "", None, ["VQModel"], 3, "x" * 999],
)
def test_another_class_is_refused_by_name_with_those_that_are_supported(refused, tensors, kind):
    files = of("VQModel", tensors["VQModel"], _class_name=kind)
    supported = "not supported. Supported: AutoencoderTiny, AutoencoderKL, VQModel"
    shown = f"'{kind}'" if isinstance(kind, str) and len(kind) < 30 else ""
    refused(files, f"models of class {shown}.*{supported}")


BAD_SETTINGS = [
    *(("AutoencoderKL", "some_new_setting", value) for value in (1, "x", [], {"a": [None]})),
    *(("AutoencoderKL", "act_fn", value) for value in ("relu", 3, ["silu"])),
    *(("AutoencoderKL", "latents_mean", value) for value in ([0.0], 0, "x")),
    *(("AutoencoderKL", "use_post_quant_conv", value) for value in (False, "yes", [])),
    *(
        ("AutoencoderKL", "down_block_types", value)
        for value in (["CrossAttnDownBlock2D"] * 2, [["x"], {}], "DownEncoderBlock2D", 3, [], {})
    ),
    ("AutoencoderKL", "up_block_types", ["UpDecoderBlock2D"]),
    ("AutoencoderKL", "up_block_types", ["UpDecoderBlock2D", "AttnUpDecoderBlock2D"]),
    *(
        ("AutoencoderKL", key, value)
        for key in ("layers_per_block", "norm_num_groups", "latent_channels", "in_channels")
        for value in ("2", 0, True, [1], {}, 10**400)
    ),
    *(
        ("AutoencoderKL", "block_out_channels", value)
        for value in ([4], [4, "8"], [4, -8], [3, 8], "48", {}, [], [[4, 8]], [2**40, 2**40])
    ),
    *(
        ("AutoencoderKL", "scaling_factor", value)
        for value in ("1", 0, [1], float("nan"), float("inf"), True, 10**400)
    ),
    *(("AutoencoderKL", "shift_factor", value) for value in ("1", [1], float("nan"), False)),
    *(
        ("VQModel", key, value)
        for key in ("num_vq_embeddings", "vq_embed_dim")
        for value in ("2", -1, 1.5, [1], 10**9)
    ),
    ("VQModel", "norm_type", "spatial"),
    *(
        ("AutoencoderTiny", key, value)
        for key in ("num_encoder_blocks", "encoder_block_out_channels", "latent_channels")
        for value in ("2", 0, [], [1], [1, "1"], {}, [10**9] * 2)
    ),
    *(("AutoencoderTiny", "upsampling_scaling_factor", value) for value in (3, "2", [2])),
    *(("AutoencoderTiny", "latent_magnitude", value) for value in (2, "3")),
    ("AutoencoderTiny", "upsample_fn", "bilinear"),
]


@pytest.mark.parametrize(
    ("kind", "key", "value"), BAD_SETTINGS, ids=map(str, range(len(BAD_SETTINGS)))
)
def test_a_config_that_says_anything_else_is_refused(refused, tensors, kind, key, value):
    refused(of(kind, tensors[kind], **{key: value}), ".", ValueError)


@pytest.mark.parametrize("key", ["block_out_channels", "latent_channels", "norm_num_groups"])
def test_a_config_that_leaves_out_what_its_file_needs_is_refused(refused, tensors, key):
    refused(of("AutoencoderKL", tensors["AutoencoderKL"], **{key: ...}), ".", ValueError)


def test_scale_and_shift_have_the_defaults_of_diffusers(folder, tensors):
    for absent in (..., None):
        changes = {"scaling_factor": absent, "shift_factor": absent}
        files = of("AutoencoderKL", tensors["AutoencoderKL"], **changes)
        model = keras_vae.load(folder(files), compile=False)
        assert (model.latent_scale, model.latent_shift) == (0.18215, 0.0)
    model = keras_vae.load(folder(of("AutoencoderKL", tensors["AutoencoderKL"])))
    assert (model.latent_scale, model.latent_shift) == (0.5, 0.25)
    assert float(model.beta) == pytest.approx(1e-6)


LIES = [
    ("AutoencoderKL", {"block_out_channels": [2**14, 2**15]}),
    ("AutoencoderKL", {"latent_channels": 2**20}),
    ("VQModel", {"num_vq_embeddings": 2**27}),
    ("VQModel", {"num_vq_embeddings": 2**24, "vq_embed_dim": 2**14}),
    (
        "AutoencoderTiny",
        {
            "encoder_block_out_channels": [2**15] * 2,
            "decoder_block_out_channels": [2**15] * 2,
            "block_out_channels": [2**15] * 2,
        },
    ),
]


@pytest.mark.parametrize(("kind", "changes"), LIES)
def test_a_config_that_lies_about_sizes_is_refused_before_memory_is_asked_for(
    refused, tensors, kind, changes
):
    refused(of(kind, tensors[kind], **changes), "has shape|has no|The model has no")


def test_a_config_of_many_layers_is_refused_before_they_are_made(refused, tensors, monkeypatch):
    many = {
        "block_out_channels": [4] * 32,
        "down_block_types": ["DownEncoderBlock2D"] * 32,
        "up_block_types": ["UpDecoderBlock2D"] * 32,
        "layers_per_block": 64,
    }
    monkeypatch.setattr(rules, "check_size", lambda *_: pytest.fail("layers were made"))
    refused(of("AutoencoderKL", tensors["AutoencoderKL"], **many), "layers", ValueError)
    many = {"num_encoder_blocks": [64] * 32, "num_decoder_blocks": [64] * 32}
    widths = {f"{side}block_out_channels": [4] * 32 for side in ("encoder_", "decoder_", "")}
    tiny = of("AutoencoderTiny", tensors["AutoencoderTiny"], **many, **widths)
    refused(tiny, "layers", ValueError)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 10**5, b" " * (2**20 + 1)])
def test_a_config_that_is_no_json_object_is_refused(refused, tensors, content):
    files = {**of("VQModel", tensors["VQModel"]), "config.json": content}
    refused(files, "config.json|holds no model", ValueError)


SOUND = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
HEADERS = [
    *(b"", b"\x02", struct.pack("<Q", 0), struct.pack("<Q", 2**63), struct.pack("<Q", 2**40)),
    struct.pack("<Q", 2**20 + 1) + b"{" + b" " * 2**20,
    *(header(b"{"), header(b"[]"), header(b"\xff\xff"), header(b"[" * 10**5), header(SOUND, b"4")),
    header(SOUND, b"x" * 9),
    header({"a": {**SOUND["a"], "data_offsets": [0, 2**62]}}, b"x" * 8),
    header({"a": {**SOUND["a"], "data_offsets": [8, 0]}}, b"x" * 8),
    header({"a": {**SOUND["a"], "data_offsets": [-8, 0]}}, b"x" * 8),
    header({"a": {**SOUND["a"], "shape": [2**62]}}, b"x" * 8),
    header({"a": {**SOUND["a"], "shape": [2**33, 2**33]}}, b"x" * 8),
    header({"a": SOUND["a"], "b": SOUND["a"]}, b"x" * 8),  # the same bytes twice
    header({"a": {**SOUND["a"], "dtype": "Q7\x1b[31m"}}, b"x" * 8),
    header({"a\x1b[31m\n": SOUND["a"]}, b"x" * 8),
    header({"a" * 10**5: SOUND["a"]}, b"x" * 8),
    header({str(i): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(9999)}),
]


@pytest.mark.parametrize("number", range(len(HEADERS)))
def test_a_header_of_a_stranger_is_read_with_care(refused, number):
    told = json.dumps(config("VQModel")).encode()
    refused({"config.json": told, WEIGHTS: HEADERS[number]}, ".")


INDEXES = [
    *(b"", b"{}", b"[]", b'{"weight_map": 3}', b'{"weight_map": []}', b'{"weight_map": {}}'),
    *(
        json.dumps({"weight_map": {"a": name}}).encode()
        for name in (
            *("../x.safetensors", "/tmp/x.safetensors", "a/x.safetensors", "x.bin", "", 3, None),
            *([], ["x.safetensors"], "..\\x.safetensors", "x\n.safetensors", "x\0.safetensors"),
            *(".safetensors", "..safetensors", "x" * 300 + ".safetensors", "~/x.safetensors"),
            *("absent.safetensors", f"{WEIGHTS}.index.json", "hf://a/x.safetensors"),
        )
    ),
    json.dumps({"weight_map": {str(i): f"{i}.safetensors" for i in range(999)}}).encode(),
    b" " * (2**20 + 1),
]


@pytest.mark.parametrize("number", range(len(INDEXES)))
def test_an_index_names_files_beside_it_and_no_others(refused, tensors, tmp_path, number):
    (tmp_path.parent / "x.safetensors").write_bytes(save(tensors["VQModel"]))
    told = json.dumps(config("VQModel")).encode()
    files = {"config.json": told, f"{WEIGHTS}.index.json": INDEXES[number]}
    refused(files, "index|missing|bytes allowed")


def test_a_tensor_in_two_files_is_refused(refused, tensors):
    given, names = tensors["VQModel"], sorted(tensors["VQModel"])
    parts = sharded(given, names[:5], names[4:])
    told = json.dumps(config("VQModel")).encode()
    refused({"config.json": told, **parts}, f"holds {names[4]}, as")
