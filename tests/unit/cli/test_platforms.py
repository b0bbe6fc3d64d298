"""On Windows and macOS the engine says what to use instead: its modules import nothing that these systems lack.

The other system is made of this one: the modules and the names of `os` that it has not are taken away before
anything of pywerf is imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

OF_LINUX = """
    O_PATH O_TMPFILE O_DIRECT chroot eventfd getrandom getxattr listxattr memfd_create pidfd_open pipe2
    posix_fadvise posix_fallocate removexattr sched_getaffinity setns setxattr splice unshare
    MFD_CLOEXEC copy_file_range
""".split()  # noqa: SIM905
OF_UNIX = """
    O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK POSIX_SPAWN_CLOSE POSIX_SPAWN_DUP2 POSIX_SPAWN_OPEN chown fchdir fchmod
    fchown fork forkpty fwalk getegid geteuid getgid getgrouplist getgroups getpgid getsid getuid kill killpg lchown
    major makedev minor mkfifo mknod openpty posix_spawn posix_spawnp pread preadv pwrite pwritev setegid seteuid setgid
    setgroups setpgid setsid setuid statvfs sync sysconf tcgetpgrp uname wait3 wait4 waitid
""".split()  # noqa: SIM905
MODULES_OF_UNIX = "fcntl grp pwd resource termios tty pty syslog readline _posixsubprocess".split()  # noqa: SIM905

START = """
import os, select, shutil, socket, sys
import click, click.shell_completion, msgspec, msgspec.json  # other people's: they know these systems by themselves
platform, modules, names, words = sys.argv[1], sys.argv[2].split(), sys.argv[3].split(), sys.argv[4:]
sys.platform = platform
for name in modules:
    sys.modules[name] = None
for name in names:
    if hasattr(os, name):
        delattr(os, name)
if platform == "win32":
    del socket.AF_UNIX, select.poll
from pywerf.cli.main import run
sys.exit(run(words))
"""

SYSTEMS = {
    "win32": ("Windows", MODULES_OF_UNIX, OF_LINUX + OF_UNIX, "wsl --install"),
    "darwin": ("macOS", [], OF_LINUX, "virtual machine"),
}
COMMANDS = [
    ["buildah", "build", "."],
    ["buildah", "build", "--memory=1g", "--device=/dev/null", "--ulimit=core=0", "--dns=192.0.2.1", "."],
    ["buildah", "images"],
    ["run", "image"],
    ["host", "doctor"],
]


def on(platform: str, *words: str) -> subprocess.CompletedProcess[str]:
    _, modules, names, _ = SYSTEMS[platform]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("WERF_", "BUILDAH_"))}
    return subprocess.run(
        [sys.executable, "-c", START, platform, " ".join(modules), " ".join(names), *words],
        capture_output=True,
        text=True,
        check=False,
        env=env,
    )


@pytest.mark.parametrize("platform", list(SYSTEMS))
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_engine_says_what_to_use_instead(platform: str, words: list[str]) -> None:
    done = on(platform, *words)
    name, _, _, hint = SYSTEMS[platform]
    assert f"Error: the embedded engine (Buildah mode) works on Linux, not on {name}\n" in done.stderr, done.stderr
    assert hint in done.stderr
    assert "WERF_BUILDAH_MODE=docker" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode in (1, 125)


@pytest.mark.parametrize("platform", list(SYSTEMS))
def test_help_and_version_work_everywhere(platform: str) -> None:
    for words in (["--version"], ["--help"], ["buildah", "build", "--help"], ["run", "--help"]):
        done = on(platform, *words)
        assert (done.returncode, done.stderr) == (0, ""), words


@pytest.mark.parametrize("platform", list(SYSTEMS))
def test_the_doctor_says_it_as_json_too(platform: str) -> None:
    done = on(platform, "host", "doctor", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["canBuild"], document["rung"]) == (1, False, 0)
    assert f"not on {SYSTEMS[platform][0]}" in document["summary"]
