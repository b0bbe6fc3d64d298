"""Becomes fuse-overlayfs, with its mount in nobody's namespace: who holds the descriptor of the mount has it.

Started as `python -I -S -c …` by `pywerf.snapshot.fuse` with a socket as descriptor 3 and the program's arguments in
argv: standard library and `syscalls` only. The mount is made here, in a mount namespace of this process's own, a
detached copy of it (open_tree(2)) is sent over the socket, and the mount itself goes. So it is seen nowhere; whoever
has the descriptor moves it to where it is wanted, and when the last place and descriptor are gone the kernel ends the
connection, and with it the program. A killed build leaves nothing mounted.

The answer on the socket is one datagram: R with the descriptor, or E and marshal((step, errno, text)).
"""

from __future__ import annotations

import _socket
import marshal
import os
import struct

from pywerf.linux import syscalls as sys
from pywerf.linux.stage import STAGE, Steps

TYPE_CHECKING = False  # the typing module would double the start-up time
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]

SOCKET, FUSE = 3, 4


def _open_many_files() -> None:
    """As many as are allowed at all: the program holds every layer open, and every file that is in use."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(program: str, options: str, data: str) -> NoReturn:
    """Mount, send, and run `program -f -o OPTIONS`; `data` are the options of the mount itself."""
    answer = _socket.socket(fileno=SOCKET)
    step = Steps()
    _open_many_files()
    try:
        step("make a mount namespace")
        sys.unshare(sys.CLONE_NEWNS)
        sys.mount(None, "/", None, sys.MS_REC | sys.MS_PRIVATE)
        step("open /dev/fuse")
        fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        if fuse != FUSE:
            os.dup2(fuse, FUSE)
            os.close(fuse)
        os.set_inheritable(FUSE, True)
        step("mount fuse")
        sys.mount("fuse-overlayfs", STAGE, "fuse.fuse-overlayfs", 0, f"fd={FUSE},{data}")
        step("detach the mount")
        tree = sys.open_tree(sys.AT_FDCWD, STAGE, sys.OPEN_TREE_CLONE | sys.OPEN_TREE_CLOEXEC)
        sys.umount2(STAGE, sys.MNT_DETACH)
    except OSError as error:
        failed = step.failed(error)
        answer.send(b"E" + marshal.dumps((failed.step, failed.number, failed.text)))
        os._exit(1)
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", tree))]
    answer.sendmsg([b"R"], rights)
    os.close(tree)
    answer.close()
    try:
        os.execv(program, [program, "-f", "-o", options, f"/dev/fd/{FUSE}"])
    finally:
        os._exit(127)
