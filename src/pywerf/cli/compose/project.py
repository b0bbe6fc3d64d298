"""What the commands of `werf compose` do: have the images in the Docker daemon, and call docker compose."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from pywerf.cli.auto_cleanup import check_cleanup_flags, clean_host_after
from pywerf.cli.compose.client import Compose, split_words
from pywerf.cli.compose.variables import STUB, used_images, used_variables, variable, variables
from pywerf.cli.invocation import invocation
from pywerf.errors import BuildError, RegistryError, UsageError

if TYPE_CHECKING:
    from pywerf.cli.invocation import Invocation
    from pywerf.cli.ready_images import Select
    from pywerf.util.events import Reporter

__all__ = ["compose"]


def compose(ctx: click.Context, flags: dict[str, Any], command: str) -> int:
    """Call a command of compose with the images that the flags and the compose file name; its status."""
    run = invocation(ctx)
    options = split_words("--docker-compose-options", flags["docker_compose_options"])
    own = split_words("--docker-compose-command-options", flags["docker_compose_command_options"])
    call = _Call(run, flags, Compose(flags["docker_compose_bin_path"], options), command, own)
    check_cleanup_flags(flags)
    if not flags["dry_run"]:
        call.compose.check()
    clean = clean_host_after(run, flags)
    if flags.get("follow"):
        _follow(call)
    else:
        with run.reporter() as reporter:
            references = call.references(reporter)
            reporter.close()  # the terminal is compose's now
            status = call.run(references)
        if status:
            return status
    clean()
    return 0


class _Call:
    """One call of compose, with its images."""

    def __init__(
        self, run: Invocation, flags: dict[str, Any], compose: Compose, command: str, options: Sequence[str]
    ) -> None:
        self.invocation = run
        self.flags = flags
        self.compose = compose
        self.command = command
        self.options = tuple(options)

    def references(self, reporter: Reporter) -> dict[str, str]:
        """What the daemon calls the images: they are built, and the daemon has them; unless stubs are wanted."""
        flags, run = self.flags, self.invocation
        if flags["without_images"]:
            return {}
        from pywerf.cli.ready_images import known_images, ready_images

        if flags["stub_tags"]:
            return dict.fromkeys(self._choose(known_images(flags, reporter), reporter), STUB)
        _need_docker(run.engine.mode)
        with ready_images(run, flags, lambda select: self._choose(select, reporter), reporter) as images:
            return {image.name: image.reference for image in images}

    def run(self, references: Mapping[str, str]) -> int:
        """Call compose, or print how; its status."""
        words = self.compose.words(self.command, self.options, self.flags["arguments"])
        values = variables(references)
        if not self.flags["dry_run"]:
            return self.compose.run(words, values)
        for name, value in values.items():
            click.echo(f"export {name}={shlex.quote(value)}")
        click.echo(shlex.join(words))
        return 0

    def _choose(self, select: Select, reporter: Reporter) -> Sequence[str]:
        """The images that are named, or else those that the compose file uses."""
        final_only = self.flags["final_images_only"]
        if self.flags["images"]:
            names = select(self.flags["images"], final_only=final_only)
        else:
            names = self._used(select(final_only=final_only), reporter)
        variables(dict.fromkeys(names, STUB))  # before anything is built
        return names

    def _used(self, names: Sequence[str], reporter: Reporter) -> Sequence[str]:
        self.compose.check()
        stubs = {name: f"stub:{name}" for name in map(variable, names)}
        used = used_variables(self.compose.config(stubs))
        chosen, unknown = used_images(names, used, os.environ)
        for name in unknown:
            reporter.message("warning", f"the compose file uses {name}, which is the variable of no image")
        if not used:
            reporter.message("warning", "the compose file uses no image of the project")
        return chosen


def _need_docker(mode: str) -> None:
    """Raise an error, before anything is built, where the images would not be in a Docker daemon."""
    if mode not in ("", "docker"):
        raise UsageError(
            f"werf compose needs the Docker daemon to build, not the embedded engine (mode {mode})",
            hint="leave WERF_BUILDAH_MODE (--buildah-mode) unset, or set it to docker",
        )
    from pywerf.backend.docker.daemon import probe

    missing = probe(os.environ)
    if missing is not None:
        raise RegistryError(f"werf compose needs Docker: {missing.message}", hint=missing.hint)


def _follow(call: _Call) -> None:
    """Call compose for each new commit. Ends by a signal only."""
    from pywerf.cli.follow import follow_project

    if not {"-d", "--detach"}.intersection(call.options):
        raise UsageError(
            "--follow needs services in the background: what runs in front would never end",
            hint='--docker-compose-command-options "-d"',
        )
    with call.invocation.reporter() as reporter:

        def renew() -> None:
            status = call.run(call.references(reporter))
            if status:
                raise BuildError(f"docker compose {call.command} ended with status {status}")

        follow_project(call.invocation, call.flags, reporter, renew)
