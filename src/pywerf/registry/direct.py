"""HTTP/1.1 (RFC 9112) to servers that are reached without a proxy: connections that are kept, requests, responses.

Loading urllib3 takes several times as long as a build without changes has for its one request; what is here takes next
to nothing.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, urlsplit

from pywerf.registry.http_message import CutShort, Headers, NoAnswer

if TYPE_CHECKING:
    import ssl

__all__ = ["Direct", "DirectResponse"]

MAX_LINE = 64 << 10
MAX_HEADERS = 100
MAX_IDLE = 16  # connections to one server that are kept
DEFAULT_PORTS = {"http": 80, "https": 443}
# What an address may have in it as it is (RFC 3986, 3.3 and 3.4); anything else is encoded.
TARGET = "/%:@!$&'()*+,;=-._~?"

Place = tuple[str, str, int]


class Direct:
    """Connections to any number of servers. Safe for use by several threads. Times in seconds.

    `context` makes the TLS context when the first server wants one.
    """

    def __init__(self, context: Callable[[], ssl.SSLContext], *, connect_timeout: float, read_timeout: float) -> None:
        self._context = context
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._idle: dict[Place, list[_Connection]] = {}
        self._lock = threading.Lock()

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
    ) -> DirectResponse:
        """One attempt of one request. A `body` of chunks needs a Content-Length header.

        Raises NoAnswer, OSError (TimeoutError, socket.gaierror and ssl.SSLError are such), ValueError for what is no
        address or no header; what the body's iterator raises goes through.
        """
        parts = urlsplit(url)
        host = parts.hostname
        if not host or parts.scheme not in DEFAULT_PORTS:
            raise ValueError(f"not an address: {url}")
        port = DEFAULT_PORTS[parts.scheme]
        place = (parts.scheme, host, parts.port or port)
        name = f"[{host}]" if ":" in host else host
        target = quote(parts.path or "/", safe=TARGET) + (f"?{quote(parts.query, safe=TARGET)}" if parts.query else "")
        head = _head(method, target, name if place[2] == port else f"{name}:{place[2]}", headers, body)
        connection = self._taken(place)
        try:
            whole = connection.send(head, body)
            return connection.response(method, keep=whole, give_back=lambda: self._give_back(place, connection))
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close every idle connection. Idempotent; the object can still be used."""
        with self._lock:
            idle = [connection for connections in self._idle.values() for connection in connections]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _taken(self, place: Place) -> _Connection:
        """A connection that nobody else uses."""
        while True:
            with self._lock:
                idle = self._idle.get(place)
                connection = idle.pop() if idle else None
            if connection is None:
                return self._connected(place)
            if connection.usable():
                return connection
            connection.close()

    def _give_back(self, place: Place, connection: _Connection) -> None:
        with self._lock:
            idle = self._idle.setdefault(place, [])
            if len(idle) < MAX_IDLE:
                idle.append(connection)
                return
        connection.close()

    def _connected(self, place: Place) -> _Connection:
        scheme, host, port = place
        plain = _reached(host, port, self._connect_timeout)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if scheme == "https":
                # the plain socket is a part of this one from now on
                plain = self._context().wrap_socket(plain, server_hostname=host.rstrip("."))
            plain.settimeout(self._read_timeout)
            return _Connection(plain)
        except BaseException:
            plain.close()
            raise


class _Connection:
    """A connection: one request and its response after the other."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._file: BinaryIO = connected.makefile("rb")

    def __del__(self) -> None:
        self.close()  # one that is idle goes with those who might have used it

    def usable(self) -> bool:
        """Whether the server has not closed it, or said something without being asked."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Idempotent."""
        self._file.close()
        self._socket.close()

    def send(self, head: bytes, body: bytes | Iterable[bytes] | None) -> bool:
        """Send a request; False: the server did not take all of it, but its answer may say why."""
        chunks: Iterable[bytes] = ()
        if isinstance(body, bytes):
            head += body
        elif body is not None:
            chunks = body
        try:
            self._socket.sendall(head)
            for chunk in chunks:
                self._socket.sendall(chunk)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def response(self, method: str, *, keep: bool, give_back: Callable[[], None]) -> DirectResponse:
        """What the server answers. `keep`: the connection may be used again afterwards, by way of `give_back`."""
        while True:
            version, status, reason, headers = _read_head(self._file)
            if status >= 200:  # 100, 103: another one follows
                break
        said = headers.get("Connection").lower()
        keep = keep and "close" not in said and (version == b"HTTP/1.1" or "keep-alive" in said)
        chunked = left = None
        if method == "HEAD" or status in (204, 304):
            left = 0
        elif headers.get("Transfer-Encoding").lower().rpartition(",")[2].strip() == "chunked":
            chunked = _Chunks(self._file)
        else:
            left = _length(headers)
        return DirectResponse(
            status, reason, headers, self, self._file, left, chunked, give_back if keep else self.close
        )


class DirectResponse:
    """Response of a direct connection."""

    __slots__ = ("_chunks", "_connection", "_end", "_file", "headers", "left", "reason", "status")

    def __init__(
        self,
        status: int,
        reason: str,
        headers: Headers,
        connection: _Connection,
        file: BinaryIO,
        left: int | None,
        chunks: _Chunks | None,
        end: Callable[[], None],
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.left = left
        self._connection: _Connection | None = connection
        self._file = file
        self._chunks = chunks
        self._end = end

    def read(self, amount: int) -> bytes:
        """Response."""
        if self.left == 0 or self._connection is None:
            return b""
        if self._chunks is not None:
            data = self._chunks.read(amount)
            if not data:
                self.left = 0
            return data
        if self.left is None:  # until the end of the connection
            return self._file.read(amount)
        data = self._file.read(min(amount, self.left))
        if not data:
            raise CutShort
        self.left -= len(data)
        return data

    def release(self) -> None:
        """Response."""
        if self.left == 0 and self._connection is not None:
            self._connection = None
            self._end()
        self.close()

    def close(self) -> None:
        """Response."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Chunks:
    """A body in chunks (RFC 9112, 7.1)."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left: int | None = None  # of the chunk; None before the first one
        self._ended = False

    def read(self, amount: int) -> bytes:
        """Up to `amount` bytes; fewer at the end only, after which the next response follows."""
        pieces: list[bytes] = []
        while amount and not self._ended:
            if not self._left:
                self._next()
                continue
            piece = self._file.read(min(amount, self._left))
            if not piece:
                raise CutShort
            pieces.append(piece)
            self._left -= len(piece)
            amount -= len(piece)
        return b"".join(pieces)

    def _next(self) -> None:
        if self._left is not None and _line(self._file):
            raise CutShort  # a chunk that is longer than it said
        size = _line(self._file).partition(b";")[0].strip()
        if not size or size.strip(b"0123456789abcdefABCDEF"):
            raise CutShort
        self._left = int(size, 16)
        if not self._left:
            _read_headers(self._file)
            self._ended = True


def _reached(host: str, port: int, timeout: float) -> socket.socket:
    """A socket that is connected to the first address of a host that answers."""
    labels = host.removesuffix(".").split(".")
    name: Any = host
    if host.isascii() and all(0 < len(label) < 64 for label in labels):
        name = host.encode()  # text would go through a codec that takes longer to load than this does altogether
    return socket.create_connection((name, port), timeout)


def _head(
    method: str, target: str, host: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None
) -> bytes:
    """The beginning of a request. Raises ValueError for a header that would end it."""
    sent = {"Host": host, "Accept-Encoding": "identity", **headers}
    if isinstance(body, bytes):
        sent["Content-Length"] = str(len(body))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header of several lines")
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def _read_head(file: BinaryIO) -> tuple[bytes, int, str, Headers]:
    """Version, status, reason and headers."""
    try:
        version, status, *reason = _line(file).split(None, 2)
    except (CutShort, ValueError):
        raise NoAnswer from None
    if not version.startswith(b"HTTP/1.") or len(status) != 3 or not status.isdigit():
        raise NoAnswer
    return version, int(status), b"".join(reason).decode("latin-1").strip(), _read_headers(file)


def _read_headers(file: BinaryIO) -> Headers:
    items: list[tuple[str, str]] = []
    while line := _line(file):
        if line[:1] in b" \t" and items:  # a line folded, as long ago
            name, value = items.pop()
            items.append((name, f"{value} {line.decode('latin-1').strip()}"))
            continue
        named, colon, value_bytes = line.partition(b":")
        if not colon or len(items) >= MAX_HEADERS:
            raise NoAnswer
        items.append((named.decode("latin-1"), value_bytes.decode("latin-1")))
    return Headers(items)


def _line(file: BinaryIO) -> bytes:
    """A line without its end. Raises CutShort when there is none, NoAnswer for one without end."""
    line = file.readline(MAX_LINE + 1)
    if not line.endswith(b"\n"):
        raise NoAnswer if len(line) > MAX_LINE else CutShort
    return line.rstrip(b"\r\n")


def _length(headers: Headers) -> int | None:
    """The length of a body by Content-Length; None: it ends with the connection. Raises NoAnswer."""
    said = {value.strip() for one in headers.getlist("Content-Length") for value in one.split(",")}
    if not said:
        return None
    length = said.pop()
    if said or not length.isascii() or not length.isdigit():
        raise NoAnswer
    return int(length)
