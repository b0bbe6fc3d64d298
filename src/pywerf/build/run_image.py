"""`werf run`: a container of an image on this terminal."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from pywerf.backend.buildah.exec_mounts import ExecMounts
from pywerf.backend.buildah.exec_spec import container_spec
from pywerf.build.container_defaults import container_defaults, resolver
from pywerf.build.options import ContainerOptions, PullPolicy
from pywerf.build.volumes import parse_volume
from pywerf.errors import UsageError
from pywerf.graph.op import ExecOp
from pywerf.isolation.spec import ContainerSpec
from pywerf.oci.platform import Platform, host_platform

if TYPE_CHECKING:
    from pywerf.build.session import Session

__all__ = ["RunOptions", "run_image"]


class RunOptions(msgspec.Struct, frozen=True):
    """What `werf run` was asked: as docker's flags of the same names."""

    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] | None = None
    network: str = ""
    terminal: bool = False
    interactive: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    add_hosts: tuple[str, ...] = ()
    read_only: bool = False
    pull: PullPolicy = "missing"
    ulimits: tuple[str, ...] = ()
    shm_size: int = 0
    hostname: str = ""
    container: ContainerOptions = ContainerOptions()


def run_image(
    session: Session, image: str, options: RunOptions, *, platform: Platform | None = None, screen: int = 1
) -> int:
    """Run the image's command, or the one given, and return its status (128 + N when signal N ended it).

    `platform` is this machine's when it is None. A terminal is read from descriptor 0, and shown on `screen`.
    """
    found = session.bases(options.pull).find(image, platform or host_platform())
    config = found.config.config
    entrypoint = config.entrypoint or () if options.entrypoint is None else options.entrypoint
    own = config.cmd or () if options.entrypoint is None else ()
    argv = (*entrypoint, *(options.command or own))
    if not argv:
        raise UsageError(f"{image} names no command to run", hint=f"werf run {image} -- COMMAND")
    network = options.network or "host"
    op = ExecOp(
        argv=argv,
        env=(*config.env, *(_terminal_env() if options.terminal else ()), *map(_variable, options.env)),
        cwd=options.workdir or config.working_dir or "/",
        user=options.user or config.user,
        network=cast("Literal['host', 'none', 'private']", network),
        insecure=options.privileged,
        add_hosts=options.add_hosts,
        hostname=options.hostname,
    )
    defaults = _defaults(session, options)
    volumes = tuple(parse_volume(volume) for volume in options.volumes)
    session.isolation()  # first: it gets ready meanwhile, or says that there is none
    store, snapshots = session.store, session.snapshots
    bases = session.bases("never")
    bases.add(found)
    below = snapshots.of(bases.ref(found.op))
    driver = snapshots.driver
    with ExitStack() as stack:
        snapshot = driver.prepare(store.new_snapshot_id(), below)
        stack.callback(driver.remove, snapshot.id)
        tree = None if below is None else driver.view(below)
        mounts = stack.enter_context(
            ExecMounts(
                store,
                snapshots,
                op,
                (),
                secrets=lambda name: None,
                ssh=lambda name: None,
                volumes=volumes,
                tree=tree,
            )
        )
        spec = container_spec(
            op,
            driver.rootfs(snapshot, stubs=mounts.stubs, writable=True),
            tree,
            hidden_env=(),
            defaults=defaults,
            mounts=mounts.mounts,
            files=mounts.files,
            resolver=resolver(options.container),
            groups=options.container.groups,
        )
        return _run_here(session, spec, options, screen)


def _defaults(session: Session, options: RunOptions) -> ContainerSpec:
    spec = container_defaults(
        options.container,
        ulimits=(*session.options.ulimits, *options.ulimits),
        cap_add=options.cap_add,
        cap_drop=options.cap_drop,
        shm_size=options.shm_size,
    )
    return msgspec.structs.replace(spec, read_only=options.read_only, terminal=options.terminal)


def _run_here(session: Session, spec: ContainerSpec, options: RunOptions, screen: int) -> int:
    """On our own descriptors, or on a pseudo-terminal that is joined with ours."""
    isolation = session.isolation()
    if options.terminal:
        from pywerf.backend.buildah.shell import run_shell
        from pywerf.isolation.console import OwnTerminal

        if not os.isatty(0):
            raise UsageError("-t: the input is not a terminal", hint="leave -t out when input is piped")
        return run_shell(isolation, spec, OwnTerminal(0, screen))
    sys.stdout.flush()
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        container = isolation.start(spec, 0 if options.interactive else null, 1, 2)
        try:
            return container.wait().status
        except BaseException:
            container.kill()
            container.wait()
            raise
    finally:
        os.close(null)


def _terminal_env() -> tuple[str, ...]:
    return (f"TERM={os.environ.get('TERM', 'xterm')}",)


def _variable(text: str) -> str:
    """-e NAME=VALUE, or NAME: the value that it has here."""
    return text if "=" in text else f"{text}={os.environ.get(text, '')}"
