"""A registry in this process, on a thread: fast, and it fails, lies, drops connections and demands tokens as told."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


class Request(NamedTuple):
    """A request as it came; headers with lower-case names."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    size: int

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Failure(NamedTuple):
    """An answer that takes the place of the real one."""

    method: str
    path: re.Pattern[str]
    status: int
    headers: dict[str, str]
    body: bytes


def digest_of(data: bytes) -> str:
    """`sha256:…`"""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class FakeRegistry:
    """The state, which tests may look into and change, and the knobs."""

    def __init__(self, name: str = "127.0.0.1") -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.uploads_begun = 0
        self.requests: list[Request] = []
        self.failures: list[Failure] = []
        self.lock = threading.RLock()
        self.auth = ""  # basic, bearer
        self.users = {"alice": "s3cret"}
        self.identity_tokens = {"identity-of-alice"}
        self.tokens: dict[str, set[str]] = {}
        self.anonymous_pull = False
        self.missing_status = 404  # of what is read in a repository that nothing was pushed to
        self.token_life = 300
        self.token_realm = ""
        self.post_tokens_only = False
        self.mounts = True
        self.ranges = True
        self.drop_download_after: list[int] = []  # of the next downloads, each after so many bytes
        self.drop_upload_after: list[int] = []
        self.forget_uploads = False  # when an upload's connection breaks
        self.swallow_answers: list[str] = []  # "PUT /v2/…": done, but the connection closes before the answer
        self.redirect_blobs = ""
        self.substitutes: dict[str, bytes] = {}  # what is served for a digest instead of the truth
        self.claimed_digest = ""
        self.announce_length = True
        self.page_size = 0
        self.deletes_tags = True  # distribution 2 deletes manifests only
        self.deletes_by_tag = False  # a tag's deletion is that of its manifest
        self.minimum_chunk = 0
        self.gate: threading.Barrier | None = None  # downloads wait for each other here
        self._server = ThreadingHTTPServer((name, 0), _handler(self))
        self._server.daemon_threads = True
        self.host = f"{name}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fail(self, method: str, path: str, status: int, times: int = 1, body: object = None, **headers: str) -> None:
        """Answer the next `times` requests of a method whose path matches with a status; 0 closes the connection."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        self.failures += [Failure(method, re.compile(path), status, sent, data)] * times

    def add_blob(self, repository: str, data: bytes) -> str:
        """Put a blob there; its digest."""
        self.blobs[repository, digest_of(data)] = data
        return digest_of(data)

    def add_manifest(self, repository: str, tag: str, data: bytes, media_type: str = MANIFEST_TYPE) -> str:
        """Put a manifest there under a tag and its digest; its digest."""
        for selector in (tag, digest_of(data)):
            self.manifests[repository, selector] = (data, media_type)
        return digest_of(data)

    def add_image(
        self, repository: str, tag: str, layers: tuple[bytes, ...], architecture: str = "amd64", diff_ids: Any = None
    ) -> str:
        """Put an image there, whose layers are not really tars; its manifest's digest."""
        config = json.dumps(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"Cmd": ["sh"]},
                "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest_of(layer) for layer in layers]},
            }
        ).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": self.add_blob(repository, config),
                "size": len(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar",
                    "digest": self.add_blob(repository, layer),
                    "size": len(layer),
                }
                for layer in layers
            ],
        }
        return self.add_manifest(repository, tag, json.dumps(manifest).encode())

    def seen(self, method: str, path: str = "") -> list[Request]:
        """The requests of a method whose path contains a text."""
        with self.lock:
            return [request for request in self.requests if request.method == method and path in request.path]

    def awaited(self, method: str, count: int) -> list[Request]:
        """As `seen`, when there are `count`: what a client has given up may still be on its way here."""
        for _ in range(1000):
            if len(self.seen(method)) >= count:
                break
            time.sleep(0.01)
        return self.seen(method)


@contextlib.contextmanager
def serving(name: str = "127.0.0.1") -> Iterator[FakeRegistry]:
    """A registry for the block."""
    registry = FakeRegistry(name)
    try:
        yield registry
    finally:
        registry.close()


def _handler(registry: FakeRegistry) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"registry": registry})


class _Handler(BaseHTTPRequestHandler):
    registry: FakeRegistry
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def parse_request(self) -> bool:
        # a TLS handshake is no HTTP: close without an answer, as a small server does
        if self.raw_requestline[:1] == b"\x16":
            self.close_connection = True
            return False
        return super().parse_request()

    def handle(self) -> None:
        """Serve one connection; a client that goes away is none of our problems."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

    def _serve(self) -> None:
        registry = self.registry
        parts = urlsplit(self.path)
        self.where = parts.path
        self.query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        self.left = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        with registry.lock:
            registry.requests.append(Request(self.command, self.path, self.query, headers, self.left))
            failure = next(
                (f for f in registry.failures if f.method == self.command and f.path.search(self.path)), None
            )
            if failure is not None:
                registry.failures.remove(failure)
        if failure is not None:
            if failure.status == 0:
                self._hang_up()
            else:
                self._read()
                self._answer(failure.status, failure.body, failure.headers)
            return
        if self.where == "/token":
            self._token()
        elif not self.where.startswith("/v2/"):
            self._answer(404)
        elif self._allowed():
            self._route()

    def _route(self) -> None:
        if self.where == "/v2/":
            return self._answer(200, b"{}")
        if self.command in ("GET", "HEAD") and self.registry.missing_status != 404 and self._missing():
            return self._error(self.registry.missing_status, "DENIED", "requested access to the resource is denied")
        for pattern, method in (
            (r"/v2/(.+)/blobs/uploads/([^/]*)", self._upload),
            (r"/v2/(.+)/blobs/([^/]+)", self._blob),
            (r"/v2/(.+)/manifests/([^/]+)", self._manifest),
            (r"/v2/(.+)/tags/(list)", self._tags),
        ):
            match = re.fullmatch(pattern, self.where)
            if match:
                return method(match[1], match[2])
        return self._answer(404)

    def _blob(self, repository: str, digest: str) -> None:
        registry = self.registry
        data = registry.blobs.get((repository, digest))
        if data is None:
            return self._error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        if registry.redirect_blobs and self.command == "GET":
            return self._answer(307, b"", {"Location": registry.redirect_blobs + self.path})
        data = registry.substitutes.get(digest, data)
        if self.command == "GET" and registry.gate is not None:
            registry.gate.wait(20)
        start = 0
        headers = {"Docker-Content-Digest": digest}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and registry.ranges:
            start = int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        data = data[start:]
        with registry.lock:
            drop = registry.drop_download_after.pop(0) if self.command == "GET" and registry.drop_download_after else -1
        self._answer(206 if start else 200, data, headers, drop=drop)
        return None

    def _manifest(self, repository: str, selector: str) -> None:
        registry = self.registry
        if self.command == "PUT":
            data = self._read()
            digest = registry.add_manifest(repository, selector, data, self.headers["Content-Type"])
            return self._answer(201, b"", {"Docker-Content-Digest": registry.claimed_digest or digest})
        found = registry.manifests.get((repository, selector))
        if found is None:
            return self._error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        if self.command == "DELETE":
            if ":" not in selector and not registry.deletes_tags:
                return self._error(405, "UNSUPPORTED", "the operation is unsupported")
            whole = ":" in selector or registry.deletes_by_tag
            gone = self._selectors(repository, found[0]) if whole else [selector]
            for each in gone:
                del registry.manifests[repository, each]
            return self._answer(202)
        data = registry.substitutes.get(digest_of(found[0]), found[0])
        claimed = registry.claimed_digest or digest_of(found[0])
        return self._answer(200, data, {"Content-Type": found[1], "Docker-Content-Digest": claimed})

    def _selectors(self, repository: str, data: bytes) -> list[str]:
        """The tags and the digest of a manifest."""
        items = self.registry.manifests.items()
        return [selector for (name, selector), found in items if name == repository and found[0] == data]

    def _tags(self, repository: str, _: str) -> None:
        tags = sorted(tag for name, tag in self.registry.manifests if name == repository and ":" not in tag)
        headers = {}
        if self.registry.page_size:
            tags = [tag for tag in tags if tag > self.query.get("last", "")]
            if len(tags) > self.registry.page_size:
                tags = tags[: self.registry.page_size]
                headers["Link"] = f'</v2/{repository}/tags/list?last={tags[-1]}&n=2>; rel="next"'
        self._answer(200, json.dumps({"name": repository, "tags": tags}).encode(), headers)

    def _upload(self, repository: str, upload: str) -> None:
        registry = self.registry
        if self.command == "POST":
            self._read()
            digest = self.query.get("mount", "")
            data = registry.blobs.get((self.query.get("from", ""), digest))
            if registry.mounts and data is not None:
                registry.blobs[repository, digest] = data
                return self._answer(201, b"", {"Location": f"/v2/{repository}/blobs/{digest}"})
            with registry.lock:
                upload = f"upload-{registry.uploads_begun}"
                registry.uploads_begun += 1
            registry.uploads[upload] = bytearray()
            return self._accepted(repository, upload, 202)
        held = registry.uploads.get(upload)
        if held is None:
            self._read()
            return self._error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if self.command == "DELETE":
            registry.uploads.pop(upload, None)
            return self._answer(204)
        if self.command == "GET":
            return self._accepted(repository, upload, 204)
        span = re.match(r"(\d+)-", self.headers.get("Content-Range", ""))
        if span and int(span[1]) != len(held):
            self._read()
            return self._accepted(repository, upload, 416)
        with registry.lock:
            drop = registry.drop_upload_after.pop(0) if registry.drop_upload_after and self.left else -1
        while self.left and drop != 0:
            piece = self.rfile.read(min(self.left, 4096 if drop < 0 else min(drop, 4096)))
            self.left -= len(piece)
            drop -= len(piece) if drop > 0 else 0
            held += piece
            if not piece:
                break
        if drop == 0:
            if registry.forget_uploads:
                registry.uploads.pop(upload, None)
            return self._hang_up()
        if self.command == "PATCH":
            return self._accepted(repository, upload, 202)
        registry.uploads.pop(upload, None)  # its client may have given it up meanwhile
        digest = self.query["digest"]
        if digest_of(bytes(held)) != digest:
            return self._error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        registry.blobs[repository, digest] = bytes(held)
        return self._answer(201, b"", {"Location": f"/v2/{repository}/blobs/{digest}", "Docker-Content-Digest": digest})

    def _accepted(self, repository: str, upload: str, status: int) -> None:
        size = len(self.registry.uploads[upload])
        headers = {"Location": f"/v2/{repository}/blobs/uploads/{upload}?_state=x", "Range": f"0-{max(size - 1, 0)}"}
        if self.registry.minimum_chunk:
            headers["OCI-Chunk-Min-Length"] = str(self.registry.minimum_chunk)
        self._answer(status, b"", headers)

    def _allowed(self) -> bool:
        registry = self.registry
        header = self.headers.get("Authorization", "")
        if not registry.auth:
            return True
        if registry.auth == "basic":
            if self._user(header):
                return True
            self._read()
            self._error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="fake"'})
            return False
        scope = self._scope()
        granted = registry.tokens.get(header.removeprefix("Bearer "), set())
        name, _, actions = scope.rpartition(":")
        have = {
            action
            for item in granted
            if item.rpartition(":")[0] == name
            for action in item.rpartition(":")[2].split(",")
        }
        if header.startswith("Bearer ") and header[7:] in registry.tokens and set(actions.split(",")) <= have | {""}:
            return True
        self._read()
        realm = registry.token_realm or f"http://{registry.host}/token"
        challenge = f'Bearer realm="{realm}",service="fake registry"' + (f',scope="{scope}"' if scope else "")
        self._error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})
        return False

    def _missing(self) -> bool:
        """Whether the request is for a repository that has nothing, nor an upload."""
        match = re.match(r"/v2/(.+)/(?:blobs|manifests|tags)/", self.where)
        known = {name for name, _ in (*self.registry.blobs, *self.registry.manifests)}
        return match is not None and "/uploads/" not in self.where and match[1] not in known

    def _scope(self) -> str:
        match = re.match(r"/v2/(.+)/(?:blobs|manifests|tags)/", self.where)
        if not match:
            return ""
        name = match[1].removesuffix("/blobs")
        if self.command == "DELETE" and "/manifests/" in self.where:
            return f"repository:{name}:delete"
        if self.command in ("GET", "HEAD") and "/uploads/" not in self.where:
            return f"repository:{name}:pull"
        return f"repository:{name}:pull,push"

    def _user(self, header: str) -> str:
        if header.startswith("Basic "):
            name, _, password = base64.b64decode(header[6:]).decode().partition(":")
            if self.registry.users.get(name) == password:
                return name
        return ""

    def _token(self) -> None:
        registry = self.registry
        parameters = parse_qs(urlsplit(self.path).query)
        if self.command == "POST":
            parameters = parse_qs(self._read().decode())
            known = parameters.get("refresh_token", [""])[0] in registry.identity_tokens
            scopes = parameters.get("scope", [""])[0].split()
        else:
            if registry.post_tokens_only:
                return self._answer(405)
            known = bool(self._user(self.headers.get("Authorization", "")))
            if self.headers.get("Authorization") and not known:
                return self._error(401, "UNAUTHORIZED", "incorrect username or password")
            scopes = parameters.get("scope", [])
        if not known:
            scopes = [scope.rpartition(":")[0] + ":pull" for scope in scopes] if registry.anonymous_pull else []
        token = f"token-{len(registry.tokens)}"
        registry.tokens[token] = set(scopes)
        key = "access_token" if self.command == "POST" else "token"
        return self._answer(200, json.dumps({key: token, "expires_in": registry.token_life}).encode())

    def _read(self) -> bytes:
        data = self.rfile.read(self.left) if self.left else b""
        self.left = 0
        return data

    def _error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self._answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), headers)

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None, drop: int = -1) -> None:
        line = f"{self.command} {self.where}"
        if line in self.registry.swallow_answers and drop < 0 and status < 300:
            self.registry.swallow_answers.remove(line)
            return self._hang_up()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if headers and "Content-Length" in headers:
            self.close_connection = True  # it promises what does not come
        elif self.registry.announce_length or self.command == "HEAD" or not body:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if drop < 0 else body[:drop])
        if drop >= 0:
            self._hang_up()
        return None

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
