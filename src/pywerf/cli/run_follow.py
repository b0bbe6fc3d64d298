"""`werf run --follow`: the container again for each new commit."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import click

from pywerf.cli.flags import Flag
from pywerf.cli.follow import follow_project
from pywerf.cli.invocation import invocation
from pywerf.errors import BuildError, UsageError

if TYPE_CHECKING:
    import subprocess

    from pywerf.cli.invocation import Invocation
    from pywerf.cli.ready_images import Ready
    from pywerf.cli.run_project import Runner
    from pywerf.util.events import Reporter

__all__ = ["container_name", "run_and_follow"]

_GRACE = 10.0  # seconds that a container has to end


def run_and_follow(
    run: Invocation,
    flags: dict[str, Any],
    runner: Runner,
    prepared: Callable[[Reporter], AbstractContextManager[Ready]],
) -> int:
    """Run the image, and a new container of it whenever there is another image. Ends by a signal only."""
    from pywerf.backend.select import select_backend

    if select_backend(run.engine.mode, os.environ).docker:
        container_name(runner.options)  # before anything is built
    container = _Container(runner)
    with run.reporter() as reporter:

        def renew() -> None:
            with prepared(reporter) as ready:
                container.renew(ready)

        try:
            follow_project(run, flags, reporter, renew)
        finally:
            container.stop()
    return 0


class _Container:
    """The container of the image that was built last: of Docker a detached one, of the embedded engine a process."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._process: subprocess.Popen[bytes] | None = None
        self._reference = ""

    def renew(self, ready: Ready) -> None:
        """Run the image in place of the one that runs; nothing happens when it is the same."""
        import subprocess

        if ready.reference == self._reference:
            return
        words = self._runner.words(ready)
        if ready.session is None:
            from pywerf.cli.run_project import run_docker

            name = container_name(self._runner.options)
            subprocess.run(
                ["docker", "rm", "--force", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
            )
            status = run_docker(words)
            if status:
                raise BuildError(f"docker run ended with status {status}", hint="see what it has said above")
        else:
            self.stop()
            own = _engine_words(self._runner.ctx)
            # In a user namespace the process would look for root's store.
            environment = dict(os.environ, WERF_BUILDAH_ROOT=ready.session.store.root)
            command = [sys.executable, "-m", "pywerf", "run", *own, *words[2:]]
            self._process = subprocess.Popen(command, env=environment)
        self._reference = ready.reference

    def stop(self) -> None:
        """End the process; a detached container stays."""
        import subprocess

        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def container_name(options: Sequence[str]) -> str:
    """The name that docker's options give a detached container. Raises UsageError when they do not."""
    name = ""
    detached = False
    for place, word in enumerate(options):
        if word in ("-d", "--detach", "--detach=true"):
            detached = True
        elif word == "--name":
            name = "".join(options[place + 1 : place + 2])
        elif word.startswith("--name="):
            name = word.removeprefix("--name=")
    if not (name and detached):
        raise UsageError(
            "--follow needs -d and --name in --docker-options: the container is replaced by its name",
            hint='for instance --docker-options "-d --name app"',
        )
    return name


def _engine_words(ctx: click.Context) -> list[str]:
    """The flags of engine and log that the command line has, for a process of our own."""
    run = invocation(ctx)
    words: list[str] = []
    for param in ctx.command.params:
        if isinstance(param, Flag) and param.spec.shared and param.name in run.from_command_line:
            value = run.settings[param.name]
            for one in value if isinstance(value, tuple) else (value,):
                words.append(f"--{param.spec.long_name}={str(one).lower() if isinstance(one, bool) else one}")
    return words
