"""Messages: what is written is read again; what is no message is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.backend.docker.protobuf import Message, bytes_field, int_field, varint


@given(st.integers(0, 2**64 - 1), st.binary(), st.text())
def test_round_trip(number: int, data: bytes, text: str) -> None:
    inner = int_field(1, number) + bytes_field(2, data)
    message = Message(int_field(3, number) + bytes_field(4, inner, always=True) + bytes_field(5, text))
    assert message.number(3) == number
    assert message.text(5) == text
    (nested,) = message.messages(4)
    assert (nested.number(1), nested.data(2)) == (number, data)


def test_what_is_missing_is_empty() -> None:
    message = Message(b"")
    assert (message.number(1), message.data(1), message.text(1), message.messages(1)) == (0, b"", "", [])
    assert 1 not in message


def test_known_bytes() -> None:
    # protobuf.dev/programming-guides/encoding: field 1 is 150; field 2 is "testing"
    assert int_field(1, 150) == bytes.fromhex("089601")
    assert bytes_field(2, "testing") == bytes.fromhex("120774657374696e67")
    assert varint(-1) == b"\xff" * 9 + b"\x01"


def test_fixed_width_fields_are_skipped() -> None:
    message = Message(b"\x09" + bytes(8) + b"\x15" + bytes(4) + int_field(3, 7))
    assert message.number(3) == 7


@given(st.binary())
def test_no_message_is_refused_or_read(data: bytes) -> None:
    try:
        Message(data)
    except ValueError:
        return


@pytest.mark.parametrize("data", ["08", "0a05616263", "0b", "ffffffffffffffffffffff01"])
def test_damaged(data: str) -> None:
    with pytest.raises(ValueError, match=r"message|wire type|number"):
        Message(bytes.fromhex(data))
