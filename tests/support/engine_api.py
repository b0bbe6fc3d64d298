"""The Engine API as a thread plays it on a socket: answers by method and path, and what was asked for."""

from __future__ import annotations

import contextlib
import json
import re
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

Answer = tuple[int, bytes]


class Engine:
    """`answers` are tried in order: a pattern of `METHOD /path?query` without the version, and what is answered.

    `asked` are (METHOD /path?query, body).
    """

    def __init__(self, host: str, *, api: str = "1.45", status: tuple[tuple[str, str], ...] = ()) -> None:
        self.host = host
        self.asked: list[tuple[str, bytes]] = []
        version = {"Version": "26.1.5", "ApiVersion": api, "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}
        self.answers: list[tuple[str, Answer]] = [
            ("GET /version", (200, json.dumps(version).encode())),
            ("GET /info", (200, json.dumps({"DriverStatus": status}).encode())),
        ]

    def on(self, pattern: str, answer: bytes | dict[str, Any] | list[Any], status: int = 200) -> None:
        """Answer what matches; the latest answer that was given for it counts."""
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.answers.insert(0, (pattern, (status, body)))

    def find(self, line: str) -> Answer:
        """The answer for a request."""
        for pattern, answer in self.answers:
            if re.fullmatch(pattern, line):
                return answer
        return 404, b'{"message":"No such image: nothing like that"}'


class _Handler(BaseHTTPRequestHandler):
    engine: Engine
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        line = f"{self.command} {re.sub(r'^/v[0-9.]+', '', self.path)}"
        self.engine.asked.append((line, self._body()))
        status, body = self.engine.find(line)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who asked may have gone
            self.end_headers()
            self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    do_GET = do_POST = do_DELETE = _answer


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("unix", 0)


@contextlib.contextmanager
def engine_api(**options: Any) -> Iterator[Engine]:
    """A daemon to talk to."""
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        path = Path(folder) / "sock"
        engine = Engine(f"unix://{path}", **options)
        handler = type("Handler", (_Handler,), {"engine": engine})
        with _Server(str(path), handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield engine
            finally:
                server.shutdown()
                thread.join()
