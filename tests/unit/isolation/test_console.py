"""Copying between a terminal and pipes, without a container."""

from __future__ import annotations

import os
import threading

from pywerf.isolation.console import Console, attach
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
