"""What a container is to be (pure values), and the Protocol of what runs it."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from pywerf.linux.mount import Mount

__all__ = ["Container", "ContainerFile", "ContainerResult", "ContainerSpec", "Isolation", "Rlimit"]

ContainerFile = tuple[str, bytes, int] | tuple[str, bytes, int, int, int]


class Rlimit(msgspec.Struct, frozen=True):
    """One resource limit in the units of setrlimit(2); `type` as `nofile`; -1 is unlimited."""

    type: str
    soft: int
    hard: int


class ContainerSpec(msgspec.Struct, frozen=True):
    """One container. Nothing in here needs looking up any more: users are numbers, paths are real.

    `rootfs` has an empty target. `mounts` come in order, after the kernel's own (/proc, /dev, /sys).
    `files` are generated files (`/etc/resolv.conf`, `/etc/hosts`, secrets) that are bound over their
    targets, never part of the layer: (target, content, mode), or with the owner: (target, content, mode, uid, gid).
    """

    rootfs: Mount
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    hostname: str = ""
    network: Literal["host", "none", "private"] = "host"
    capabilities: tuple[str, ...] | None = None  # None: Docker's default set; names as CAP_CHOWN
    rlimits: tuple[Rlimit, ...] = ()
    mounts: tuple[Mount, ...] = ()
    files: tuple[ContainerFile, ...] = ()
    privileged: bool = False  # RUN --security=insecure, `run --privileged`
    read_only: bool = False
    seccomp: Literal["default", "unconfined"] = "default"
    no_new_privileges: bool = False
    terminal: bool = False
    shm_size: int = 64 << 20


class ContainerResult(msgspec.Struct, frozen=True):
    """How it ended: `status` is the exit code, 128 + N for signal N.

    `created` are the paths (relative to the root file system) that had to be made there as mount
    points: they do not belong into the layer unless the command put something into them.
    """

    status: int
    created: tuple[str, ...] = ()


class Container(Protocol):
    """A started container."""

    def wait(self) -> ContainerResult:
        """Wait for the end of its first process (every other one is killed then). Idempotent."""

    def kill(self, signum: int = 9) -> None:
        """Send a signal to its first process; no error when it has ended. From any thread."""


class Isolation(Protocol):
    """A way to run containers. `start` may be called from several threads at once."""

    @property
    def name(self) -> str:
        """`chroot`, `oci` …, as messages show it."""

    def start(self, spec: ContainerSpec, stdin: int, stdout: int, stderr: int) -> Container:
        """Start a container on the given descriptors, which stay the caller's.

        Raises IsolationError, with nothing left behind, when it cannot be started as asked.
        """

    def close(self) -> None:
        """Kill what still runs, and end the launcher. Idempotent."""
