"""A server that answers each request with the bytes that a test has written, and keeps what it was sent."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import BinaryIO

__all__ = ["ScriptedServer", "scripted"]


class ScriptedServer:
    """Answers in the order of `answers`; None closes the connection without one. Connections are served in turn.

    `unread`: the body of a request is not read before its answer, and the connection is closed after it.
    """

    def __init__(self, answers: Sequence[bytes | None], *, unread: bool = False) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self._answers = list(answers)
        self._unread = unread
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Stop serving; the client's connections have to be closed before."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with connection, connection.makefile("rb") as file, contextlib.suppress(ConnectionError):
                while self._answers and self._request(file):
                    answer = self._answers.pop(0)
                    if answer is None:
                        break
                    connection.sendall(answer)
                    if self._unread or b"connection: close" in answer.lower() or not _framed(answer):
                        break

    def _request(self, file: BinaryIO) -> bool:
        lines = []
        while line := file.readline():
            lines.append(line)
            if line == b"\r\n":
                break
        if not lines:
            return False
        head = b"".join(lines)
        self.heads.append(head)
        found = re.search(rb"(?i)content-length: (\d+)", head)
        if not self._unread:
            self.bodies.append(file.read(int(found[1])) if found else b"")
        return True


def _framed(answer: bytes) -> bool:
    """Whether the end of an answer can be told without the connection's."""
    return bool(re.search(rb"(?i)content-length:|transfer-encoding:| 204 | 304 ", answer))


@contextlib.contextmanager
def scripted(*answers: bytes | None, unread: bool = False) -> Iterator[ScriptedServer]:
    """A server that is there until the end of the block."""
    server = ScriptedServer(answers, unread=unread)
    try:
        yield server
    finally:
        server.close()
