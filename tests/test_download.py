"""Models of the Hub: the real client, speaking to a Hub on the loopback address."""

import json

import loopback_hub
import numpy as np
import pytest
from loopback_hub import TOKEN
from loopback_routes import sha256

import keras_vae
from keras_vae import hub, registry
from keras_vae.hub import WeightsError
from keras_vae.hub.fingerprint import fingerprint
from keras_vae.hub.folder import FILES
from keras_vae.hub.place import Place
from keras_vae.layouts import LARGEST_JSON

loopback, files, served = loopback_hub.loopback, loopback_hub.files, loopback_hub.served
MINE = "hf://me/mine"


@pytest.fixture
def zoo(loopback, files, tmp_path, monkeypatch):
    """A registry of one published model, `small`, that is on the Hub: its entry and its folder."""
    folder = tmp_path / "pretrained"
    folder.mkdir()
    commit = loopback.add("keras-vae/small", files)
    entry = {**json.loads(files["config.json"]), **json.loads(files["metadata.json"])}
    entry |= {"file": "small.weights.h5", "repository": "keras-vae/small", "revision": commit}
    (folder / "small.weights.h5").write_bytes(files["model.weights.h5"])
    monkeypatch.setattr(registry, "PRETRAINED", folder)
    monkeypatch.setattr(registry, "entries", lambda: {"small": entry})
    return entry, folder


def other(files, **metadata):
    """The files of another model: the same, but for an unused byte at the end of the weights."""
    content = files["model.weights.h5"] + b"\0"
    told = json.loads(files["metadata.json"])
    told |= {"bytes": len(content), "sha256": sha256(content), **metadata}
    return {**files, "metadata.json": json.dumps(told).encode(), "model.weights.h5": content}


def test_a_model_of_the_hub_gives_the_outputs_it_was_saved_with(loopback, files):
    loopback.add("me/mine", {**files, "README.md": b"a card", "evil.py": b"raise SystemExit"})
    model = keras_vae.load(MINE)
    published = json.loads(files["metadata.json"])["fingerprint"]
    np.testing.assert_allclose(fingerprint(model), published, atol=1e-4)
    assert model.compiled and not keras_vae.load(MINE, compile=False).compiled
    asked = {request.rpartition("/")[2] for request in loopback.asked("^hub")}
    assert asked == set(FILES) and not loopback.asked("api")


def test_a_commit_in_the_cache_is_loaded_without_a_request(loopback, files):
    commit = loopback.add("me/mine", files)
    keras_vae.load(f"{MINE}@{commit}")
    loopback.requests.clear()
    keras_vae.load(f"{MINE}@{commit}")
    keras_vae.load(MINE, revision=commit)
    assert loopback.asked() == []


def test_a_branch_in_the_cache_is_looked_up_and_not_fetched_again(loopback, files):
    loopback.add("me/mine", files)
    folder = hub.download(MINE)
    loopback.requests.clear()
    assert hub.download(MINE) == folder
    assert loopback.asked() == ["hub HEAD /me/mine/resolve/main/config.json"]


def test_a_branch_that_moved_gives_its_new_commit_and_a_tag_its_own(loopback, files):
    old = loopback.add("me/mine", files)
    repository = loopback.repositories["me/mine"]
    repository.refs["v1.0"] = old
    assert hub.download(MINE).name == old
    new = repository.commit(other(files))
    assert hub.download(MINE).name == hub.download(MINE, revision="main").name == new
    assert hub.download(f"{MINE}@v1.0").name == old
    assert hub.load(f"{MINE}@v1.0", revision="v1.0", local_files_only=True)
    repository.refs["refs/pr/1"] = old
    assert hub.download(f"{MINE}@refs/pr/1").name == old


@pytest.mark.parametrize("moment", range(4))
def test_files_of_two_commits_are_never_mixed(loopback, files, moment):
    old = loopback.add("me/mine", files)
    waiting = [None] * moment

    def move(answer):
        if waiting:
            waiting.pop()
        elif len(loopback.repositories["me/mine"].commits) == 1:
            loopback.repositories["me/mine"].commit(other(files))
        return answer

    loopback.fail("^hub", move)
    folder = hub.download(MINE)
    assert folder.name == old
    assert {name: (folder / name).read_bytes() for name in FILES} == files


def test_a_hub_that_answers_with_another_commit_is_refused(loopback, files):
    commit = loopback.add("me/mine", files)
    lie = {"X-Repo-Commit": "0" * 40}
    loopback.fail("HEAD", lambda answer: answer.headers.update(lie))
    with pytest.raises(hub.HubError, match="answers with commit 0000"):
        hub.download(f"{MINE}@{commit}")


def test_offline_the_cache_is_used_and_nothing_is_asked(loopback, files, monkeypatch):
    commit = loopback.add("me/mine", files)
    sentence = f"{MINE}@main is not in the cache.*run: keras-vae download {MINE}@main"
    with pytest.raises(hub.OfflineError, match=sentence):
        keras_vae.load(MINE, local_files_only=True)
    assert loopback.asked() == []
    hub.download(MINE)
    loopback.requests.clear()
    keras_vae.load(MINE, local_files_only=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    keras_vae.load(MINE)
    keras_vae.load(f"{MINE}@{commit}")
    with pytest.raises(hub.OfflineError, match=r"hf://me/mine@v2 is not in the cache"):
        keras_vae.load(f"{MINE}@v2")
    assert loopback.asked() == []


def test_a_download_is_for_the_cache_that_load_is_given(loopback, files, tmp_path):
    loopback.add("me/mine", files)
    folder = hub.download(MINE, cache_dir=tmp_path / "other")
    assert folder.is_relative_to(tmp_path / "other")
    assert {path.name for path in folder.iterdir()} == set(FILES)
    keras_vae.load(MINE, cache_dir=str(tmp_path / "other"), local_files_only=True)
    keras_vae.load(folder)
    with pytest.raises(hub.OfflineError):
        keras_vae.load(MINE, local_files_only=True)


def test_the_token_goes_to_the_hub_and_nowhere_else(loopback, files):
    loopback.add("me/mine", files, private=True)
    hub.download(MINE, token=TOKEN)
    sent = {request.place: set() for request in loopback.requests}
    for request in loopback.requests:
        sent[request.place].add(request.headers.get("authorization"))
    assert sent == {"hub": {f"Bearer {TOKEN}"}, "cdn": {None}}


def test_a_stored_token_is_used_unless_it_is_not_wanted(loopback, files, tmp_path):
    loopback.add("me/mine", files, private=True)
    with pytest.raises(hub.AccessError, match="no token is stored here: log in with `hf"):
        hub.download(MINE, token=True)
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "token").write_text(TOKEN)
    with pytest.raises(hub.NotFoundError):
        hub.download(MINE, token=False)
    hub.download(MINE)
    assert hub.download(MINE, token=True)


def test_what_may_not_be_read_says_how_to_log_in(loopback, files):
    loopback.add("me/mine", files, private=True)
    loopback.add("me/gated", files, gated=True)
    private = "no model http.*/me/mine, or it is private.*`hf auth login`, or pass token="
    with pytest.raises(hub.NotFoundError, match=private):
        keras_vae.load(MINE)
    gated = "hf://me/gated@main is gated. Ask for access at http.*/me/gated, then log in"
    for token in (None, TOKEN):
        with pytest.raises(hub.AccessError, match=gated):
            keras_vae.load("hf://me/gated", token=token)
    with pytest.raises(hub.AccessError, match=r"\(401\): the token is missing, wrong"):
        keras_vae.load(MINE, token="hf_wrong")


def test_a_token_that_cannot_be_sent_is_refused_without_being_shown(loopback):
    for token in ("hf_secret\n", "", "hf secret", "hf_sécret"):
        with pytest.raises(ValueError, match="token must be") as refusal:
            keras_vae.load(MINE, token=token)
        assert "cret" not in str(refusal.value)
    assert "cret" not in repr(Place("me/mine", "main", token="hf_secret"))


def test_what_is_not_on_the_hub_is_named(loopback, files):
    loopback.add("me/mine", {"config.json": files["config.json"]})
    with pytest.raises(hub.NotFoundError, match="There is no model http.*/me/other,"):
        keras_vae.load("hf://me/other")
    with pytest.raises(hub.NotFoundError, match="mine has no revision 'v2'"):
        keras_vae.load(MINE, revision="v2")
    with pytest.raises(hub.NotFoundError, match=r"no metadata\.json: it is not a model of k"):
        keras_vae.load(MINE)


@pytest.mark.parametrize(
    "source",
    (
        *("hf://", "hf://mine", "hf:///mine", "hf://me/", "hf://me/mine/", "hf://me/mine/../x"),
        *("hf://me/../mine", "hf://../mine", "hf://me/..", "hf://./mine", "hf://me/mi ne"),
        *("hf://me/mine@", "hf://me/mine@a b", "hf://me/mine@../x", "hf://me/mine@a@b", "hf:me"),
        *(
            "hf://me/mine@/x",
            "hf://me/mine@x/",
            "hf://me/mine@-x",
            "hf://me/mine\n",
            "hf://me/a--b",
        ),
        *("hf://me/mine.git", "hf://me/mine?x", "hf://me/mine#x", "hf://mé/mine", "HF://me/mine"),
        *("hf:/me/mine", "https://huggingface.co/me/mine", f"hf://me/{'x' * 200}", "hf://me\\mine"),
    ),
)
def test_what_is_no_address_of_a_model_gets_the_rule(loopback, source):
    for take in (keras_vae.load, hub.download):
        with pytest.raises(ValueError, match="is 'hf://org/repo' or 'hf://org/repo@revision'"):
            take(source)
    assert loopback.asked() == []


def test_a_revision_is_given_once_and_is_one(loopback):
    with pytest.raises(ValueError, match="'hf://me/mine@a' names a revision, and .* another"):
        keras_vae.load(f"{MINE}@a", revision="b")
    for revision in ("", "a b", "../a", "a..b", "/a", "a/", "--upload", 3):
        with pytest.raises(ValueError, match="A revision is a branch, a tag or a commit"):
            keras_vae.load("conv-mnist", revision=revision)
        with pytest.raises(ValueError, match="A revision is a branch, a tag or a commit"):
            keras_vae.load(MINE, revision=revision)


@pytest.mark.parametrize("option", ({"revision": "v1"}, {"cache_dir": "x"}, {"token": TOKEN}))
def test_options_of_the_hub_are_refused_for_a_folder(tmp_path, files, option):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="are for models on the Hub.*is a folder"):
        keras_vae.load(tmp_path, **option)
    assert keras_vae.load(tmp_path, local_files_only=True)
    with pytest.raises(ValueError, match="there is nothing to download"):
        hub.download(tmp_path)


def test_a_file_that_is_too_large_is_not_downloaded(loopback, files):
    for file in ("config.json", "metadata.json"):
        loopback.add("me/mine", {**files, file: b" " * (LARGEST_JSON + 1)})
        with pytest.raises(
            WeightsError, match=f"{file} of .* was not downloaded: .* not 0 to {LARGEST_JSON}"
        ):
            keras_vae.load(MINE)
        assert not loopback.asked(f"GET.*{file}")
    loopback.add("me/mine", {**other(files), "metadata.json": files["metadata.json"]})
    with pytest.raises(WeightsError, match="was not downloaded: .* bytes, not"):
        keras_vae.load(MINE)
    assert not loopback.asked("cdn")


def test_weights_of_another_model_are_caught_by_the_fingerprint(loopback, files, tmp_path):
    config = json.loads(files["config.json"])
    model = hub.build(config)
    model.set_weights([value + 0.1 for value in model.get_weights()])
    keras_vae.save_to_folder(model, tmp_path)
    content = (tmp_path / "model.weights.h5").read_bytes()
    told = json.loads(files["metadata.json"])
    told |= {"bytes": len(content), "sha256": sha256(content)}
    changed = {"metadata.json": json.dumps(told).encode(), "model.weights.h5": content}
    loopback.add("me/mine", {**files, **changed})
    with pytest.raises(WeightsError, match="outputs of 'hf://me/mine' are not the published"):
        keras_vae.load(MINE)


def test_a_published_model_comes_from_the_package_without_a_request(loopback, zoo):
    assert keras_vae.load("small") and loopback.asked() == []


@pytest.mark.parametrize("damage", ("gone", "changed"))
def test_damaged_weights_of_the_package_are_replaced_by_the_hubs_with_a_warning(
    loopback, zoo, damage
):
    entry, folder = zoo
    path = folder / entry["file"]
    path.unlink() if damage == "gone" else path.write_bytes(bytes(entry["bytes"]))
    with pytest.warns(UserWarning, match=r"small\.weights\.h5.*Loading hf://keras-vae/small@"):
        model = keras_vae.load("small")
    np.testing.assert_allclose(fingerprint(model), entry["fingerprint"], atol=1e-4)
    loopback.requests.clear()
    with pytest.warns(UserWarning, match="Loading hf://keras-vae/small@"):
        keras_vae.load("small", local_files_only=True)
    assert loopback.asked() == []


def test_damaged_weights_of_a_model_that_is_not_on_the_hub_ask_for_the_package_anew(loopback, zoo):
    entry, folder = zoo
    entry["revision"] = None
    (folder / entry["file"]).unlink()
    sentence = "missing.*It is not on the Hub. Reinstall it: pip install --force"
    with pytest.raises(WeightsError, match=sentence):
        keras_vae.load("small")
    with pytest.raises(ValueError, match="'small' comes with this package: there is nothing to d"):
        hub.download("small")
    assert loopback.asked() == []


def test_offline_a_published_model_says_what_to_download(loopback, zoo):
    entry, folder = zoo
    (folder / entry["file"]).unlink()
    with (
        pytest.warns(UserWarning, match="Loading"),
        pytest.raises(
            hub.OfflineError, match="not in the cache.*keras-vae download hf://keras-vae/small@"
        ),
    ):
        keras_vae.load("small", local_files_only=True)
    assert hub.download("small").name == entry["revision"]
    with pytest.warns(UserWarning, match="Loading"):
        keras_vae.load("small", local_files_only=True)


def test_a_revision_of_a_published_model_is_of_the_published_weights(loopback, zoo, files):
    entry, _ = zoo
    assert keras_vae.load("small", revision="main")
    assert keras_vae.load("small", revision=entry["revision"], local_files_only=True)
    loopback.repositories["keras-vae/small"].commit(other(files), "next")
    sentence = r"@next does not hold the published weights.*load\('hf://keras-vae/small@next'\)"
    with pytest.raises(WeightsError, match=sentence):
        keras_vae.load("small", revision="next")
    assert not loopback.asked("next.*weights|cdn.*" + sha256(b""))
    assert keras_vae.load("hf://keras-vae/small@next")


def test_the_owner_of_the_repository_cannot_change_a_published_model(loopback, zoo, files):
    entry, folder = zoo
    (folder / entry["file"]).unlink()
    told = {**json.loads(files["metadata.json"]), "fingerprint": [0.0] * 8, "factory": "vq_vae"}
    changed = {"config.json": b'{"factory": "os.system", "arguments": {}}'}
    changed["metadata.json"] = json.dumps(told).encode()
    loopback.add("keras-vae/small", {**files, **changed})
    entry["revision"] = loopback.repositories["keras-vae/small"].refs["main"]
    with pytest.warns(UserWarning, match="Loading"):
        model = keras_vae.load("small")
    np.testing.assert_allclose(fingerprint(model), entry["fingerprint"], atol=1e-4)
