"""`werf run`: a command in a container of an image."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, cast

import click

from pywerf.build.options import PullPolicy
from pywerf.cli.container_flags import container_flags, container_options
from pywerf.cli.flags import Command, Size, bad_value, flag, switch
from pywerf.cli.invocation import engine_flags, invocation
from pywerf.cli.values import network, network_flag, optional_pairs, registry_flags, registry_options
from pywerf.errors import UsageError

__all__ = ["command", "entrypoint_words", "environment"]


@click.command(
    "run",
    cls=Command,
    usage_line="IMAGE [-- COMMAND...]",
    context_settings={"allow_interspersed_args": False},
)
@switch("--interactive", "-i", help="Keep stdin open.")
@switch("--tty", "-t", help="Give the container a terminal.")
@flag(
    "--env", "-e", "env", multiple=True, own_scalar=False, metavar="NAME[=VALUE]", help="Set an environment variable."
)
@flag("--volume", "-v", "volumes", multiple=True, metavar="DIR:DIR[:OPTIONS]", help="Mount a file or a directory.")
@flag("--workdir", "-w", metavar="DIR", help="Working directory.")
@flag("--user", "-u", metavar="USER[:GROUP]", help="User, and group.")
@flag(
    "--entrypoint", default=None, metavar="COMMAND", help='Instead of the image\'s; "" for none; a JSON list for words.'
)
@network_flag
@flag("--add-host", "add_hosts", multiple=True, metavar="NAME:IP", help="One more line for /etc/hosts.")
@flag("--cap-add", multiple=True, split=True, metavar="CAP", help="Capability to add.")
@flag("--cap-drop", multiple=True, split=True, metavar="CAP", help="Capability to drop.")
@flag("--ulimit", "ulimits", multiple=True, metavar="TYPE=SOFT[:HARD]", help="Limit.")
@flag("--shm-size", type=Size(), default=0, metavar="SIZE", help="Size of /dev/shm.")
@flag("--hostname", metavar="NAME", help="The container's host name.")
@container_flags
@switch("--privileged", help="All capabilities and devices, no seccomp filter.")
@switch("--read-only", help="Mount the root file system read-only.")
@flag(
    "--pull",
    type=click.Choice(["always", "missing", "newer", "never"]),
    default="missing",
    help="When to pull the image: always, missing, newer or never.",
)
@switch("--rm", default=True, help="Always true: the container is removed when it ends.")
@flag("--publish", "-p", multiple=True, hidden=True)
@registry_flags
@engine_flags
@click.argument("image")
@click.argument("arguments", metavar="[COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(ctx: click.Context, /, **flags: Any) -> int:
    """Run a command in a new container of IMAGE, and end with its status.

    Without COMMAND the image's own entrypoint and command run. The container is gone when it ends.
    """
    run = invocation(ctx)
    run.passes_status = True
    if flags["publish"]:
        raise UsageError(
            "--publish is not needed: the container uses the host's network",
            hint="its ports are the host's ports; --network none or private shuts them off",
        )
    if not flags["rm"]:
        raise UsageError("--rm=false is not supported: containers are never kept", hint="keep files with --volume")
    container = container_options(flags, flags["network"], flags["add_hosts"])
    words = tuple(flags["arguments"])
    registry = registry_options(
        flags["tls_verify"], flags["authfile"], flags["creds"], flags["cert_dir"], flags["retry"], run.secrets
    )
    with run.reporter(quiet=True) as reporter, run.session(reporter, registry=registry) as session:
        return session.run(
            flags["image"],
            words[1:] if words[:1] == ("--",) else words,
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
