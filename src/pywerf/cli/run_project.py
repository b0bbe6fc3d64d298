"""`werf run` with an image of a project: it is built, or found, and then run by the backend that has it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from pywerf.cli.flags import Flag
from pywerf.cli.foreground import run_here
from pywerf.cli.ready_images import Ready, only_image, ready_images
from pywerf.errors import UsageError

if TYPE_CHECKING:
    from pywerf.build.session import Session
    from pywerf.cli.invocation import Invocation
    from pywerf.util.events import Reporter

__all__ = ["Runner", "docker_words", "run_docker", "run_of_project"]

_DEFAULT_OPTIONS = "--rm"
_SHELLS = {"shell": "/bin/sh", "bash": "/bin/bash"}


def run_of_project(ctx: click.Context, run: Invocation, flags: dict[str, Any]) -> int:
    """Build the image that the flags name, and run it; the container's status."""
    flags = {**flags, "env": _environment(flags["env"])}
    options = docker_words(flags["docker_options"], flags["arguments"], shell=flags["shell"], bash=flags["bash"])
    runner = Runner(ctx, options, tuple(flags["arguments"]), dry_run=flags["dry_run"])
    if flags["follow"]:
        from pywerf.cli.run_follow import run_and_follow

        return run_and_follow(run, flags, runner, lambda reporter: _prepared(run, flags, reporter))
    with run.reporter() as reporter, _prepared(run, flags, reporter) as ready:
        reporter.close()  # the terminal is the container's now
        return runner.run(run, ready)


def docker_words(text: str, command: Sequence[str], *, shell: bool, bash: bool) -> list[str]:
    """The words of docker run's options. Raises UsageError."""
    chosen = [name for name, given in (("shell", shell), ("bash", bash)) if given]
    if not chosen:
        try:
            return shlex.split(text or _DEFAULT_OPTIONS)
        except ValueError as error:
            raise UsageError(f"--docker-options {text}: {str(error).lower()}") from error
    if len(chosen) > 1:
        raise UsageError("--shell and --bash cannot be used together")
    if text or command:
        other = "--docker-options" if text else "a command"
        raise UsageError(
            f"--{chosen[0]} and {other} cannot be used together", hint="--docker-options can say all of it"
        )
    return ["-ti", "--rm", f"--entrypoint={_SHELLS[chosen[0]]}"]


def _environment(values: Sequence[str]) -> str:
    """The name of the environment: an `--env` without `=`, or WERF_ENV. (Those with it are the container's.)"""
    names = [value for value in values if "=" not in value]
    return names[-1] if names else os.environ.get("WERF_ENV", "")


@contextmanager
def _prepared(run: Invocation, flags: dict[str, Any], reporter: Reporter) -> Iterator[Ready]:
    """Build the image, and have it in the backend, which is open as long as the body runs."""
    with ready_images(run, flags, lambda select: (only_image(select, flags["image"]),), reporter) as (ready,):
        yield ready


class Runner:
    """Runs images with what the command line says of the container: its own flags, docker's options, a command."""

    def __init__(self, ctx: click.Context, options: list[str], command: tuple[str, ...], *, dry_run: bool) -> None:
        self.ctx = ctx
        self.options = options
        self.command = command
        self.dry_run = dry_run

    def words(self, ready: Ready) -> list[str]:
        """The command line that runs the image: docker's, or our own for an image of the store."""
        own = _own_words(self.ctx)
        docker = ready.session is None
        program = ["docker", "run"] if docker else ["werf", "run"]
        rest = list(self.command) if docker or not self.command else ["--", *self.command]
        return [*program, *own, *self.options, ready.reference, *rest]

    def run(self, run: Invocation, ready: Ready) -> int:
        """Run the image, or print how."""
        words = self.words(ready)
        if self.dry_run:
            click.echo(shlex.join(words))
            return 0
        return run_docker(words) if ready.session is None else _run_in_store(self.ctx, run, words[2:], ready.session)


def _own_words(ctx: click.Context) -> list[str]:
    """The flags of the container that the user has given, or variables have, as words."""
    from pywerf.cli.run import CONTAINER_FLAGS

    words: list[str] = []
    for param in ctx.command.params:
        if not isinstance(param, Flag) or param.name not in CONTAINER_FLAGS:
            continue
        if ctx.get_parameter_source(param.name) not in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            continue
        value = ctx.params[param.name]
        name = f"--{param.spec.long_name}"
        for one in value if param.multiple else (value,):
            if name == "--env" and "=" not in one:
                continue  # the project's environment
            words.append(f"{name}={str(one).lower() if isinstance(one, bool) else one}")
    return words


def _run_in_store(ctx: click.Context, run: Invocation, words: list[str], session: Session) -> int:
    """Run an image of the embedded engine's store: the words are those of `werf run` itself."""
    from pywerf.cli.run import run_of_store

    variables = {name for name in os.environ if name.startswith("WERF_")}
    kept = {name: os.environ.pop(name) for name in variables}  # they are among the words already
    try:
        inner = ctx.command.make_context("run", words, obj=run)
    except UsageError as error:
        error.message = f"--docker-options: {error.message}"
        error.hint = error.hint or "the embedded engine takes the flags of werf run"
        raise
    finally:
        os.environ.update(kept)
    return run_of_store(run, inner.params, session)


def run_docker(words: list[str]) -> int:
    """Run docker's own client; its status is the container's. Raises UsageError where there is none."""
    return run_here(
        words,
        missing=UsageError(
            "werf run needs the docker command to run an image of a Docker daemon",
            hint="install it, or use the embedded engine (WERF_BUILDAH_MODE=auto)",
        ),
    )
