"""A Hugging Face Hub on the loopback address, for the real huggingface_hub client to talk to.

It keeps repositories in memory, serves large files from another port as the Hub does from its CDN,
takes commits, notes every request, and can be told to fail. A test file takes the fixture with
`loopback = loopback_hub.loopback`; a client in another process needs `environment(hub, home)`.
Uploads need `TOKEN`, and in huggingface_hub 2.4 a filter of its warning, `ignore:Use 'content=`.
"""

import contextlib
import dataclasses
import re
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest
from loopback_routes import Answer, Repository, api, cdn, elsewhere, serve_range

TOKEN = "hf_loopback"


@pytest.fixture(scope="session")
def served():
    """The server behind `loopback`: one for all tests, since the client is slow to start anew."""
    from huggingface_hub.utils import close_session

    close_session()  # it may have been made for another endpoint or proxy
    with LoopbackHub() as hub:
        yield hub
        close_session()


@pytest.fixture
def loopback(served, monkeypatch, tmp_path):
    """An empty hub that this process's huggingface_hub talks to, with an empty cache, no token."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http

    served.reset()
    for key, value in environment(served, tmp_path / "home").items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    # The client read its environment when it was imported.
    for name, value in {
        "ENDPOINT": served.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": served.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "home" / "hub"),
        "HF_TOKEN_PATH": str(tmp_path / "home" / "token"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": False,
    }.items():
        monkeypatch.setattr(constants, name, value)
    # Between its tries the client waits for seconds.
    for module in (file_download, _http):
        monkeypatch.setattr(module, "time", types.SimpleNamespace(sleep=lambda seconds: None))
    return served


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """The three files of a small model, by name."""
    import keras

    import keras_vae

    keras.utils.set_random_seed(1)  # the tests' own is another
    folder = tmp_path_factory.mktemp("small")
    arguments = {"input_shape": [6, 5, 1], "latent_dim": 3, "hidden_units": [8]}
    model = keras_vae.mlp_vae(**arguments)
    keras_vae.save_to_folder(model, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def environment(hub, home) -> dict:
    """The variables that make another process talk to a hub, with its home in a folder."""
    return {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(home),
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1,localhost",
    }


@dataclasses.dataclass
class Request:
    """What a client asked, and of which port: "hub", "cdn" or "elsewhere"."""

    place: str
    method: str
    path: str
    headers: dict
    body: bytes

    def __str__(self):
        return f"{self.place} {self.method} {unquote(self.path)}"


class LoopbackHub:
    """A hub and its CDN, each a port of 127.0.0.1, for as long as the `with` block runs.

    `elsewhere` is a third port that belongs to nobody: it serves `strange` for every path.
    """

    def __init__(self):
        self.closing = threading.Event()
        self._servers = {}
        self.reset()

    def reset(self):
        """Forgets everything, and ends the answers that stall."""
        self.closing.set()
        self.closing = threading.Event()
        self.repositories = {}
        self.objects = {}  # large files by sha256, as uploaded
        self.requests = []
        self.faults = []
        self.tokens = {TOKEN: {"name": "tester", "orgs": ["keras-vae"]}}
        self.strange = b""

    def __enter__(self):
        for place, answer in (("hub", api), ("cdn", cdn), ("elsewhere", elsewhere)):
            handler = type("Handler", (_Handler,), {"hub": self, "place": place, "answer": answer})
            server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            self._servers[place] = server
        return self

    def __exit__(self, *_):
        self.closing.set()
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def url(self, place):
        # Two names, since some versions of the client tell hosts apart without their ports.
        host = "127.0.0.1" if place == "hub" else "localhost"
        return f"http://{host}:{self._servers[place].server_port}"

    @property
    def endpoint(self):
        return self.url("hub")

    def add(self, name, files, **options) -> str:
        """Makes a repository with one commit of these files, and returns the commit's sha."""
        self.repositories[name] = Repository(**options)
        return self.repositories[name].commit(files)

    def fail(self, pattern, change, times=None):
        """Changes the answers to requests whose text, `"hub GET /org/repo/…"`, has the pattern.

        `change` is given an `Answer` and may change it or return another; `times`: how often.
        """
        self.faults.append([re.compile(pattern), change, times])

    def asked(self, pattern="") -> list[str]:
        """The requests so far whose text has the pattern."""
        return [str(request) for request in self.requests if re.search(pattern, str(request))]


def status(code, **headers):
    """A fault: an error of this status. Underscores in headers' names stand for hyphens."""
    headers = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda answer: Answer(code, headers, b"fault")


def cut(after=-1):
    """A fault: the connection breaks after so many bytes of the body; -1: before the status."""
    return lambda answer: dataclasses.replace(answer, cut=after)


def stall(after=-1):
    """A fault: nothing more comes after so many bytes of the body; -1: not even a status."""
    return lambda answer: dataclasses.replace(answer, stall=after)


def flip(place):
    """A fault: one byte of the body is wrong, its size is right."""

    def change(answer):
        body = bytearray(answer.body)
        body[place] ^= 1
        return dataclasses.replace(answer, body=bytes(body))

    return change


def page(padded=False):
    """A fault: a page in HTML, as a captive portal sends; padded to the size that was asked for."""

    def change(answer):
        body = b"<html><body>Please log in to the network.</body></html>"
        if padded:
            body = body.ljust(len(answer.body), b" ")
            return dataclasses.replace(answer, body=body)
        return Answer(200, {"Content-Type": "text/html"}, body)

    return change


def redirect(url):
    """A fault: the answer is on another host."""
    return lambda answer: dataclasses.replace(
        answer, status=302, headers={**answer.headers, "Location": url}, body=b""
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two packets: the second would wait

    def _handle(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        headers = {key.lower(): value for key, value in self.headers.items()}
        request = Request(self.place, self.command, self.path, headers, body)
        self.hub.requests.append(request)
        answer = type(self).answer(self.hub, request)
        if self.command == "GET" and answer.status == 200:
            answer = serve_range(answer, headers.get("range"))
        for fault in self.hub.faults:
            pattern, change, times = fault
            if pattern.search(str(request)) and times != 0:
                fault[2] = None if times is None else times - 1
                answer = change(answer) or answer
        with contextlib.suppress(ConnectionError):  # a client may hang up
            self._send(answer)

    do_HEAD = do_GET = do_POST = do_PUT = do_DELETE = _handle

    def _send(self, answer):
        stop = answer.stall if answer.cut is None else answer.cut
        if stop != -1:
            self.send_response(answer.status)
            for key, value in {"Content-Length": len(answer.body), **answer.headers}.items():
                self.send_header(key, str(value))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body[:stop])
        if answer.stall is not None:
            self.hub.closing.wait(60)
        if stop is not None:
            self.close_connection = True

    def log_message(self, *_):
        pass
