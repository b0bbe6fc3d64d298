"""A gRPC server on one connection that is there already: the client's end of BuildKit's session.

gRPC over HTTP/2 (grpc/grpc, doc/PROTOCOL-HTTP2.md), without compression, deadlines and TLS, which the session does not
use. Every call has a thread of its own.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pywerf.errors import WerfError

if TYPE_CHECKING:
    import queue

__all__ = ["Call", "GrpcServer", "Handler", "Refused"]

OK, UNKNOWN, NOT_FOUND, UNIMPLEMENTED, INTERNAL = 0, 2, 5, 12, 13
_RECEIVE = 1 << 16
_LARGEST = 32 << 20  # bytes of a message
_WINDOW = 1 << 20


class Refused(Exception):
    """What a handler raises to answer with a status of gRPC."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Call:
    """One call: its metadata, its messages in, its messages out."""

    def __init__(self, server: GrpcServer, stream: int, metadata: dict[str, list[str]]) -> None:
        import queue

        self._server = server
        self._stream = stream
        self.metadata = metadata
        self.messages: queue.Queue[bytes | None] = queue.Queue()
        self._buffer = b""
        self.gone = False

    def read(self) -> bytes | None:
        """The next message; None when the caller has no more, or is gone."""
        return self.messages.get()

    def write(self, message: bytes) -> None:
        """Send a message. Raises ConnectionError when the caller is gone."""
        self._server.send(self, self._stream, len(message).to_bytes(5, "big") + message)

    def feed(self, data: bytes) -> None:
        """More of the stream's data: whole messages become readable. Raises ValueError for what is no gRPC."""
        self._buffer += data
        while len(self._buffer) >= 5:
            size = int.from_bytes(self._buffer[1:5], "big")
            if self._buffer[0] or size > _LARGEST:
                raise ValueError("a compressed or oversized message")
            if len(self._buffer) < 5 + size:
                return
            self.messages.put(self._buffer[5 : 5 + size])
            self._buffer = self._buffer[5 + size :]

    def end(self, *, gone: bool) -> None:
        """No more messages come; `gone`: none are taken, either."""
        self.gone = self.gone or gone
        self.messages.put(None)


Handler = Callable[[Call], None]


class GrpcServer:
    """Serves the methods (`/package.Service/Method`) until the other side, or `close`, ends the connection."""

    def __init__(self, peer: socket.socket, handlers: Mapping[str, Handler], begin: bytes = b"") -> None:
        """`begin` is what has been read of the connection already."""
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        self._peer = peer
        self._handlers = handlers
        self._begin = begin
        self._changed = threading.Condition()
        self._calls: dict[int, Call] = {}
        self._ended = False
        self._http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._thread = threading.Thread(target=self._serve, name="buildkit-session", daemon=True)

    def start(self) -> None:
        """Begin to serve, on a thread."""
        from h2.settings import SettingCodes

        with self._changed:
            self._http.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = _WINDOW
            self._http.initiate_connection()
            self._flush()
        self._thread.start()

    def close(self) -> None:
        """End the connection and wait for the thread that serves it. Idempotent."""
        try:
            self._peer.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is closed already
        if self._thread.is_alive():
            self._thread.join(5.0)
        self._peer.close()

    def send(self, call: Call, stream: int, data: bytes) -> None:
        """Send data of a call as the windows of flow control let it."""
        view = memoryview(data)
        with self._changed:
            while view:
                if self._ended or call.gone:
                    raise ConnectionError("the daemon has ended the call")
                room = min(self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size)
                if room <= 0:
                    self._changed.wait()
                    continue
                self._http.send_data(stream, bytes(view[:room]))
                self._flush()
                view = view[room:]

    def _flush(self) -> None:
        data = self._http.data_to_send()
        if data:
            self._peer.sendall(data)

    def _serve(self) -> None:
        from h2.exceptions import ProtocolError

        try:
            data = self._begin or self._peer.recv(_RECEIVE)
            while data:
                with self._changed:
                    for event in self._http.receive_data(data):
                        self._take(event)
                    self._flush()
                    self._changed.notify_all()
                data = self._peer.recv(_RECEIVE)
        except (OSError, ProtocolError, ValueError):
            pass  # the build's own connection says what became of it
        with self._changed:
            self._ended = True
            for call in self._calls.values():
                call.end(gone=True)
            self._changed.notify_all()

    def _take(self, event: Any) -> None:
        from h2 import events

        if isinstance(event, events.RequestReceived):
            self._begin_call(event.stream_id, event.headers)
        elif isinstance(event, events.DataReceived):
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id in self._calls:
                self._calls[event.stream_id].feed(event.data)
        elif isinstance(event, events.StreamEnded | events.StreamReset) and event.stream_id in self._calls:
            self._calls[event.stream_id].end(gone=isinstance(event, events.StreamReset))

    def _begin_call(self, stream: int, headers: Any) -> None:
        metadata: dict[str, list[str]] = {}
        for name, value in headers:
            metadata.setdefault(name, []).append(value)
        call = self._calls[stream] = Call(self, stream, metadata)
        handler = self._handlers.get(metadata.get(":path", [""])[0])
        threading.Thread(target=self._run, args=(stream, call, handler), name="buildkit-call", daemon=True).start()

    def _run(self, stream: int, call: Call, handler: Handler | None) -> None:
        from h2.exceptions import ProtocolError

        status, message = OK, ""
        try:
            with self._changed:
                self._http.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
            if handler is None:
                raise Refused(UNIMPLEMENTED, "unknown method")
            handler(call)
        except Refused as refusal:
            status, message = refusal.status, str(refusal)
        except WerfError as error:
            status, message = UNKNOWN, str(error)
        except (OSError, ProtocolError) as error:
            status, message = INTERNAL, str(error)
        try:
            with self._changed:
                self._calls.pop(stream, None)
                if not (self._ended or call.gone):
                    trailers = [("grpc-status", str(status)), ("grpc-message", quote(message, safe=" /:=(),'[]"))]
                    self._http.send_headers(stream, trailers, end_stream=True)
                    self._flush()
        except (OSError, ProtocolError):
            return  # the other side is gone
