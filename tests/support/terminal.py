"""A terminal with a person at it: a command on a real pty, what it shows, and what is typed."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

__all__ = ["Terminal"]

PATIENCE = 180.0  # seconds: machines may be busy


def _take_terminal() -> None:
    """In the child: standard input is the terminal of its new session, so that Ctrl-C and hanging up reach it."""
    for signum in (signal.SIGHUP, signal.SIGINT):  # whoever has started the tests may have had them ignored
        signal.signal(signum, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A context manager; the command is killed at the end if it still runs. `shown` is all that was seen so far."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        size: tuple[int, int] = (40, 120),
    ) -> None:
        self._master, self._slave = os.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            [str(word) for word in argv],
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env={**(os.environ if env is None else env), "TERM": "xterm"},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_take_terminal,  # nothing of ours runs in other threads
        )
        self.shown = ""
        self._seen = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for fd in (self._master, self._slave):
            if fd >= 0:
                os.close(fd)

    @property
    def settings(self) -> list[Any]:
        """How the terminal is set now: see `before`."""
        return termios.tcgetattr(self._slave)

    def resize(self, lines: int, columns: int) -> None:
        """Give the window another size; the kernel tells who has the terminal."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: str) -> None:
        """Type something; `\\n` is Return, `\\x03` Ctrl-C."""
        os.write(self._master, text.encode())

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until something is shown, after what was waited for before; fails the test when it does not come."""
        end = time.monotonic() + PATIENCE
        while True:
            match = re.compile(pattern, re.MULTILINE).search(self.shown, self._seen)
            if match is not None:
                self._seen = match.end()
                return match
            if not self._read(1.0) and self.process.poll() is not None and not self._read(0):
                break
            if time.monotonic() > end:
                break
        pytest.fail(f"{pattern!r} was not shown, but:\n{self.shown}", pytrace=False)

    def ask(self, command: str, pattern: str) -> re.Match[str]:
        """Type a command to a shell, and wait for its answer, which begins a line: the echo of the command does not."""
        self.type(f"{command}\n")
        return self.expect(f"^(?:{pattern})")

    def hang_up(self) -> None:
        """Close the window."""
        os.close(self._master)
        self._master = -1

    def wait(self) -> int:
        """Read to the end; the exit status, -N for signal N."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            if self._master < 0:
                time.sleep(0.05)
            else:
                self._read(0.2)
        while self._master >= 0 and self._read(0):
            pass
        if self.process.poll() is None:
            pytest.fail(f"it does not end:\n{self.shown}", pytrace=False)
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # EIO: nobody has the terminal
            return False
        self.shown += data.decode(errors="replace")
        return bool(data)
