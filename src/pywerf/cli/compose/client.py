"""Docker's compose: the plugin of the docker command, or docker-compose; and what a compose file says."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from pywerf.cli.foreground import run_here
from pywerf.errors import BuildError, UsageError

if TYPE_CHECKING:
    import subprocess

__all__ = ["Compose", "split_words"]

_PLUGIN = ("docker", "compose")
_OLDER = "docker-compose"


def split_words(flag: str, text: str) -> list[str]:
    """The words of a flag that holds options of compose, as a shell splits them. Raises UsageError."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{flag} {text}: {str(error).lower()}") from error


class Compose:
    """Compose with its own options (files, project, profiles). `path` names the program, instead of the one found."""

    def __init__(self, path: str, options: Sequence[str]) -> None:
        self.path = path
        self.options = tuple(options)

    @cached_property
    def program(self) -> tuple[str, ...] | None:
        """What calls it: `docker compose` where docker has that, else `docker-compose`; None: there is neither."""
        import shutil

        if self.path:
            return (self.path,)
        if shutil.which(_PLUGIN[0]) and _output([*_PLUGIN, "version"]).returncode == 0:
            return _PLUGIN
        return (_OLDER,) if shutil.which(_OLDER) else None

    def check(self) -> None:
        """Raise BuildError when it is not there."""
        import shutil

        if self.program is None:
            raise BuildError(
                "docker has no compose command, and there is no docker-compose",
                hint="install the package docker-compose-plugin, docker-compose-v2 or docker-compose; "
                "or name a program with --docker-compose-bin-path",
            )
        if shutil.which(self.program[0]) is None:
            raise BuildError(f"--docker-compose-bin-path {self.path}: there is no such program")

    def words(self, command: str, options: Sequence[str] = (), arguments: Sequence[str] = ()) -> list[str]:
        """The command line of one of its commands."""
        rest = ["--", *arguments] if arguments else []
        return [*(self.program or _PLUGIN), *self.options, command, *options, *rest]

    def run(self, words: Sequence[str], variables: Mapping[str, str]) -> int:
        """Run a command line of it on our terminal, with these variables; its status."""
        missing = BuildError(f"{words[0]}: there is no such program any more")
        return run_here(words, missing=missing, env={**os.environ, **variables})

    def config(self, stubs: Mapping[str, str]) -> str:
        """The compose files as compose reads them (included, extended, merged), with the variables' names in them.

        Where it cannot do without their values, the variables of `stubs` have those. Raises BuildError.
        """
        done = _output(self.words("config", ["--no-interpolate"]))
        if done.returncode:  # docker-compose 1 takes no variable for a number or a boolean
            done = _output(self.words("config"), stubs)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise BuildError(
                f"{shlex.join(self.words('config'))} ended with status {done.returncode}:\n{said}",
                hint='--docker-compose-options "-f FILE" names a compose file; it is looked for in the current folder',
            )
        return done.stdout.decode("utf-8", "replace")


def _output(words: Sequence[str], variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """What a program says that reads nothing, and its status."""
    import subprocess

    env = {**os.environ, **(variables or {})}
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, env=env, check=False)
