"""Every way in which a RUN is isolated, for tests that all of them have to pass: who calls, and with which flags.

A new isolation or rung joins by a line in ISOLATIONS. What a command of runsc sees is gVisor's kernel: tests that ask
for the host's answers look at `own_kernel`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["ISOLATIONS", "OWN_KERNEL", "Isolated", "run_output"]

IDS = "--userns-uid-map=0:500000:65536"
# name: (the fixture of who calls, flags of `build`)
ISOLATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "chroot-root": ("root", ("--isolation=chroot",)),
    "chroot-user": ("builder", ("--isolation=chroot",)),
    "chroot-one-id": ("one_id_user", ("--isolation=chroot",)),
    "chroot-root-mapped": ("root", ("--isolation=chroot", IDS)),
    "crun-root-mapped": ("root", ("--isolation=oci", "--runtime=crun", IDS)),
    "runc-root-mapped": ("root", ("--isolation=oci", "--runtime=runc", IDS)),
    "crun-root": ("root", ("--isolation=oci", "--runtime=crun")),
    "crun-user": ("builder", ("--isolation=rootless", "--runtime=crun")),
    "runc-root": ("root", ("--isolation=oci", "--runtime=runc")),
    "runc-user": ("builder", ("--isolation=rootless", "--runtime=runc")),
    "runsc-root": ("root", ("--isolation=oci", "--runtime=runsc")),
    "runsc-user": ("builder", ("--isolation=rootless", "--runtime=runsc")),
}

OWN_KERNEL = ("runsc-root", "runsc-user")

Call = Callable[..., subprocess.CompletedProcess[str]]


class Isolated(NamedTuple):
    """One of them: `command` runs any program as the caller, `werf` is called by them, `home` is theirs.

    `words` gives the command line of such a call of `werf`.
    """

    name: str
    command: Call
    werf: Call
    write: Callable[[str, str], Path]
    flags: tuple[str, ...]
    words: Callable[..., list[str]]

    @property
    def own_kernel(self) -> bool:
        """Whether the kernel that a command sees is gVisor's."""
        return self.name in OWN_KERNEL

    def build(
        self, script: str, *flags: str, check: bool = True, env: dict[str, str] | None = None, **how: Any
    ) -> subprocess.CompletedProcess[str]:
        """A RUN of a shell script on the image `base`, never from the cache. `how`: more for the caller's `werf`."""
        context = self.write(f"{self.name}/Dockerfile", f"FROM base\nRUN {script}\n").parent
        words = ("buildah", "build", "--no-cache", "--progress=plain", *self.flags, *flags, str(context))
        return self.werf(*words, check=check, env=env, **how)


def run_output(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that the command of the build's last step printed: what plain progress shows of it."""
    lines = [line.split(" ", 2) for line in done.stderr.splitlines() if line.startswith("#")]
    times = [words for words in lines if len(words) == 3 and words[1].replace(".", "", 1).isdigit()]
    last = max((words[0] for words in times), key=lambda number: int(number[1:]), default="")
    return [words[2] for words in times if words[0] == last]
