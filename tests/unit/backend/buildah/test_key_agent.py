"""The agent of our own: what it answers, byte for byte."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.backend.buildah.key_agent import KeyAgent, string

FAILURE = b"\x05"


class Key:
    """A key whose signatures can be read."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob
        self.comment = f"comment of {blob.decode()}"

    def sign(self, data: bytes, flags: int) -> bytes:
        return b"%s signs %s with %d" % (self.blob, data, flags)


AGENT = KeyAgent([Key(b"one"), Key(b"two")])


def ask(client: socket.socket, message: bytes) -> bytes:
    client.sendall(string(message))
    with client.makefile("rb") as stream:
        return stream.read(int.from_bytes(stream.read(4)))


def sign_request(blob: bytes, data: bytes, flags: int) -> bytes:
    return b"\x0d" + string(blob) + string(data) + struct.pack(">I", flags)


def test_it_tells_its_keys() -> None:
    with AGENT.connect() as client:
        pairs = [string(b"one") + string(b"comment of one"), string(b"two") + string(b"comment of two")]
        assert ask(client, b"\x0b") == b"\x0c" + struct.pack(">I", 2) + b"".join(pairs)


def test_it_signs() -> None:
    with AGENT.connect() as client:
        assert ask(client, sign_request(b"two", b"this", 4)) == b"\x0e" + string(b"two signs this with 4")
        assert ask(client, sign_request(b"three", b"this", 4)) == FAILURE


@pytest.mark.parametrize("kind", [17, 18, 19, 22, 25, 27])
def test_nothing_changes_it(kind: int) -> None:
    """Add, remove, remove all, lock, add with constraints, extensions."""
    with AGENT.connect() as client:
        assert ask(client, bytes([kind]) + string(b"one")) == FAILURE
        assert ask(client, b"\x0b")[0] == 12


@pytest.mark.parametrize("head", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\4\0\1", b"\0"])
def test_a_message_without_a_sensible_length_ends_it(head: bytes) -> None:
    with AGENT.connect() as client:
        client.sendall(head)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(10) == b""


@given(st.binary(min_size=1, max_size=40) | st.binary(max_size=40).map(lambda tail: b"\x0d" + tail))
def test_any_message_has_an_answer(message: bytes) -> None:
    assert AGENT.answer(message)[0] in (5, 12, 14)
