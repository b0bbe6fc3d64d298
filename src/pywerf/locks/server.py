"""The lock server: HTTP over a table of leases. `werf synchronization` runs it."""

from __future__ import annotations

import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from pywerf.errors import LockError, LockLost, WerfError
from pywerf.locks.table import LeaseTable
from pywerf.locks.wire import NO_LEASE, SHOULD_WAIT, AcquireRequest, Answer, HandleRequest, HealthRequest
from pywerf.oci.document import json_decoder

__all__ = ["LockServer"]

MAX_BODY = 64 << 10
_LOCKER = re.compile(r"/(?P<client>[\w.-]{1,128})/locker/(?P<verb>acquire|renew-lease|release)", re.ASCII)


class LockServer:
    """Serves the leases of `table`, which becomes its own, on `host`:`port` (0: any free one)."""

    def __init__(self, table: LeaseTable, host: str, port: int) -> None:
        self._table = table

        class Handler(_Handler):
            leases = table

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            table.close()
            raise LockError(f"cannot listen on {host}:{port}: {error}", hint="choose another --port") from error
        self._server.daemon_threads = True

    @property
    def address(self) -> str:
        """`http://HOST:PORT`, as clients name it."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def serve(self) -> None:
        """Answer requests until `stop` is called, or this thread is interrupted."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """End `serve`, from another thread."""
        self._server.shutdown()

    def close(self) -> None:
        """Stop listening, and close the table."""
        self._server.server_close()
        self._table.close()


class _Handler(BaseHTTPRequestHandler):
    leases: LeaseTable
    protocol_version = "HTTP/1.1"
    timeout = 60  # of an idle connection

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            self._send(413 if length.isdigit() else 411, Answer("a body of known and moderate length is needed"))
            return
        body = self.rfile.read(int(length))
        try:
            answer = self._answer(body)
        except LockLost:
            answer = Answer(NO_LEASE)
        except WerfError as error:
            answer = Answer(error.message)
        except msgspec.DecodeError as error:
            self._send(400, Answer(str(error)))
            return
        if answer is None:
            self._send(404, Answer(f"nothing is at {self.path}"))
        else:
            self._send(200, answer)

    def do_GET(self) -> None:
        self._send(405, Answer("requests are POSTs"))

    def _answer(self, body: bytes) -> Answer | None:
        if self.path == "/health":
            return Answer(None, echo=json_decoder(HealthRequest).decode(body).echo, status="OK")
        if self.path == "/new-client-id":
            return Answer(None, client=os.urandom(16).hex())
        match = _LOCKER.fullmatch(self.path)
        if match is None:
            return None
        leases = self.leases.of(match["client"])
        if match["verb"] == "acquire":
            request = json_decoder(AcquireRequest).decode(body)
            wanted = request.options
            handle = leases.acquire(request.name, wanted.shared, wanted.acquirer or os.urandom(16).hex())
            return Answer(SHOULD_WAIT if handle is None else None, handle=handle)
        lease = json_decoder(HandleRequest).decode(body).handle
        (leases.renew if match["verb"] == "renew-lease" else leases.release)(lease)
        return Answer(None)

    def _send(self, status: int, answer: Answer) -> None:
        data = msgspec.json.encode(answer)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged: a build sends one every few seconds."""
