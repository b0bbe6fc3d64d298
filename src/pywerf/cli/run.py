"""`werf run`: a command in a container of an image."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from pywerf.build.options import PullPolicy
from pywerf.cli.auto_cleanup import auto_cleanup_flags, check_cleanup_flags, clean_host_after
from pywerf.cli.container_flags import CONTAINER_NAMES, container_flags, container_options
from pywerf.cli.flags import Command, Size, bad_value, flag, switch
from pywerf.cli.introspection_flags import introspection_flags
from pywerf.cli.invocation import engine_flags, invocation, progress_flags
from pywerf.cli.project_build import build_flags, use_report_flags
from pywerf.cli.project_flags import has_config, project_flags_but_env
from pywerf.cli.repo_flags import repo_flags
from pywerf.cli.values import network, network_flag, optional_pairs, registry_flags, registry_options
from pywerf.errors import UsageError

if TYPE_CHECKING:
    from pywerf.build.session import Session
    from pywerf.cli.invocation import Invocation

__all__ = ["CONTAINER_FLAGS", "command", "entrypoint_words", "environment", "run_of_store"]

F = TypeVar("F", bound=Callable[..., Any])


class RunCommand(Command):
    """`werf run` has two forms (docs/reports.md): with an image of a store, what follows IMAGE is the command, as with

    docker run; with an image of a project, flags may follow IMAGE, and the command follows `--`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        place = args.index("--") if "--" in args else len(args)
        before, after = args[:place], args[place + 1 :]
        super().parse_args(ctx, list(before))
        if ctx.resilient_parsing:
            return []
        ctx.params["of_project"] = is_of_project(ctx.params)
        if ctx.params["of_project"]:
            ctx.params.clear()
            ctx.allow_interspersed_args = True
            super().parse_args(ctx, list(before))
            ctx.params["of_project"] = True
            if ctx.params["arguments"]:
                raise UsageError(
                    f"unexpected argument {ctx.params['arguments'][0]}", hint="put -- before the container's command"
                )
        elif not ctx.params["image"]:
            raise UsageError("no image to run", hint="werf run IMAGE, or go to the folder of a project")
        ctx.params["arguments"] = (*ctx.params["arguments"], *after)
        return []


def is_of_project(params: Mapping[str, Any]) -> bool:
    """Whether an image of a project is meant: there is a werf.yaml (or a report), and IMAGE has no tag or digest."""
    if params["use_build_report"]:
        return True
    image = params["image"]
    if ":" in image.rpartition("/")[2] or "@" in image:
        return False
    words = params["arguments"]
    given = {"--dir": params["dir_"], "--config": params["config"]}
    for place, word in enumerate(words):  # flags that follow IMAGE
        name, equals, value = word.partition("=")
        if name in given:
            given[name] = value if equals else "".join(words[place + 1 : place + 2])
        elif name == "--use-build-report":
            return True
    return has_config(given["--dir"] or ".", given["--config"])


_CONTAINER = (
    switch("--interactive", "-i", help="Keep stdin open."),
    switch("--tty", "-t", help="Give the container a terminal."),
    flag(
        *("--env", "-e", "env"),
        multiple=True,
        own_scalar=False,
        metavar="NAME[=VALUE]",
        help="Set an environment variable; of a project: NAME is the environment that templates see.",
    ),
    flag("--volume", "-v", "volumes", multiple=True, metavar="DIR:DIR[:OPTIONS]", help="Mount a file or a directory."),
    flag("--workdir", "-w", metavar="DIR", help="Working directory."),
    flag("--user", "-u", metavar="USER[:GROUP]", help="User, and group."),
    flag(
        "--entrypoint",
        default=None,
        metavar="COMMAND",
        help='Instead of the image\'s; "" for none; a JSON list for words.',
    ),
    network_flag,
    flag("--add-host", "add_hosts", multiple=True, metavar="NAME:IP", help="One more line for /etc/hosts."),
    flag("--cap-add", multiple=True, split=True, metavar="CAP", help="Capability to add."),
    flag("--cap-drop", multiple=True, split=True, metavar="CAP", help="Capability to drop."),
    flag("--ulimit", "ulimits", multiple=True, metavar="TYPE=SOFT[:HARD]", help="Limit."),
    flag("--shm-size", type=Size(), default=0, metavar="SIZE", help="Size of /dev/shm."),
    flag("--hostname", metavar="NAME", help="The container's host name."),
    container_flags,
    switch("--privileged", help="All capabilities and devices, no seccomp filter."),
    switch("--read-only", help="Mount the root file system read-only."),
    flag(
        "--pull",
        type=click.Choice(["always", "missing", "newer", "never"]),
        default="missing",
        help="When to pull the image: always, missing, newer or never.",
    ),
    switch("--rm", default=True, help="Always true: the container is removed when it ends."),
    flag("--publish", "-p", multiple=True, metavar="PORT:PORT", help="Accepted: the ports are the host's."),
)
CONTAINER_FLAGS = frozenset(
    (
        *("interactive", "tty", "env", "volumes", "workdir", "user", "entrypoint", "network", "add_hosts", "cap_add"),
        *("cap_drop", "ulimits", "shm_size", "hostname", "privileged", "read_only", "pull", "rm", "publish"),
        *CONTAINER_NAMES,
    )
)
"""The parameters that say something of the container."""


def _container(function: F) -> F:
    for one in reversed(_CONTAINER):
        function = one(function)
    return function


@click.command(
    "run", cls=RunCommand, usage_line="[IMAGE] [-- COMMAND...]", context_settings={"allow_interspersed_args": False}
)
@_container
@registry_flags
@flag("--docker-options", metavar="OPTIONS", help="Of a project: docker run's options (default: --rm).")
@switch("--shell", help="Of a project: /bin/sh in the image.")
@switch("--bash", help="Of a project: /bin/bash in the image.")
@switch("--dry-run", help="Of a project: build, and print the command instead of running it.")
@switch("--follow", help="Of a project: run again for each new commit, with --dev for each change.")
@flag("--backend-network", metavar="MODE", help="Network of RUN while the project is built.")
@switch("--parallel", default=True, help="Build independent images at the same time (true by default).")
@build_flags
@introspection_flags
@use_report_flags
@auto_cleanup_flags
@project_flags_but_env
@repo_flags
@progress_flags
@engine_flags
@click.argument("image", default="")
@click.argument("arguments", metavar="[COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> int:
    """Run a command in a new container, and end with its status.

    In a folder with a werf.yaml IMAGE is an image of the project, which is built first; without IMAGE it is the only
    final one. With a tag or digest (app:latest), and everywhere else, IMAGE is one of the embedded engine's store.

    Without COMMAND the image's own entrypoint and command run. The container is gone when it ends.
    """
    run = invocation(ctx)
    if flags["of_project"]:
        from pywerf.cli.run_project import run_of_project

        check_cleanup_flags(flags)
        clean = clean_host_after(run, flags)
        status = run_of_project(ctx, run, flags)
        clean()
        return status
    for name, shown in _OF_PROJECT:
        if flags[name]:
            raise UsageError(f"{shown} is for images of a project", hint="go to a folder with a werf.yaml")
    return run_of_store(run, flags)


_OF_PROJECT = (
    ("docker_options", "--docker-options"),
    ("shell", "--shell"),
    ("bash", "--bash"),
    ("dry_run", "--dry-run"),
    ("follow", "--follow"),
    ("check_built_images", "--check-built-images"),
)


def run_of_store(run: Invocation, flags: dict[str, Any], opened: Session | None = None) -> int:
    """Run an image of the store, by the flags; the container's status. `opened` is a session that is there already."""
    for port in flags["publish"]:
        _check_port(port)
    if not flags["rm"]:
        raise UsageError("--rm=false is not supported: containers are never kept", hint="keep files with --volume")
    container = container_options(flags, flags["network"], flags["add_hosts"])
    registry = registry_options(
        *(flags["tls_verify"], flags["authfile"], flags["creds"], flags["cert_dir"], flags["retry"]),
        flags["retry_delay"],
        run.secrets,
    )
    with ExitStack() as stack:
        session = opened
        if session is None:
            reporter = stack.enter_context(run.reporter(quiet=True))
            session = stack.enter_context(run.session(reporter, registry=registry))
        return session.run(
            flags["image"],
            tuple(flags["arguments"]),
            env=environment(flags["env"]),
            volumes=tuple(flags["volumes"]),
            user=flags["user"],
            workdir=flags["workdir"],
            entrypoint=entrypoint_words(flags["entrypoint"]),
            network=network(flags["network"]),
            terminal=flags["tty"],
            interactive=flags["interactive"],
            cap_add=tuple(flags["cap_add"]),
            cap_drop=tuple(flags["cap_drop"]),
            privileged=flags["privileged"],
            add_hosts=tuple(flags["add_hosts"]),
            read_only=flags["read_only"],
            pull=cast(PullPolicy, flags["pull"]),
            ulimits=tuple(flags["ulimits"]),
            shm_size=flags["shm_size"],
            hostname=flags["hostname"],
            container=container,
        )


def _check_port(text: str) -> None:
    """The container has the host's ports: a port may be published as itself alone. Raises UsageError."""
    *_, outside, inside = ("", *text.partition("/")[0].split(":"))
    if outside != inside:
        raise UsageError(
            f"--publish {text}: the container uses the host's network, and its ports are the host's",
            hint="leave it out, or have the program listen on another port; --network none or private shuts them off",
        )


def environment(values: Sequence[str]) -> tuple[str, ...]:
    """`NAME=VALUE` each; a name alone has the value of our own environment, and is left out when it has none."""
    pairs = [
        (name, os.environ.get(name) if value is None else value) for name, value in optional_pairs("--env", values)
    ]
    return tuple(f"{name}={value}" for name, value in pairs if value is not None)


def entrypoint_words(text: str | None) -> tuple[str, ...] | None:
    """None: the image's own. "" is none at all, `["a", "b"]` several words, anything else one word."""
    if text is None:
        return None
    if not text.startswith("["):
        return (text,) if text else ()
    try:
        words = json.loads(text)
    except ValueError as error:
        raise bad_value("--entrypoint", text, f"not a JSON list: {error}") from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise bad_value("--entrypoint", text, "not a JSON list of strings")
    return tuple(words)
