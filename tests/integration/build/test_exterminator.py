"""WERF_ENABLE_PROCESS_EXTERMINATOR: a build ends when the shell that has started it is killed, on the first rungs."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import machine
from support.bases import pull_base
from support.users import User
from support.werf import Werf

pytestmark = pytest.mark.integration

# Another command follows, so that the shell does not become werf.
SCRIPT = "echo $$ > shell\nwerf buildah build --no-cache . > said 2>&1\necho $? > status\n"


def build_without_shell(folder: Path, argv: list[str], variable: str) -> str:
    """Start a build by a script, kill the script's shell while RUN sleeps, and give what the build says at last."""
    process = subprocess.Popen(argv, env={**os.environ, "WERF_ENABLE_PROCESS_EXTERMINATOR": variable})
    said = folder / "said"
    wait_for(lambda: said.exists() and " 42\n" in said.read_text(), "the command of RUN")
    os.kill(int((folder / "shell").read_text()), signal.SIGKILL)
    process.wait(60)
    wait_for(lambda: "stopped" in said.read_text() or " 666\n" in said.read_text(), "the build's end")
    assert not (folder / "status").exists()
    return said.read_text()


def wait_for(there: object, what: str) -> None:
    assert callable(there)
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end, f"{what} never came"
        time.sleep(0.05)


def dockerfile(seconds: int) -> str:
    return f"FROM base\nRUN echo $((6*7)); sleep {seconds}; echo $((6*111))\n"


def test_root(werf: Werf, busybox_layout: Path, tmp_path: Path) -> None:
    pull_base(werf.run, busybox_layout)
    for variable, seconds, says in (("1", 600, "stopped by signal 15"), ("0", 3, " 666\n")):
        folder = tmp_path / variable
        folder.mkdir()
        (folder / "Dockerfile").write_text(dockerfile(seconds))
        names = ("HOME", "WERF_BUILDAH_ROOT", "WERF_BUILDAH_MODE")
        words = shlex.join(["env", *(f"{name}={werf.env[name]}" for name in names), *werf.command])
        script = f'cd {folder}\nwerf() {{ {words} "$@"; }}\n{SCRIPT}'
        assert says in build_without_shell(folder, ["sh", "-c", script], variable)


@pytest.mark.parametrize("who", ["builder", "one_id_user"])
def test_an_ordinary_user(request: pytest.FixtureRequest, busybox_for_all: Path, who: str) -> None:
    user: User = request.getfixturevalue(who)
    pull_base(user.werf, busybox_for_all)
    folder = user.write("left/Dockerfile", dockerfile(600)).parent
    script = f"export WERF_ENABLE_PROCESS_EXTERMINATOR=1\ncd {folder}\n{user.werf_function()}{SCRIPT}"
    file = user.write("left/script", script)
    argv = [machine.require("su", "login"), "-", user.name, "-c", f"sh {file}"]
    assert "stopped by signal 15" in build_without_shell(folder, argv, "1")
