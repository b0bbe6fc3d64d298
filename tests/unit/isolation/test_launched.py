"""What the launcher's frames bring."""

from __future__ import annotations

import marshal
import os
import socket

from pywerf.isolation.launched import Frames


def frame(kind: bytes, value: list[str] | int) -> bytes:
    data = marshal.dumps(value)
    return kind + len(data).to_bytes(4, "little") + data


def test_a_descriptor_comes_with_its_frame_and_is_not_inherited() -> None:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    reader, writer = os.pipe()
    with mine, theirs:
        socket.send_fds(theirs, [frame(b"R", ["etc/made"])], [writer])
        theirs.sendall(frame(b"X", 256))
        frames = Frames(mine)
        kind, value, received = frames.receive()
        assert (kind, value) == (b"R", ["etc/made"])
        assert received is not None
        assert not os.get_inheritable(received)
        os.write(received, b"through")
        assert os.read(reader, 16) == b"through"
        assert frames.receive() == (b"X", 256, None)
    for fd in (reader, writer, received):
        os.close(fd)
