"""What the loopback Hub answers: its repositories, and a function for each kind of request."""

import base64
import dataclasses
import hashlib
import json
import re
from urllib.parse import parse_qs, unquote, urlsplit

# What the Hub's .gitattributes put into LFS, and so on the CDN.
LARGE = (".h5", ".png", ".safetensors", ".bin")


@dataclasses.dataclass
class Answer:
    """What the hub answers; a fault changes it."""

    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None  # close the connection after so many bytes of the body
    stall: int | None = None  # send nothing more after so many bytes, but keep the connection


@dataclasses.dataclass
class Repository:
    """Commits, each a dict of path to content, and the branches and tags that name them."""

    commits: dict = dataclasses.field(default_factory=dict)
    refs: dict = dataclasses.field(default_factory=dict)
    private: bool = False
    gated: bool = False  # nobody is on the list of those who may read

    def resolve(self, revision):
        revision = self.refs.get(revision, revision)
        return revision if revision in self.commits else None

    def commit(self, files, branch="main"):
        """Adds a commit of exactly these files, and returns its sha."""
        parent = self.refs.get(branch, "")
        told = json.dumps([parent, branch, len(self.commits), sorted(map(sha256, files.values()))])
        sha = hashlib.sha1(told.encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.refs[branch] = sha
        return sha


def serve_range(answer, wanted):
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted or "")
    if not match:
        return answer
    size = len(answer.body)
    first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
    if first >= size:
        return Answer(416, {"Content-Range": f"bytes */{size}"})
    headers = {**answer.headers, "Content-Range": f"bytes {first}-{last}/{size}"}
    return Answer(206, headers, answer.body[first : last + 1])


def elsewhere(hub, request):
    return Answer(200, {"ETag": '"strange"'}, hub.strange)


def cdn(hub, request):
    """Large files by their sha256: read, and written after an LFS batch call."""
    oid = request.path.rpartition("/")[2]
    if request.method == "PUT":
        if sha256(request.body) != oid:
            return Answer(400, {}, b"BadDigest")
        hub.objects[oid] = request.body
        return Answer(200)
    for repository in hub.repositories.values():
        for files in repository.commits.values():
            for content in files.values():
                hub.objects.setdefault(sha256(content), content)
    if oid not in hub.objects:
        return Answer(404)
    return Answer(200, {"ETag": f'"{oid}"'}, hub.objects[oid])


def api(hub, request):
    """The Hub's own port: files, information about repositories, and writing."""
    path = urlsplit(request.path).path
    authorization = request.headers.get("authorization")
    user = hub.tokens.get((authorization or "").removeprefix("Bearer "))
    if authorization and not user:
        return Answer(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
    found = ((re.fullmatch(route, f"{request.method} {path}"), take) for route, take in _ROUTES)
    match, take = next(((match, take) for match, take in found if match), (None, None))
    if match is None:
        return _error(404, "", "Not Found")
    if request.method == "POST" and not user and take is not _paths:
        return Answer(401, {"X-Error-Message": "Invalid username or password."})
    groups = {key: unquote(value) for key, value in match.groupdict().items()}
    if "repo" not in groups:
        return take(hub, request, user)
    repository = hub.repositories.get(groups["repo"])
    if repository is None or (repository.private and not user):
        return _error(404 if user else 401, "RepoNotFound", "Repository not found")
    if repository.gated:
        why = f"Access to model {groups['repo']} is restricted."
        return _error(403 if user else 401, "GatedRepo", why)
    if "rev" in groups or request.method == "GET":
        commit = repository.resolve(groups.get("rev") or "main")
        if commit is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {groups.get('rev')}")
        groups["commit"] = commit
    return take(hub, request, repository, groups)


def _resolve(hub, request, repository, groups):
    content = repository.commits[groups["commit"]].get(groups["file"])
    headers = {"X-Repo-Commit": groups["commit"], "Accept-Ranges": "bytes"}
    if content is None:
        answer = _error(404, "EntryNotFound", "Entry not found")
        answer.headers.update(headers)
        return answer
    if not groups["file"].endswith(LARGE):
        return Answer(200, {**headers, "ETag": f'"{_blob(content)}"'}, content)
    oid = sha256(content)
    headers |= {"X-Linked-Size": len(content), "X-Linked-ETag": f'"{oid}"'}
    headers |= {"ETag": f'"{_blob(_pointer(content))}"', "Location": f"{hub.url('cdn')}/lfs/{oid}"}
    return Answer(302, headers, b"Found. Redirecting")


def _files(repository, groups):
    for path, content in sorted(repository.commits[groups["commit"]].items()):
        entry = {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}
        if path.endswith(LARGE):
            lfs = {"oid": sha256(content), "size": len(content), "pointerSize": 130}
            entry |= {"oid": _blob(_pointer(content)), "lfs": lfs}
        yield entry


def _info(hub, request, repository, groups):
    siblings = [{"rfilename": entry["path"]} for entry in _files(repository, groups)]
    if "blobs" in parse_qs(urlsplit(request.path).query):
        for sibling, entry in zip(siblings, _files(repository, groups), strict=True):
            sibling |= {"size": entry["size"], "blobId": entry["oid"]}
            if lfs := entry.get("lfs"):
                sibling["lfs"] = {**lfs, "sha256": lfs["oid"]}
    answer = {"id": groups["repo"], "sha": groups["commit"], "siblings": siblings, "tags": []}
    return _json({**answer, "private": repository.private, "gated": repository.gated})


def _tree(hub, request, repository, groups):
    return _json(list(_files(repository, groups)))


def _paths(hub, request, repository, groups):
    wanted = json.loads(request.body)["paths"]
    return _json([entry for entry in _files(repository, groups) if entry["path"] in wanted])


def _refs(hub, request, repository, groups):
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit}
        for name, commit in repository.refs.items()
    ]
    return _json({"branches": branches, "converts": [], "tags": []})


def _whoami(hub, request, user):
    if not user:
        return Answer(401, {"X-Error-Message": "Invalid username or password."})
    orgs = [{"name": name} for name in user["orgs"]]
    auth = {"type": "access_token", "accessToken": {"displayName": "test", "role": "write"}}
    return _json({"type": "user", "name": user["name"], "orgs": orgs, "auth": auth})


def _create(hub, request, user):
    told = json.loads(request.body)
    owner = told.get("organization") or user["name"]
    if owner not in (user["name"], *user["orgs"]):
        why = f"You don't have the rights to create a model under the namespace {owner!r}"
        return _json({"error": why}, 403)
    name = f"{owner}/{told['name']}"
    url = f"{hub.endpoint}/{name}"
    if name in hub.repositories:
        return _json({"error": "You already created this model repo", "url": url}, 409)
    hub.repositories[name] = Repository(private=told.get("visibility") == "private")
    hub.repositories[name].commit({".gitattributes": b"*.h5 filter=lfs diff=lfs merge=lfs -text"})
    return _json({"url": url, "name": name})


def _yaml(hub, request, user):
    return _json({"errors": [], "warnings": []})


def _preupload(hub, request, repository, groups):
    now = {entry["path"]: entry for entry in _files(repository, groups)}
    files = []
    for file in json.loads(request.body)["files"]:
        mode = "lfs" if file["path"].endswith(LARGE) else "regular"
        entry = now.get(file["path"], {})
        oid = entry.get("lfs", entry).get("oid")
        files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
    return _json({"files": files})


def _batch(hub, request, repository, groups):
    objects = []
    for wanted in json.loads(request.body)["objects"]:
        answer = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] not in hub.objects:
            verify = f"{hub.endpoint}/{groups['repo']}.git/info/lfs/objects/verify"
            upload = f"{hub.url('cdn')}/lfs/{wanted['oid']}"
            answer["actions"] = {"upload": {"href": upload}, "verify": {"href": verify}}
        objects.append(answer)
    return _json({"transfer": "basic", "objects": objects})


def _verify(hub, request, repository, groups):
    told = json.loads(request.body)
    content = hub.objects.get(told["oid"])
    good = content is not None and len(content) == told["size"]
    return Answer(200) if good else _error(404, "", "Object not found")


def _commit(hub, request, repository, groups):
    files = dict(repository.commits[groups["commit"]])
    for line in request.body.splitlines():
        key, value = json.loads(line).values()
        if key == "header" and value.get("parentCommit") not in (None, groups["commit"]):
            return _json({"error": "A commit has happened since. Please refresh and retry."}, 412)
        if key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            files[value["path"]] = hub.objects[value["oid"]]
        elif key == "deletedFile":
            del files[value["path"]]
    sha = repository.commit(files, groups["rev"])
    url = f"{hub.endpoint}/{groups['repo']}/commit/{sha}"
    return _json({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})


def _harnesses(hub, request, user):
    return _json({"standardEnvVars": [], "harnesses": {}})


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def _blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _pointer(content):
    oid, size = sha256(content), len(content)
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"
    return text.encode()


def _json(content, code=200):
    return Answer(code, {"Content-Type": "application/json"}, json.dumps(content).encode())


def _error(code, name, message):
    return Answer(code, {"X-Error-Code": name, "X-Error-Message": message})


_NAME = r"(?P<repo>[^/]+/[^/]+?)"
_ROUTES = (
    ("GET /api/whoami-v2", _whoami),
    ("GET /api/agent-harnesses", _harnesses),
    ("POST /api/repos/create", _create),
    ("POST /api/validate-yaml", _yaml),
    (f"GET /api/models/{_NAME}", _info),
    (f"GET /api/models/{_NAME}/revision/(?P<rev>[^/]+)", _info),
    (f"GET /api/models/{_NAME}/tree/(?P<rev>[^/]+)", _tree),
    (f"GET /api/models/{_NAME}/refs", _refs),
    (f"POST /api/models/{_NAME}/paths-info/(?P<rev>[^/]+)", _paths),
    (f"POST /api/models/{_NAME}/preupload/(?P<rev>[^/]+)", _preupload),
    (f"POST /api/models/{_NAME}/commit/(?P<rev>[^/]+)", _commit),
    (rf"POST /{_NAME}\.git/info/lfs/objects/batch", _batch),
    (rf"POST /{_NAME}\.git/info/lfs/objects/verify", _verify),
    (f"(GET|HEAD) /{_NAME}/resolve/(?P<rev>[^/]+)/(?P<file>.+)", _resolve),
)
