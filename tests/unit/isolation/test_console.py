"""Copying between a terminal and pipes, without a container."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from pywerf.isolation.console import Console, attach, own_terminal
from pywerf.isolation.spec import ContainerResult


class Finished:
    """A container that has ended."""

    def wait(self) -> ContainerResult:
        return ContainerResult(3)

    def kill(self, signum: int = 9) -> None:
        raise AssertionError("nobody asked for it")


def test_copies_both_ways_until_the_other_side_is_closed() -> None:
    master, slave = os.openpty()
    keys, keyboard = os.pipe()
    screen, output = os.pipe()
    os.write(keyboard, b"typed\n")
    os.close(keyboard)
    seen: list[bytes] = []

    def program() -> None:
        seen.append(os.read(slave, 100))
        seen.append(os.read(slave, 100))  # ^D after the end of the keys: the end of the program's input
        os.write(slave, b"printed")
        os.close(slave)

    thread = threading.Thread(target=program)
    thread.start()
    result = attach(Finished(), master, keys, output)
    thread.join(30)
    os.close(output)
    assert seen == [b"typed\n", b""]
    assert result.status == 3
    assert os.read(screen, 1000).endswith(b"printed")
    for fd in (master, keys, screen):
        os.close(fd)


def test_a_terminal_is_raw_inside_and_restored_outside() -> None:
    import termios

    master, _slave = os.openpty()
    user, terminal = os.openpty()
    before = termios.tcgetattr(terminal)
    with Console(master, terminal):
        assert not termios.tcgetattr(terminal)[3] & termios.ICANON
    assert termios.tcgetattr(terminal) == before
    for fd in (master, _slave, user, terminal):
        os.close(fd)


class Killed(Finished):
    """A container that ends when it is killed."""

    def __init__(self) -> None:
        self.signals: list[int] = []

    def wait(self) -> ContainerResult:
        assert self.signals
        return ContainerResult(137)

    def kill(self, signum: int = 9) -> None:
        self.signals.append(signum)


def test_a_container_whose_user_hangs_up_is_killed() -> None:
    master, slave = os.openpty()
    user, terminal = os.openpty()
    container = Killed()
    closing = threading.Timer(0.2, os.close, (user,))
    closing.start()
    result = attach(container, master, terminal, terminal)
    closing.join()
    assert container.signals == [9]
    assert result.status == 137
    for fd in (master, slave, terminal):
        os.close(fd)


def test_a_container_is_killed_when_copying_ends_in_an_error() -> None:
    master, slave = os.openpty()
    container = Killed()
    keys, keyboard = os.pipe()
    screen, output = os.pipe()
    os.close(screen)
    os.write(slave, b"nobody reads this")
    with pytest.raises(BrokenPipeError):
        attach(container, master, keys, output)
    assert container.signals == [9]
    for fd in (master, slave, keys, keyboard, output):
        os.close(fd)


def test_the_size_is_told_to_those_who_ask() -> None:
    import struct
    import termios
    from fcntl import ioctl

    user, terminal = os.openpty()
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    sizes: list[os.terminal_size] = []
    with Console(-1, terminal, sizes.append):
        assert sizes == [os.terminal_size((77, 33))]
        ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 50, 0, 0))
        signal.raise_signal(signal.SIGWINCH)
        assert sizes[-1] == os.terminal_size((50, 20))
    for fd in (user, terminal):
        os.close(fd)


def test_the_terminal_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminals, expected in (({0, 1, 2}, (0, 2)), ({0, 1}, (0, 1)), ({0}, None), ({1, 2}, None)):
        monkeypatch.setattr(os, "isatty", lambda fd, known=terminals: fd in known)
        assert own_terminal() == expected
