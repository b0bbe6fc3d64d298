"""Git's http-backend as a web server of this machine, which may demand a password or a header."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["GitWeb", "serve_git"]


class GitWeb(ThreadingHTTPServer):
    """git http-backend as a web server; `password` asks for basic authorization, `header` for that very header.

    It notes who came with which; with `moved` all requests are sent on to that address.
    """

    daemon_threads = True

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _GitHandler)
        self.root = root
        self.password = ""
        self.users: list[str] = []
        self.header = ""
        self.headers: list[str] = []
        self.moved = ""
        self.url = f"http://127.0.0.1:{self.server_port}"


class _GitHandler(BaseHTTPRequestHandler):
    server: GitWeb

    def do_GET(self) -> None:
        self._backend()

    def do_POST(self) -> None:
        self._backend()

    def _backend(self) -> None:
        header = self.headers.get("Authorization", "")
        self.server.headers.append(header)
        basic = header.removeprefix("Basic ") if header.startswith("Basic ") else ""
        user, _, password = base64.b64decode(basic).decode().partition(":")
        self.server.users.append(f"{user}:{password}")
        if self.server.moved:
            self.send_response(301)
            self.send_header("Location", self.server.moved + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        refused = self.server.password and password != self.server.password
        if refused or (self.server.header and header != self.server.header):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        result = subprocess.run(
            ["git", "http-backend"],
            input=self.rfile.read(length),
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.server.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(length),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            },
            capture_output=True,
            check=False,
        )
        head, _, body = result.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def serve_git(folder: Path) -> Iterator[GitWeb]:
    """A web server of the repositories in a folder."""
    server = GitWeb(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
