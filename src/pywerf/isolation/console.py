"""The user's side of a container's terminal (`werf run -it`, shells): raw mode, window size, copying both ways."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, NamedTuple

from pywerf.isolation.spec import Container, ContainerResult

__all__ = ["Console", "OwnTerminal", "attach", "own_terminal"]

CHUNK = 1 << 16
END_OF_FILE = b"\x04"  # ^D: what a terminal's reader takes for the end


class Console:
    """A terminal in raw mode whose size follows to `master`; restored on exit.

    `resized` is told the size (columns, lines) instead, where `master` is no terminal but leads to one. `stdin` that
    is no terminal is left alone. Used in the main thread, where signals arrive.
    """

    def __init__(self, master: int, stdin: int, resized: Callable[[os.terminal_size], None] | None = None) -> None:
        self._master = master
        self._stdin = stdin
        self._resized = resized
        self._saved: list[Any] | None = None  # as termios has it: numbers, and a list of characters
        self._handler: Callable[[int, FrameType | None], Any] | int | None = None  # as signal() has it

    def __enter__(self) -> Console:
        if os.isatty(self._stdin):
            import signal
            import termios
            import tty

            self._saved = termios.tcgetattr(self._stdin)
            tty.setraw(self._stdin, termios.TCSANOW)
            self._handler = signal.signal(signal.SIGWINCH, self._on_resize)
            self._copy_size()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._saved is not None:
            import signal
            import termios

            signal.signal(signal.SIGWINCH, self._handler)
            with suppress(termios.error):  # a terminal that hung up is nobody's any more
                termios.tcsetattr(self._stdin, termios.TCSADRAIN, self._saved)
            self._saved = None

    def _on_resize(self, _signum: int, _frame: FrameType | None) -> None:
        self._copy_size()

    def _copy_size(self) -> None:
        if self._resized is not None:
            with suppress(OSError):
                self._resized(os.get_terminal_size(self._stdin))
            return
        import termios
        from fcntl import ioctl

        try:
            ioctl(self._master, termios.TIOCSWINSZ, ioctl(self._stdin, termios.TIOCGWINSZ, bytes(8)))
        except OSError:
            return  # the terminal went away meanwhile, which the copying notices

    def copy(self, stdout: int) -> bool:
        """Copy until the container's side is closed: keys one way, output the other.

        False when the user's terminal hung up before that.
        """
        import select

        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        poll.register(self._stdin, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                data = _read(fd)
                if fd == self._master:
                    if not data:
                        return True
                    _write_all(stdout, data)
                elif data:
                    _write_all(self._master, data)
                elif self._saved is not None:
                    return False  # a terminal in raw mode has no other end
                else:
                    poll.unregister(self._stdin)
                    _write_all(self._master, END_OF_FILE)


def attach(container: Container, master: int, stdin: int, stdout: int) -> ContainerResult:
    """Connect a container's terminal (`LaunchedContainer.console`) to the user's until it ends.

    One whose user is gone, or that is interrupted, is killed.
    """
    try:
        with Console(master, stdin) as console:
            ended = console.copy(stdout)
        if not ended:
            container.kill()
        return container.wait()
    except BaseException:
        container.kill()
        container.wait()
        raise


class OwnTerminal(NamedTuple):
    """The descriptors of the user's terminal: keys are read from one, the screen is the other."""

    stdin: int
    screen: int


def own_terminal() -> OwnTerminal | None:
    """The terminal that this process has: standard input, and standard error or output; None without one.

    Standard error comes first: what a command is asked for goes to standard output, often elsewhere.
    """
    if not os.isatty(0):
        return None
    screen = next((fd for fd in (2, 1) if os.isatty(fd)), None)
    return None if screen is None else OwnTerminal(0, screen)


def _read(fd: int) -> bytes:
    """Up to a chunk; empty at the end, which a terminal whose other side is closed tells by EIO."""
    import errno

    try:
        return os.read(fd, CHUNK)
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except OSError as error:
            import errno

            if error.errno == errno.EIO:
                return
            raise
