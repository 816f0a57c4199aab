"""A Hub and a network that fail: each failure is named, and nothing damaged ever loads."""

import contextlib
import json

import loopback_hub
import pytest
from loopback_hub import cut, flip, page, redirect, stall, status
from loopback_routes import sha256

import keras_vae
from keras_vae import hub
from keras_vae.hub import WeightsError
from keras_vae.hub.folder import FILES

loopback, files, served = loopback_hub.loopback, loopback_hub.files, loopback_hub.served
MINE = "hf://me/mine"
WEIGHTS = "cdn GET"  # the only file that the CDN has


@pytest.fixture
def impatient(monkeypatch):
    """A `with` block in which the client waits for a fifth of a second, and no longer."""
    from huggingface_hub import constants

    @contextlib.contextmanager
    def impatient():
        with monkeypatch.context() as context:
            context.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
            context.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
            yield

    return impatient


@pytest.fixture
def refuse(loopback, files, tmp_path):
    """Asserts that the model is refused so, leaves nothing wrong behind, and loads afterwards."""

    def refuse(kind, sentence, within=contextlib.nullcontext):
        loopback.add("me/mine", files)
        with within(), pytest.raises(kind, match=sentence) as refusal:
            hub.download(MINE)
        assert type(refusal.value) is kind
        with pytest.raises(hub.OfflineError):
            keras_vae.load(MINE, local_files_only=True)
        # Some versions of the client keep what has come so far, to go on from there.
        left = {p for p in (tmp_path / "home").rglob("blobs/*") if p.suffix != ".incomplete"}
        assert {path.read_bytes() for path in left} <= set(files.values())
        loopback.faults.clear()
        loads(files)

    return refuse


def loads(files, source=MINE, **options):
    folder = hub.download(source, **options)
    assert {name: (folder / name).read_bytes() for name in FILES} == files
    return folder


@pytest.mark.parametrize("tenth", range(10))
def test_a_connection_that_is_cut_again_and_again_never_leaves_a_file(
    loopback, files, refuse, tenth
):
    place = len(files["model.weights.h5"]) * tenth // 10
    loopback.fail(WEIGHTS, cut(place))
    refuse(hub.HubError, "weights.h5 of hf://me/mine@main did not arrive whole.*Try again")


@pytest.mark.parametrize("tenth", range(10))
def test_a_connection_that_is_cut_once_is_taken_up_where_it_broke(
    loopback, files, tenth, monkeypatch
):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1)
    loopback.add("me/mine", files)
    place = len(files["model.weights.h5"]) * tenth // 10
    loopback.fail(WEIGHTS, cut(place), times=1)
    loads(files)
    again = [request.headers for request in loopback.requests if request.place == "cdn"][1]
    assert again.get("range") == (f"bytes={place}-" if place else None)


@pytest.mark.parametrize("file", FILES)
def test_one_wrong_byte_is_fetched_once_more(loopback, files, file):
    loopback.add("me/mine", files)
    loopback.fail(WEIGHTS if file == FILES[2] else f"hub GET.*{file}", flip(50), times=1)
    loads(files)


@pytest.mark.parametrize("file", FILES)
def test_one_wrong_byte_twice_is_refused_and_not_kept(loopback, refuse, file):
    loopback.fail(WEIGHTS if file == FILES[2] else f"hub GET.*{file}", flip(50))
    refuse(WeightsError, rf"{file} of hf://me/mine@main arrived damaged, twice: its hash is")


@pytest.mark.parametrize("file", FILES)
def test_a_page_instead_of_a_file_is_refused(loopback, refuse, file):
    pattern = WEIGHTS if file == FILES[2] else f"hub GET.*{file}"
    loopback.fail(pattern, page())
    refuse(hub.HubError, f"{file} of hf://me/mine@main did not arrive whole")


@pytest.mark.parametrize("file", FILES)
def test_a_page_of_the_size_of_the_file_is_refused(loopback, refuse, file):
    loopback.fail(WEIGHTS if file == FILES[2] else f"hub GET.*{file}", page(padded=True))
    refuse(WeightsError, f"{file} of hf://me/mine@main arrived damaged, twice")


def test_a_login_page_before_the_hub_is_no_hub(loopback, refuse):
    loopback.fail("hub HEAD", page())
    refuse(hub.HubError, "is not the Hub. A network's login page, a proxy or a wrong HF_ENDP")


ERRORS = {
    401: (hub.AccessError, r"refuses to show .* \(401\): the token is missing"),
    403: (hub.AccessError, r"refuses to show .* \(403\).*log in with `hf auth login`"),
    404: (hub.NotFoundError, r"has no .* of hf://me/mine@main \(404\)"),
    408: (hub.HubTimeoutError, "in time. Try again, or wait longer: set HF_HUB_DOWNLOAD_T"),
    416: (hub.HubError, "answered 416 for .*: the fault is there"),
    429: (hub.RateLimitError, r"Too many requests.*\(429\). Try again in some minutes"),
    500: (hub.HubError, "answered 500 for .*: the fault is there. Try again later"),
    503: (hub.HubError, "answered 503 for .*: the fault is there. Try again later"),
    504: (hub.HubTimeoutError, "did not send .* in time"),
}


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("request_", ("hub HEAD", "hub HEAD.*weights", "hub GET.*config", WEIGHTS))
def test_an_error_of_the_hub_is_told_as_what_it_is(loopback, refuse, request_, code):
    loopback.fail(request_, status(code))
    refuse(*ERRORS[code])


@pytest.mark.parametrize("told", ({"Retry_After": "120"}, {"RateLimit": '"api";r=0;t=120'}))
def test_who_asks_too_often_is_told_how_long_to_wait(loopback, refuse, told):
    loopback.fail("HEAD", status(429, **told))
    refuse(hub.RateLimitError, "Try again in 120 seconds")


@pytest.mark.parametrize(
    ("request_", "after"),
    (("hub HEAD", -1), ("hub HEAD.*weights", -1), ("hub GET.*config", 9), (WEIGHTS, 9)),
)
def test_a_stall_longer_than_the_timeout_is_an_error(loopback, refuse, impatient, request_, after):
    loopback.fail(request_, stall(after))
    sentence = "in time.*HF_HUB_ETAG_TIMEOUT, in seconds, to more than 0.2"
    refuse(hub.HubTimeoutError, sentence, impatient)


@pytest.mark.parametrize("endpoint", ("http://127.0.0.1:9", "huggingface.co", "hub://127.0.0.1"))
def test_a_hub_that_cannot_be_reached_says_how_to_prepare(loopback, monkeypatch, endpoint):
    constant = "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE"
    monkeypatch.setattr(constant, endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    sentence = "cannot be reached: .*run beforehand: keras-vae download hf://me/mine@main"
    with pytest.raises(hub.OfflineError, match=sentence):
        hub.download(MINE)


@pytest.mark.parametrize("request_", ("hub HEAD.*weights", "hub GET.*config", WEIGHTS))
@pytest.mark.parametrize("size", ("same", "other"))
def test_another_host_can_neither_change_a_file_nor_learn_the_token(
    loopback, files, refuse, request_, size
):
    asked_for = files["config.json" if "config" in request_ else "model.weights.h5"]
    loopback.strange = bytes(len(asked_for)) if size == "same" else b"strange"
    loopback.fail(request_, redirect(loopback.url("elsewhere") + "/x"))
    kind = WeightsError if size == "same" else hub.HubError
    with pytest.raises(kind, match="arrived damaged, twice|did not arrive whole"):
        loopback.add("me/mine", files)
        hub.download(MINE, token=loopback_hub.TOKEN)
    elsewhere = [request for request in loopback.requests if request.place == "elsewhere"]
    assert elsewhere and not any("authorization" in request.headers for request in elsewhere)
    refuse(kind, "arrived damaged, twice|did not arrive whole")


@pytest.mark.parametrize(
    ("request_", "fault"),
    (
        ("hub HEAD", status(503)),
        ("hub HEAD", cut()),
        ("hub HEAD.*metadata", stall()),
        (WEIGHTS, status(500)),
        (WEIGHTS, cut(1000)),
        (WEIGHTS, flip(9)),
    ),
)
def test_an_update_that_fails_is_an_error_and_leaves_the_earlier_copy(
    loopback, files, impatient, request_, fault
):
    old = loopback.add("me/mine", files)
    hub.download(MINE)
    changed = {**files, "model.weights.h5": files["model.weights.h5"] + b"\0"}
    told = json.loads(files["metadata.json"])
    told |= {"bytes": len(changed["model.weights.h5"]), "sha256": sha256(changed[FILES[2]])}
    changed["metadata.json"] = json.dumps(told).encode()
    new = loopback.repositories["me/mine"].commit(changed)
    loopback.fail(request_, fault)
    sentence = f"An earlier copy, of commit {old}, is in the cache: local_files_only=True loads it"
    kinds = (hub.HubError, WeightsError)
    with impatient(), pytest.raises(kinds, match=f"{sentence}|arrived damaged"):
        hub.download(MINE)
    assert keras_vae.load(MINE, local_files_only=True)
    loopback.faults.clear()
    assert loads(changed).name == new


def test_a_copy_that_the_disk_damaged_is_fetched_anew(loopback, files):
    commit = loopback.add("me/mine", files)
    for file in FILES:
        path = hub.download(MINE) / file
        path.write_bytes(flip(30)(loopback_hub.Answer(body=path.read_bytes())).body)
        with pytest.raises(WeightsError, match=f"{file} is damaged: its hash is.*While online"):
            hub.load(MINE, local_files_only=True)
        loads(files, f"{MINE}@{commit}")
