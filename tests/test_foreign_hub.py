"""Autoencoders of other libraries on the Hub: pinned, proven, and offline once they are here."""

import json

import foreign_files
import loopback_hub
import numpy as np
import pytest
from foreign_files import WEIGHTS, sharded
from loopback_hub import TOKEN, flip
from loopback_routes import sha256

import keras_vae
from keras_vae import hub, registry

loopback, served = loopback_hub.loopback, loopback_hub.served
MINE = "hf://me/mine"
INDEX = f"{WEIGHTS}.index.json"


@pytest.fixture(scope="module")
def tensors():
    return foreign_files.tensors("VQModel")


@pytest.fixture(scope="module")
def files(tensors):
    """The two files of a small VQModel, by name."""
    return foreign_files.files("VQModel", tensors)


@pytest.fixture(scope="module")
def parts(files, tensors):
    """The same in two parts, with an index."""
    names = sorted(tensors)
    told = {"config.json": files["config.json"]}
    return told | sharded(tensors, names[:9], names[9:])


@pytest.fixture
def unlinked(monkeypatch):
    """A cache on a file system without symbolic links, or where they are turned off."""
    monkeypatch.setattr(
        "huggingface_hub.file_download.are_symlinks_supported", lambda *args, **kwargs: False
    )
    monkeypatch.setenv("HF_HUB_DISABLE_SYMLINKS", "1")


def below(folder, files):
    return {f"{folder}/{name}": content for name, content in files.items()}


def asked(loopback):
    return {request.split("/resolve/")[1].split("/", 1)[1] for request in loopback.asked("^hub")}


def same(folder, files):
    return {name: (folder / name).read_bytes() for name in files} == files


def test_a_repository_of_diffusers_loads_from_its_top_and_from_a_subfolder(
    loopback, files, tensors
):
    loopback.add("me/mine", {**files, **below("a/vae", files), "evil.py": b"raise SystemExit"})
    model = keras_vae.load(MINE)
    np.testing.assert_array_equal(
        np.asarray(model.latent.codebook.vectors), tensors["quantize.embedding.weight"]
    )
    assert asked(loopback) == set(files)
    loopback.requests.clear()
    assert hub.download(f"{MINE}/a/vae").parts[-2:] == ("a", "vae")
    assert asked(loopback) == set(below("a/vae", files))
    nested = keras_vae.load(f"{MINE}/a/vae@main", local_files_only=True)
    x = np.random.default_rng(0).random((1, 4, 6, 3), dtype="float32")
    np.testing.assert_array_equal(nested.encode(x), model.encode(x))


@pytest.mark.parametrize("name", [WEIGHTS, WEIGHTS.replace("safe", "fp16.safe"), INDEX])
@pytest.mark.parametrize("where", ["", "vae"])
def test_a_commit_in_the_cache_needs_no_request(loopback, files, parts, name, where, monkeypatch):
    given = parts if name == INDEX else {"config.json": files["config.json"], name: files[WEIGHTS]}
    commit = loopback.add("me/mine", below(where, given) if where else given)
    address = f"{MINE}/{where}".rstrip("/")
    folder = hub.download(f"{address}@{commit}")
    assert same(folder, given) and hub.download(address) == folder
    loopback.requests.clear()
    assert hub.download(f"{address}@{commit}") == folder
    assert loopback.asked() == []
    monkeypatch.setattr("keras_vae.hub.loading.build_blank", lambda *_: pytest.fail("far enough"))
    with pytest.raises(pytest.fail.Exception, match="far enough"):
        keras_vae.load(address, local_files_only=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert hub.download(address) == folder
    assert loopback.asked() == []


def test_without_a_connection_what_is_not_in_the_cache_is_not_asked_for(loopback, files, parts):
    loopback.add("me/mine", parts)
    for _ in range(2):
        with pytest.raises(hub.OfflineError, match="is not in the cache"):
            keras_vae.load(MINE, local_files_only=True)
        folder = hub.download(MINE)
        (folder / next(name for name in parts if name.endswith("safetensors"))).unlink()
        loopback.requests.clear()
    with pytest.raises(hub.OfflineError, match="is not in the cache"):
        keras_vae.load(MINE, local_files_only=True)
    assert loopback.asked() == []
    assert same(hub.download(MINE), parts)


@pytest.mark.parametrize("links", ["linked", "unlinked"])
@pytest.mark.parametrize("name", [WEIGHTS, WEIGHTS.replace("safe", "fp16.safe"), INDEX])
def test_a_wrong_byte_is_seen_by_the_hubs_own_sha256(
    request, loopback, files, parts, name, links, tmp_path
):
    if links == "unlinked":
        request.getfixturevalue("unlinked")
    given = parts if name == INDEX else {"config.json": files["config.json"], name: files[WEIGHTS]}
    loopback.add("me/mine", given)
    loopback.fail("cdn GET", flip(-5))
    with pytest.raises(hub.WeightsError, match="arrived damaged, twice: its hash is"):
        keras_vae.load(MINE)
    assert not list((tmp_path / "home").rglob("snapshots/*/*.safetensors"))
    loopback.faults.clear()
    folder = hub.download(MINE)
    assert same(folder, given) and hub.download(MINE) == folder
    assert links != "unlinked" or not any(path.is_symlink() for path in folder.iterdir())


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_part_is_named_and_nothing_else_is_taken_for_it(loopback, files, parts, missing):
    name = sorted(name for name in parts if name.endswith("safetensors"))[missing]
    given = {key: value for key, value in parts.items() if key != name}
    other = WEIGHTS.replace("safe", "fp16.safe")
    loopback.add("me/mine", {**given, other: files[WEIGHTS]})
    with pytest.raises(hub.NotFoundError, match=f"has no {name}"):
        keras_vae.load(MINE)
    assert not loopback.asked("fp16")


def test_files_of_any_size_are_not_downloaded(loopback, files, parts, monkeypatch):
    monkeypatch.setattr("keras_vae.hub.fetch.LARGEST_WEIGHTS", len(files[WEIGHTS]) - 1)
    loopback.add("me/mine", files)
    with pytest.raises(hub.WeightsError, match=f"{WEIGHTS} of .* was not downloaded"):
        keras_vae.load(MINE)
    both = sum(len(content) for name, content in parts.items() if name.endswith("safetensors"))
    monkeypatch.setattr("keras_vae.hub.fetch.LARGEST_WEIGHTS", both - 1)
    loopback.add("me/parts", parts)
    with pytest.raises(hub.WeightsError, match="00001-of-00002.* was not downloaded"):
        keras_vae.load("hf://me/parts")
    loopback.add("me/index", {**parts, INDEX: b" " * (2**20 + 1)})
    with pytest.raises(hub.WeightsError, match=f"{INDEX} of .* was not downloaded"):
        keras_vae.load("hf://me/index")
    tricks = json.dumps({"weight_map": {"a": "../../x.safetensors"}}).encode()
    loopback.add("me/tricks", {"config.json": parts["config.json"], INDEX: tricks})
    with pytest.raises(hub.WeightsError, match="must name 1 to 64 .safetensors files of its own"):
        keras_vae.load("hf://me/tricks")
    assert not loopback.asked("x.safetensors")


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "pytorch_model.bin"])
def test_a_pickle_is_not_even_downloaded(loopback, files, name):
    loopback.add("me/mine", {"config.json": files["config.json"], name: files[WEIGHTS]})
    with pytest.raises(hub.WeightsError, match=f"{name} of hf://me/mine@main is a pickle"):
        keras_vae.load(MINE)
    assert not loopback.asked("GET.*bin") and not loopback.asked("cdn")


def test_a_pipeline_says_where_its_autoencoder_is(loopback, files):
    loopback.add("me/mine", {"model_index.json": b"{}", **below("vae", files)})
    with pytest.raises(hub.NotFoundError, match="in a subfolder: hf://me/mine/vae"):
        keras_vae.load(MINE)
    with pytest.raises(hub.NotFoundError, match="mine/unet@main has no config.json"):
        keras_vae.load(f"{MINE}/unet")
    assert hub.download(f"{MINE}/vae")


@pytest.mark.parametrize(
    "subfolder",
    (
        *("..", "../x", "vae/..", "vae/../x", ".", "./vae", ".git", "vae//x", "/vae", "va e"),
        *("vae\\x", "vae?x", "vae#x", "vae%2e", "-x", "\u00e9", "x" * 99, "/".join("abcdefghi")),
    ),
)
def test_a_subfolder_is_plain_names(loopback, subfolder):
    with pytest.raises(ValueError, match="in a subfolder it is 'hf://org/repo/subfolder'"):
        keras_vae.load(f"{MINE}/{subfolder}")
    assert loopback.asked() == []


def test_a_gated_or_hidden_repository_says_so(loopback, files):
    loopback.add("me/gated", below("vae", files), gated=True)
    loopback.add("me/private", files, private=True)
    with pytest.raises(hub.AccessError, match="hf://me/gated/vae@main is gated. Ask for access"):
        keras_vae.load("hf://me/gated/vae")
    with pytest.raises(hub.NotFoundError, match="or it is private"):
        keras_vae.load("hf://me/private")
    assert hub.download("hf://me/private", token=TOKEN)


@pytest.fixture
def published(loopback, files, monkeypatch):
    """A registry entry, `tiny`, of a repository on the Hub."""
    commit = loopback.add("me/mine", below("vae", files))
    file = {"name": WEIGHTS, "bytes": len(files[WEIGHTS]), "sha256": sha256(files[WEIGHTS])}
    entry = {"repository": "me/mine", "revision": commit, "subfolder": "vae", "files": [file]}
    entry |= {"class": "VQModel", "fingerprint": None, "licence": "mit"}
    monkeypatch.setattr(registry, "autoencoders", lambda: {"tiny": entry})
    return entry


def test_a_name_of_the_registry_loads_the_bytes_that_it_names(loopback, published):
    assert keras_vae.load("tiny").compiled
    loopback.requests.clear()
    assert keras_vae.load("tiny", local_files_only=True, compile=False)
    assert keras_vae.hub.download("tiny").name == "vae" and loopback.asked() == []


@pytest.mark.parametrize("size", [True, False, None])
def test_other_bytes_under_a_name_of_the_registry_are_refused(loopback, files, published, size):
    content = bytearray(files[WEIGHTS]) + (b"" if size is not False else b"\0")
    content[-1] ^= 1
    loopback.repositories["me/mine"].commit(below("vae", {**files, WEIGHTS: bytes(content)}))
    published["files"][0]["bytes"] = published["files"][0]["bytes"] if size is not None else None
    sentence = "was not downloaded: .* bytes, not" if size is False else "arrived damaged, twice"
    with pytest.raises(hub.WeightsError, match=sentence):
        keras_vae.load("tiny", revision="main")
    published["revision"] = "main"
    with pytest.raises(hub.WeightsError, match=sentence):
        keras_vae.load("tiny")


def test_another_kind_of_model_under_a_name_of_the_registry_is_refused(
    loopback, files, published, monkeypatch
):
    ours = {"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": b""}
    loopback.repositories["me/mine"].commit(below("vae", ours))
    with pytest.raises(hub.WeightsError, match="does not hold the published model, but another"):
        keras_vae.load("tiny", revision="main")
    name = next(iter(registry.entries()))
    entry = {**registry.entries()[name], "repository": "me/other", "revision": None}
    monkeypatch.setattr(registry, "entries", lambda: {name: entry})
    loopback.add("me/other", files)
    with pytest.raises(hub.WeightsError, match="does not hold the published model, but another"):
        keras_vae.load(name, revision="main")


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Use 'content=")  # huggingface_hub 2.4 uploads
@pytest.mark.parametrize("kind", ["AutoencoderKL", "AutoencoderTiny"])
def test_an_autoencoder_is_fine_tuned_published_and_loaded_again(loopback, kind, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    loopback.add("me/theirs", foreign_files.files(kind))
    model = keras_vae.load("hf://me/theirs")
    channels = model.data_shape[-1]
    x = np.random.default_rng(0).random((2, 16, 16, channels), dtype="float32")
    before = model.decode(model.encode(x))
    model.encoder.trainable = False
    model.fit(x, verbose=0)
    codes, images = model.encode(x), model.reconstruct(x)
    assert np.abs(images - before).max() > 1e-4
    keras_vae.publish(model, "tester/mine", x=x, licence="mit")
    again = keras_vae.load("hf://tester/mine")
    np.testing.assert_array_equal(again.encode(x), codes)
    np.testing.assert_allclose(again.reconstruct(x), images, atol=1e-6)
    assert (again.latent_scale, again.latent_shift) == (model.latent_scale, model.latent_shift)
    assert again.reconstruct(np.zeros((1, 32, 8, channels), "float32")).shape == (
        1,
        32,
        8,
        channels,
    )
