"""
A stand-in of the Hub's HTTP API, small enough to read: repositories in memory, large files by the LFS protocol.

It knows what huggingface_hub's client asks for in a push and in a download, and can be told to fail: to answer a
request with a status of its own, or to cut the connection in the middle.
"""

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


GOOD_TOKEN = "hf_goodtokenoftherealm"
LARGE = (".safetensors", ".parquet", ".bin")


@dataclass
class Repo:
    repo_id: str
    repo_type: str
    private: bool
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{}])
    messages: list[str] = field(default_factory=lambda: ["initial commit"])

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1]

    def oid(self, index: int = -1) -> str:
        index %= len(self.commits)
        return hashlib.sha1(f"{self.repo_type} {self.repo_id} {index}".encode()).hexdigest()

    def at(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        for index in reversed(range(len(self.commits))):
            if revision in (self.oid(index), "main" if index == len(self.commits) - 1 else None):
                return self.oid(index), self.commits[index]
        return None


@dataclass
class Fault:
    """The next `times` requests whose method and path match fail."""

    method: str
    path: str
    status: int | None
    times: int


class HubStandIn:
    """Use as a context manager; `url` is its endpoint."""

    def __init__(self):
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.user = "tester"
        self.lock = threading.RLock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def fail(self, method: str, path: str, status: int, times: int = 1) -> None:
        """Answer matching requests with this status."""
        self.faults.append(Fault(method, path, status, times))

    def cut(self, method: str, path: str, times: int = 1) -> None:
        """Cut the connection of matching requests after the first bytes of their body."""
        self.faults.append(Fault(method, path, None, times))

    def repo(self, repo_type: str, repo_id: str) -> Repo:
        return self.repos[repo_type, repo_id]

    def asked(self, pattern: str) -> list[str]:
        return [line for line in self.requests if re.search(pattern, line)]

    def fault_for(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubStandIn

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer("GET")

    def do_HEAD(self):
        self.answer("HEAD")

    def do_POST(self):
        self.answer("POST")

    def do_PUT(self):
        self.answer("PUT")

    def answer(self, method: str) -> None:
        path = unquote(urlsplit(self.path).path)
        with self.hub.lock:
            self.hub.requests.append(f"{method} {path}")
            fault = self.hub.fault_for(method, path)
        if fault and fault.status is None:
            self.rfile.read1(64)
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        body = self.read_body()
        if fault:
            return self.reply(fault.status, {"error": f"injected {fault.status}"})
        with self.hub.lock:
            self.route(method, path, body)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def reply(self, status: int, content=b"", **headers: str) -> None:
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
            headers["Content-Type"] = "application/json"
        self.send_response(status)
        headers.setdefault("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def route(self, method: str, path: str, body: bytes) -> None:
        if method == "PUT" and (match := re.fullmatch(r"/lfs/([0-9a-f]{64})", path)):
            if hashlib.sha256(body).hexdigest() != match[1]:
                return self.reply(400, {"error": "content does not match its hash"})
            self.hub.blobs[match[1]] = body
            return self.reply(200)
        if self.headers.get("Authorization") != f"Bearer {GOOD_TOKEN}":
            return self.reply(401, {"error": "Invalid credentials in Authorization header"})
        if path == "/api/whoami-v2":
            return self.reply(200, {"type": "user", "name": self.hub.user, "orgs": []})
        if path == "/api/validate-yaml":
            return self.reply(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if match := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self.batch(json.loads(body))
        if match := re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)/(preupload|commit|tree)/(.+?)/?", path):
            repo = self.hub.repos.get((match[1], match[2]))
            if repo is None:
                return self.missing()
            return getattr(self, match[3])(repo, match[4], body)
        if match := re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+?)(?:/revision/(.+))?", path):
            return self.info((match[1], match[2]), match[3] or "main")
        if match := re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/(refs/[^/]+/[^/]+|[^/]+)/(.+)", path):
            return self.resolve(("dataset" if match[1] else "model", match[2]), match[3], match[4])
        return self.reply(404, {"error": f"the stand-in knows no {method} {path}"})

    def missing(self) -> None:
        self.reply(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")

    def create(self, wish: dict) -> None:
        repo_type = wish.get("type", "model")
        repo_id = f"{wish.get('organization') or self.hub.user}/{wish['name']}"
        url = f"{self.hub.url}/{'datasets/' if repo_type == 'dataset' else ''}{repo_id}"
        if (repo_type, repo_id) in self.hub.repos:
            return self.reply(409, {"error": "You already created this repo", "url": url})
        private = wish.get("visibility") == "private" or wish.get("private") is True
        self.hub.repos[repo_type, repo_id] = Repo(repo_id, repo_type, private)
        return self.reply(200, {"url": url, "name": repo_id})

    def preupload(self, repo: Repo, revision: str, body: bytes) -> None:
        found = []
        for file in json.loads(body)["files"]:
            large = file["path"].endswith(LARGE)
            content = repo.files.get(file["path"])
            oid = None
            if content is not None:
                oid = hashlib.sha256(content).hexdigest() if large else _git_hash(content)
            mode = "lfs" if large else "regular"
            found.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.reply(200, {"files": found})

    def batch(self, wish: dict) -> None:
        objects = []
        for wanted in wish["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.blobs:
                entry["actions"] = {"upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}", "header": {}}}
            objects.append(entry)
        self.reply(200, {"transfer": "basic", "objects": objects})

    def commit(self, repo: Repo, revision: str, body: bytes) -> None:
        files, message = dict(repo.files), ""
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                if value["oid"] not in self.hub.blobs:
                    return self.reply(400, {"error": f"{value['path']}: its content was never uploaded"})
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        repo.commits.append(files)
        repo.messages.append(message)
        url = f"{self.hub.url}/{repo.repo_id}/commit/{repo.oid()}"
        return self.reply(200, {"success": True, "commitOid": repo.oid(), "commitUrl": url})

    def info(self, key: tuple[str, str], revision: str) -> None:
        repo = self.hub.repos.get(key)
        if repo is None:
            return self.missing()
        state = repo.at(revision)
        if state is None:
            return self.reply(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        siblings = [{"rfilename": path} for path in sorted(state[1])]
        found = {"id": repo.repo_id, "sha": state[0], "private": repo.private, "siblings": siblings}
        return self.reply(200, {**found, "tags": [], "downloads": 0, "likes": 0})

    def tree(self, repo: Repo, revision: str, body: bytes) -> None:
        state = repo.at(revision)
        if state is None:
            return self.reply(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        entries = []
        for path, content in sorted(state[1].items()):
            entry = {"type": "file", "path": path, "size": len(content), "oid": _git_hash(content)}
            if path.endswith(LARGE):
                oid = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
            entries.append(entry)
        return self.reply(200, entries)

    def resolve(self, key: tuple[str, str], revision: str, path: str) -> None:
        repo = self.hub.repos.get(key)
        if repo is None:
            return self.missing()
        state = repo.at(revision)
        if state is None:
            return self.reply(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        oid, files = state
        if path not in files:
            return self.reply(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=oid)
        content = files[path]
        tag = hashlib.sha256(content).hexdigest() if path.endswith(LARGE) else _git_hash(content)
        return self.reply(200, content, ETag=f'"{tag}"', X_Repo_Commit=oid, X_Linked_Size=str(len(content)))


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
