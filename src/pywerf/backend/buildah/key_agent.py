"""An ssh agent of our own for `--ssh ID=KEYFILE`: it tells its keys and signs with them, and does nothing else.

The protocol is that of draft-ietf-sshm-ssh-agent: a length of four bytes, a type of one, and what belongs to it. What
would change an agent (add, remove, lock) and all extensions are refused.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

__all__ = ["AgentKey", "KeyAgent", "string"]

_FAILURE: Final = 5
_REQUEST_IDENTITIES: Final = 11
_IDENTITIES_ANSWER: Final = 12
_SIGN_REQUEST: Final = 13
_SIGN_RESPONSE: Final = 14
_LARGEST: Final = 256 << 10  # OpenSSH's own limit for a message


class AgentKey(Protocol):
    """A private key. `blob` is its public half as SSH writes it (RFC 4253, section 6.6)."""

    @property
    def blob(self) -> bytes: ...

    @property
    def comment(self) -> str: ...

    def sign(self, data: bytes, flags: int) -> bytes:
        """The signature blob; `flags` tell which hash an RSA key is to use (2: SHA-256, 4: SHA-512)."""


class KeyAgent:
    """Answers for a list of keys, as many at once as ask."""

    def __init__(self, keys: Sequence[AgentKey]) -> None:
        self._keys = tuple(keys)

    def connect(self) -> socket.socket:
        """A new conversation with the agent; it ends when the socket is closed."""
        client, own = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        threading.Thread(target=self._serve, args=(own,), name="ssh-keys", daemon=True).start()
        return client

    def _serve(self, own: socket.socket) -> None:
        with own, own.makefile("rb") as stream:
            while True:
                try:
                    head = stream.read(4)
                    length = int.from_bytes(head)
                    if len(head) < 4 or not 1 <= length <= _LARGEST:
                        return
                    message = stream.read(length)
                    if len(message) < length:
                        return
                    own.sendall(string(self.answer(message)))
                except OSError:
                    return  # who asked has gone

    def answer(self, message: bytes) -> bytes:
        """The answer to one message, both without their length."""
        failure = bytes([_FAILURE])
        if message[0] == _REQUEST_IDENTITIES:
            pairs = [string(key.blob) + string(key.comment.encode("utf-8", "surrogateescape")) for key in self._keys]
            return struct.pack(">BI", _IDENTITIES_ANSWER, len(pairs)) + b"".join(pairs)
        if message[0] != _SIGN_REQUEST:
            return failure
        try:
            blob, data, flags = _sign_request(message[1:])
        except ValueError:
            return failure
        for key in self._keys:
            if key.blob == blob:
                return bytes([_SIGN_RESPONSE]) + string(key.sign(data, flags))
        return failure


def string(data: bytes) -> bytes:
    """An SSH string (RFC 4251, section 5): its length, and its bytes."""
    return struct.pack(">I", len(data)) + data


def _sign_request(body: bytes) -> tuple[bytes, bytes, int]:
    """(key blob, data, flags). Raises ValueError."""
    blob, data, flags = _fields(body)
    return blob, data, int.from_bytes(flags)


def _fields(body: bytes) -> Iterator[bytes]:
    for _ in range(2):
        length = int.from_bytes(body[:4])
        field, body = body[4 : 4 + length], body[4 + length :]
        if len(field) < length:
            raise ValueError("the message ends too early")
        yield field
    if len(body) != 4:
        raise ValueError("no flags")
    yield body
