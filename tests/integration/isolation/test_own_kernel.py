"""Containers of runsc, whose kernel is gVisor's: what they have in common with others, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import IsolationError, RuntimeFailed
from pywerf.isolation.console import attach
from pywerf.isolation.limits import TYPES
from pywerf.isolation.runtimes import ADAPTERS
from pywerf.isolation.spec import Rlimit
from pywerf.linux.mount import Mount

pytestmark = pytest.mark.integration

SHARED = ("runsc",)
# What the shell's `ulimit` calls a type, and in which units it shows it.
SHELLS = {
    "core": ("c", 512),
    "cpu": ("t", 1),
    "data": ("d", 1024),
    "fsize": ("f", 512),
    "memlock": ("l", 1024),
    "nofile": ("n", 1),
    "nproc": ("u", 1),
    "rss": ("m", 1024),
    "stack": ("s", 1024),
}


def test_every_limit_that_it_has_arrives(runner: Any) -> None:
    known = ADAPTERS["runsc"].own_limits or ()
    assert set(SHELLS) == set(TYPES) & set(known)
    limits = tuple(Rlimit(name, (1 << 20) * 3, (1 << 20) * 5) for name in SHELLS)
    script = "; ".join(f"ulimit -S{letter}; ulimit -H{letter}" for letter, _ in SHELLS.values())
    status, output = runner.shell(script, rlimits=limits)
    assert status == 0
    shown = [str((1 << 20) * times // unit) for _, unit in SHELLS.values() for times in (3, 5)]
    assert output.split() == shown


@pytest.mark.parametrize("name", sorted(set(TYPES) - set(SHELLS)))
def test_a_limit_that_it_has_not_is_refused(runner: Any, name: str) -> None:
    with pytest.raises(IsolationError, match=f"ulimit {name}: runsc has a kernel of its own") as caught:
        runner.shell("true", rlimits=(Rlimit(name, 5, 5),))
    assert "--runtime crun" in str(caught.value.hint)


def test_names_and_shared_memory(runner: Any) -> None:
    assert runner.shell("hostname", hostname="inside") == (0, "inside\n")
    assert runner.shell("hostname") == (0, os.uname().nodename + "\n")
    script = "stat -c %a /dev/shm; df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2"
    assert runner.shell(script, shm_size=5 << 20) == (0, "1777\n5120\n")


def test_programs_of_a_volume_cannot_be_kept_from_being_executed(runner: Any, tmp_path: Path) -> None:
    mounts = (Mount("bind", str(tmp_path), "/data", ("noexec",)),)
    with pytest.raises(IsolationError, match="mount of /data: runsc would execute files there in spite of noexec"):
        runner.shell("true", mounts=mounts)


def test_what_is_in_a_file_already_stays_there(runner: Any, tmp_path: Path) -> None:
    with open(tmp_path / "output", "w+b", buffering=0) as file:
        file.write(b"before\n")
        spec = runner.spec("sh", "-c", "echo out; echo err >&2")
        assert runner.isolation.start(spec, 0, file.fileno(), file.fileno()).wait().status == 0
        file.write(b"after\n")
    assert (tmp_path / "output").read_text() == "before\nout\nerr\nafter\n"


def test_what_it_says_when_it_cannot_start_a_container_is_the_error(runner: Any) -> None:
    container = runner.isolation.start(runner.spec("true", cwd="/etc/passwd"), 0, 1, 2)
    with pytest.raises(RuntimeFailed, match=r"cannot run the container with runsc: .*passwd"):
        container.wait()


def test_a_terminal(runner: Any) -> None:
    user, terminal = os.openpty()
    read, write = os.pipe()
    os.write(user, b"hello\n")
    spec = runner.spec("sh", "-c", "test -t 1 && read line && echo got $line && exit 7", terminal=True)
    container = runner.isolation.start(spec, terminal, terminal, terminal)
    assert container.console is not None
    assert attach(container, container.console, terminal, write).status == 7
    os.close(write)
    assert b"got hello" in os.read(read, 4096)
    for fd in (user, terminal, read):
        os.close(fd)
