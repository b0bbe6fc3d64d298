"""What the launcher, its children and the program that started it say to each other: descriptors and frames.

In processes that start containers: standard library only. Which messages there are stands in `pywerf.linux.child`.
"""

from __future__ import annotations

import _socket
import marshal
import os
import struct

from pywerf.linux import syscalls as sys

TYPE_CHECKING = False  # the typing module would double the launcher's start-up time
if TYPE_CHECKING:
    Frame = list[str] | int | tuple[str, int | None, str | None]

__all__ = ["close_others", "read_all", "received_descriptors", "send_descriptors", "send_frame"]


def received_descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that came with a message."""
    descriptors: list[int] = []
    for level, kind, data in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            descriptors += struct.unpack(f"{len(data) // 4}i", data)
    return descriptors


def send_descriptors(to: _socket.socket, data: bytes, descriptors: list[int]) -> None:
    """A message with descriptors. Raises OSError when the other side is gone."""
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"{len(descriptors)}i", *descriptors))]
    to.sendmsg([data], rights, _socket.MSG_NOSIGNAL)


def send_frame(to: _socket.socket, kind: bytes, value: Frame, descriptor: int | None = None) -> None:
    """A frame, with a descriptor on its first byte. The other side may be gone: that is its business."""
    body = marshal.dumps(value)
    frame = kind + len(body).to_bytes(4, "little") + body
    rights = []
    if descriptor is not None:
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", descriptor))]
    try:
        sent = to.sendmsg([frame], rights, _socket.MSG_NOSIGNAL)
        if sent < len(frame):
            to.sendall(frame[sent:], _socket.MSG_NOSIGNAL)
    except ConnectionError:
        return


def read_all(fd: int) -> bytes:
    """The whole of a file, wherever its descriptor stands."""
    size = os.fstat(fd).st_size
    pieces = []
    offset = 0
    while offset < size:
        piece = os.pread(fd, size - offset, offset)
        if not piece:
            break
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def close_others(keep: list[int]) -> None:
    """Close every descriptor above 2 but these: a child must not hold other containers' pipes open."""
    first = 3
    for fd in sorted(keep):
        if fd > first:
            sys.close_range(first, fd - 1)
        first = fd + 1
    sys.close_range(first, -1)
