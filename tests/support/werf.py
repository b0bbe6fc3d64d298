"""The `werf` command as tests call it: a process of its own, a store of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support import machine


class Werf:
    """Calls `werf` with its store in `root`. Nothing of the user's own configuration is seen."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        beside = Path(sys.executable).parent / "werf"
        self.command = [str(beside)] if beside.exists() else [sys.executable, "-m", "pywerf"]
        self.env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("WERF_", "DOCKER_", "CONTAINERS_", "BUILDAH_", "REGISTRY_"))
        }
        self.env.update(HOME=str(home), WERF_BUILDAH_ROOT=str(root), WERF_BUILDAH_MODE="native-chroot")

    def run(
        self,
        *argv: str | Path,
        check: bool = True,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes | None = None,
        timeout: float = 300,
        before: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        """One call to its end; a failure fails the test and shows what was said. `before`: words that start it."""
        variables = {**self.env, **(env or {})}
        return machine.run(
            *before, *self.command, *argv, check=check, env=variables, cwd=cwd, stdin=stdin, timeout=timeout
        )

    def words(self, *argv: str | Path) -> list[str]:
        """The command line of a call, which does not depend on `env`."""
        variables = [f"{name}={value}" for name, value in self.env.items()]
        return ["env", "-i", *variables, *self.command, *map(str, argv)]

    def start(self, *argv: str | Path, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """A call that goes on; its output is kept together."""
        return subprocess.Popen(
            [*self.command, *map(str, argv)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.env,
            cwd=cwd,
            start_new_session=True,
        )

    def build(self, context: Path, tag: str, *argv: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`werf buildah build` of a folder."""
        return self.run("buildah", "build", "-t", tag, *argv, context, check=check)

    def export(self, tag: str, archive: Path, transport: str = "oci-archive") -> Path:
        """An image of the store as an archive."""
        self.run("buildah", "push", tag, f"{transport}:{archive}")
        return archive
