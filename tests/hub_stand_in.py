"""A hub on loopback: enough of the real one's addresses that its own client library reads, lists and pushes.

Data sets and models with commits, HTTP ranges, redirects to a storage address, tree listings, and pushes (plain files
and large ones). It can be told to be slow, to say 429 with a pause, to break off in the middle of an answer, and to send
less than it announced. It knows no permissions beyond "a push needs a token", and no xet storage.

`tests.hub_content` fills it and starts it by hand.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Files = Mapping[str, bytes]
PREFIXES = {"datasets": "dataset", "models": "model", "spaces": "space"}
NAME = r"(?P<name>[\w.-]+(?:/[\w.-]+)?)"
API = re.compile(rf"/api/(?P<kind>datasets|models)/{NAME}/(?P<what>revision|tree|preupload|commit)/(?P<rest>.*)")
RESOLVE = re.compile(rf"/(?:(?P<kind>datasets)/)?{NAME}/resolve/(?P<rest>.*)")
BATCH = re.compile(rf"/(?:(?P<kind>datasets)/)?{NAME}\.git/info/lfs/objects/batch")


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What happens to the next answer whose address contains `where`."""

    where: str
    status: int = 0
    """Answer with this instead."""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """Wait so long first."""
    cut_after: int | None = None
    """Break the connection off after so many bytes."""
    short: int = 0
    """Send so many bytes less than the range that is announced, as if nothing were missing."""
    whole: bool = False
    """Ignore the header Range, as some proxies do."""


@dataclass
class Repository:
    """Commits, newest last, and the branches and tags that name them."""

    commits: dict[str, Files] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    private: bool = False

    def commit(self, files: Files, *, without: Collection[str] = ()) -> str:
        """Add files to the newest commit and drop others; returns the new one, which is `main` now."""
        before = self.commits.get(self.names.get("main", ""), {})
        content = {path: held for path, held in before.items() if path not in without} | dict(files)
        digest = hashlib.sha1(f"{len(self.commits)}".encode(), usedforsecurity=False)
        for path in sorted(content):
            digest.update(path.encode() + content[path])
        self.names["main"] = digest.hexdigest()
        self.commits[digest.hexdigest()] = content
        return digest.hexdigest()

    def find(self, revision: str) -> str | None:
        """The commit that a revision names."""
        commit = self.names.get(revision, revision)
        return commit if commit in self.commits else None


@dataclass
class Hub:
    """What the stand-in holds, and what was asked of it."""

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    troubles: deque[Trouble] = field(default_factory=deque)
    requests: list[str] = field(default_factory=list)
    """Method, address and range of every request, in order."""
    stored: dict[str, bytes] = field(default_factory=dict)
    """Large files by sha256."""
    large_from: int = 1 << 60
    """From this size on a pushed file is large."""
    endpoint: str = ""

    def repository(self, kind: str, name: str) -> Repository:
        """The data set or model called `name`, made where there is none."""
        return self.repositories.setdefault((kind, name), Repository())

    def trouble_for(self, address: str) -> Trouble:
        """The next trouble for an address, taken off the list."""
        for trouble in self.troubles:
            if trouble.where in address:
                self.troubles.remove(trouble)
                return trouble
        return Trouble(where="")


@contextmanager
def hub_stand_in(*, port: int = 0) -> Iterator[Hub]:
    """An empty hub that answers at `endpoint` while the block runs."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.daemon_threads = True
        hub.endpoint = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One request: troubles first, then the address."""

    hub: Hub
    protocol_version = "HTTP/1.1"
    trouble = Trouble(where="")

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _begin(self) -> bool:
        """Note the request; whether the usual answer follows."""
        self.hub.requests.append(f"{self.command} {self.path} {self.headers.get('range', '')}".strip())
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.trouble = self.hub.trouble_for(self.path)
        time.sleep(self.trouble.seconds)
        if self.trouble.status:
            self._send(b"", status=self.trouble.status, headers=self.trouble.headers)
        return not self.trouble.status

    def do_GET(self) -> None:
        """Listings, descriptions and files."""
        if not self._begin():
            return
        address = urlsplit(self.path)
        if found := API.fullmatch(address.path):
            self._describe(found)
        elif address.path.startswith("/stored/"):
            self._file(self.hub.stored[Path(address.path).name], etag=Path(address.path).name)
        elif address.path == "/api/whoami-v2":
            self._json({"name": "somebody", "type": "user", "auth": {"accessToken": {"role": "write"}}})
        elif found := RESOLVE.fullmatch(address.path):
            self._resolve(found, follow="direct" in parse_qs(address.query))
        else:
            self._missing("EntryNotFound")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """Pushes."""
        if not self._begin():
            return
        if not self.headers.get("authorization"):
            self._send(b"", status=HTTPStatus.UNAUTHORIZED)
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif self.path == "/api/repos/create":
            self._create(json.loads(self.body))
        elif found := BATCH.fullmatch(self.path):
            self._batch(json.loads(self.body))
        elif found := API.fullmatch(urlsplit(self.path).path):
            self._push(found)
        else:
            self._missing("EntryNotFound")

    def do_PUT(self) -> None:
        """A large file."""
        if self._begin():
            self.hub.stored[hashlib.sha256(self.body).hexdigest()] = self.body
            self._send(b"")

    # --- answers

    def _describe(self, found: re.Match[str]) -> None:
        repository, kind = self._repository(found), found["kind"]
        revision, _, folder = unquote(found["rest"]).partition("/")
        commit = repository.find(revision) if repository else None
        if repository is None or commit is None:
            return self._missing("RevisionNotFound" if repository else "RepoNotFound")
        files = repository.commits[commit]
        if found["what"] == "revision":
            siblings = [{"rfilename": path} for path in sorted(files)]
            return self._json({"id": found["name"], "sha": commit, "private": repository.private, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0, "gated": False, "disabled": False, "_id": kind})  # fmt: skip
        recursive = "recursive" in self.path and "recursive=false" not in self.path.lower()
        within = {path: content for path, content in files.items() if path.startswith(f"{folder}/" if folder else "")}
        if not within:
            return self._missing("EntryNotFound")
        return self._json(_entries(within, below=folder, recursive=recursive))

    def _resolve(self, found: re.Match[str], *, follow: bool) -> None:
        repository = self._repository(found)
        revision, _, path = unquote(found["rest"]).partition("/")
        commit = repository.find(revision) if repository else None
        if repository is None or commit is None or path not in repository.commits[commit]:
            return self._missing("EntryNotFound" if commit else "RevisionNotFound" if repository else "RepoNotFound")
        content = repository.commits[commit][path]
        name = hashlib.sha256(content).hexdigest()
        if found["kind"] and not follow:
            # As the real one: the bytes of a data set's files come from another address.
            self.hub.stored[name] = content
            headers = {"location": f"/stored/{name}", "x-linked-etag": f'"{name}"', "x-repo-commit": commit, "x-linked-size": str(len(content))}  # fmt: skip
            return self._send(b"", status=HTTPStatus.FOUND, headers=headers)
        return self._file(content, etag=name, commit=commit)

    def _file(self, content: bytes, *, etag: str, commit: str = "") -> None:
        headers = {"etag": f'"{etag}"', "accept-ranges": "bytes"} | ({"x-repo-commit": commit} if commit else {})
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        if wanted is None or self.trouble.whole:
            return self._send(content, headers=headers)
        begin, end = int(wanted[1]), min(int(wanted[2] or len(content)) + 1, len(content))
        if begin >= len(content):
            return self._send(b"", status=416, headers={"content-range": f"bytes */{len(content)}"})
        headers["content-range"] = f"bytes {begin}-{end - 1}/{len(content)}"
        return self._send(content[begin : end - self.trouble.short], status=HTTPStatus.PARTIAL_CONTENT, headers=headers)

    def _create(self, wanted: dict[str, Any]) -> None:
        name = "/".join(filter(None, [wanted.get("organization"), wanted["name"]]))
        key = (wanted.get("type") or "model", name)
        address = {"url": f"{self.hub.endpoint}/{'datasets/' if key[0] == 'dataset' else ''}{name}"}
        if key in self.hub.repositories:
            return self._json(address, status=HTTPStatus.CONFLICT)
        repository = self.hub.repository(*key)
        repository.private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        repository.commit({".gitattributes": b""})
        return self._json(address)

    def _push(self, found: re.Match[str]) -> None:
        repository = self._repository(found)
        if repository is None:
            return self._missing("RepoNotFound")
        held = repository.commits[repository.names["main"]]
        if found["what"] == "preupload":
            asked = json.loads(self.body)["files"]
            return self._json({"files": [self._upload(one, held.get(one["path"])) for one in asked]})
        files: dict[str, bytes] = {}
        deleted: list[str] = []
        for key, value in ((line["key"], line["value"]) for line in map(json.loads, self.body.splitlines())):
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
            elif key == "deletedFile":
                deleted.append(value["path"])
        commit = repository.commit(files, without=deleted)
        return self._json({"commitOid": commit, "commitUrl": f"{self.hub.endpoint}/{found['name']}/commit/{commit}"})

    def _upload(self, asked: dict[str, Any], held: bytes | None) -> dict[str, Any]:
        large = asked["size"] >= self.hub.large_from
        oid = None if held is None else hashlib.sha256(held).hexdigest() if large else _blob_id(held)
        return {"path": asked["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid}

    def _batch(self, wanted: dict[str, Any]) -> None:
        objects = [
            one if one["oid"] in self.hub.stored
            else one | {"actions": {"upload": {"href": f"{self.hub.endpoint}/stored/{one['oid']}", "header": {}}}}
            for one in wanted["objects"]
        ]  # fmt: skip
        self._json({"transfer": "basic", "objects": objects})

    # --- how they are sent

    def _repository(self, found: re.Match[str]) -> Repository | None:
        return self.hub.repositories.get((PREFIXES[found["kind"] or "models"], found["name"]))

    def _missing(self, code: str) -> None:
        self._send(b"", status=HTTPStatus.NOT_FOUND, headers={"x-error-code": code, "x-error-message": code})

    def _json(self, content: object, *, status: int = HTTPStatus.OK) -> None:
        self._send(json.dumps(content).encode(), status=status, headers={"content-type": "application/json"})

    def _send(self, content: bytes, *, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.trouble.cut_after
        if cut is not None and len(content) > cut:
            self.wfile.write(content[:cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
            return
        self.wfile.write(content)


def _entries(files: Files, *, below: str, recursive: bool) -> list[dict[str, Any]]:
    """Files and folders as the tree listing names them."""
    start = len(below) + 1 if below else 0
    direct = {path for path in files if recursive or "/" not in path[start:]}
    folders = {path[: start + path[start:].index("/")] for path in files if path not in direct}
    found = [{"type": "file", "path": path, "size": len(files[path]), "oid": _blob_id(files[path])} for path in direct]
    named = [{"type": "directory", "path": path, "size": 0, "oid": _blob_id(path.encode())} for path in folders]
    return sorted([*found, *named], key=lambda entry: str(entry["path"]))


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
