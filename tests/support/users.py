"""Ordinary users for tests: made and removed by them, with or without subordinate ids, and `werf` as they call it."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import pywerf
from support import machine

# Runs werf under Docker's default seccomp profile, which has no user namespaces, as most containers of CI do.
CONFINED = """
import os, sys
from pywerf.linux import caps, seccomp, syscalls
syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
syscalls.seccomp(seccomp.compile_default(os.uname().machine, frozenset(caps.DOCKER_DEFAULT)))
os.execv(sys.executable, [sys.executable, "-m", "pywerf", *sys.argv[1:]])
"""


class User:
    """An ordinary user of the machine. `home` is theirs; commands run there, with a fresh environment.

    `confined`: their `werf` may make no namespaces.
    """

    def __init__(self, name: str, home: Path, *, confined: bool = False) -> None:
        self.name = name
        self.confined = confined
        self.home = home
        self.root = home / ".local/share/pywerf"

    def run(
        self, *argv: str | Path, check: bool = True, env: dict[str, str] | None = None, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """A command as this user, after a login."""
        return machine.run(*self.words(*argv, env=env), check=check, timeout=timeout)

    def words(self, *argv: str | Path, env: dict[str, str] | None = None) -> list[str]:
        """The command line that `run` runs."""
        variables = [f"{name}={value}" for name, value in (env or {}).items()]
        command = shlex.join(["env", *variables, *map(str, argv)])
        return [machine.require("su", "login"), "-", self.name, "-c", command]

    def werf(
        self, *argv: str | Path, check: bool = True, env: dict[str, str] | None = None, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """`werf` as this user, with an interpreter that they may read."""
        return machine.run(*self.werf_words(*argv, env=env), check=check, timeout=timeout)

    def werf_words(self, *argv: str | Path, env: dict[str, str] | None = None) -> list[str]:
        """The command line that `werf` runs."""
        path = f"{Path(pywerf.__file__).parents[1]}:{Path(msgspec.__file__).parents[1]}"
        variables = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
        program = ("-c", CONFINED) if self.confined else ("-m", "pywerf")
        return self.words(self.interpreter(path), *program, *argv, env=variables)

    def werf_on_terminal(self, *argv: str | Path) -> list[str]:
        """The command line of `werf` that keeps the terminal which su is called on."""
        return ["--session-command" if word == "-c" else word for word in self.werf_words(*argv)]

    def werf_function(self) -> str:
        """`werf` as a function of a shell script that this user runs."""
        path = f"{Path(pywerf.__file__).parents[1]}:{Path(msgspec.__file__).parents[1]}"
        program = ("-c", CONFINED) if self.confined else ("-m", "pywerf")
        words = shlex.join(["env", f"PYTHONPATH={path}", "PYTHONDONTWRITEBYTECODE=1", self.interpreter(path), *program])
        return f'werf() {{ {words} "$@"; }}\n'

    def werf_process(self, *argv: str | Path) -> subprocess.Popen[bytes]:
        """`werf` as this user, as a process of its own that signals reach; its standard error is a pipe."""
        path = f"{Path(pywerf.__file__).parents[1]}:{Path(msgspec.__file__).parents[1]}"
        uid, gid = self.home.stat().st_uid, self.home.stat().st_gid
        return subprocess.Popen(
            [self.interpreter(path), "-m", "pywerf", *map(str, argv)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            user=uid,
            group=gid,
            extra_groups=[],
            cwd=self.home,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "PYTHONPATH": path,
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )

    def interpreter(self, path: str) -> str:
        """This interpreter, or one of the system of the same version where this one is out of the user's reach."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
            probe = self.run(candidate, "-c", "import click, pywerf", check=False, env={"PYTHONPATH": path})
            if probe.returncode == 0:
                return candidate
        pytest.fail(
            f"{self.name} can run no Python that imports pywerf: keep the checkout and {version} where users may read",
            pytrace=False,
        )

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        """A file in the user's home, theirs."""
        file = self.home / path
        uid, gid = self.home.stat().st_uid, self.home.stat().st_gid
        for folder in reversed([folder for folder in file.parents if not folder.exists()]):
            folder.mkdir()
            os.chown(folder, uid, gid)
        file.write_text(text)
        file.chmod(mode)
        os.chown(file, uid, gid)
        return file


@contextlib.contextmanager
def user(folder: Path, name: str, *, subids: bool, confined: bool = False) -> Iterator[User]:
    """Make a user with a home in `folder`, which others may enter; remove both at the end."""
    machine.require_root()
    machine.require("newuidmap", "uidmap")
    home = folder / name
    machine.run(machine.require("useradd", "passwd"), "-m", "-d", home, "-s", "/bin/sh", name)
    try:
        for kind in ("uid", "gid"):
            text = Path(f"/etc/sub{kind}").read_text()
            own = [line.split(":")[1:] for line in text.splitlines() if line.startswith(f"{name}:")]
            if subids and not own:
                first = max([100000, *(int(one) + int(many) for _, one, many in map(_fields, text.splitlines()))])
                machine.run("usermod", f"--add-sub{kind}s", f"{first}-{first + 65535}", name)
            for first_id, count in [] if subids else own:
                machine.run("usermod", f"--del-sub{kind}s", f"{first_id}-{int(first_id) + int(count) - 1}", name)
        yield User(name, home, confined=confined)
    finally:
        machine.run("userdel", "-f", name, check=False)
        machine.run("rm", "-rf", home, check=False)


def _fields(line: str) -> tuple[str, str, str]:
    who, first, count = line.split(":")
    return who, first, count
