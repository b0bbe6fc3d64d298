"""A web server that stands for a vendor's API: it answers as a table says, and notes what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

__all__ = ["ApiRequest", "VendorApi", "serve_api"]


class ApiRequest(NamedTuple):
    """A request as it came; `path` with its query."""

    method: str
    path: str
    authorization: str
    body: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class VendorApi(ThreadingHTTPServer):
    """`answers` maps `METHOD /path?query` to (status, document); anything else is a 404."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.answers: dict[str, tuple[int, Any]] = {}
        self.requests: list[ApiRequest] = []

    def asked(self) -> list[str]:
        """The requests so far, as `METHOD /path?query`."""
        return [str(request) for request in self.requests]


class _Handler(BaseHTTPRequestHandler):
    server: VendorApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        text = self.rfile.read(length)
        request = ApiRequest(
            self.command, self.path, self.headers.get("Authorization", ""), json.loads(text) if text else None
        )
        self.server.requests.append(request)
        status, document = self.server.answers.get(str(request), (404, {"message": "Not Found"}))
        data = b"" if status == 204 else json.dumps(document).encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serve_api() -> Iterator[VendorApi]:
    """The server for the block."""
    server = VendorApi()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
