"""What a container is to be (pure values), and the Protocol of what runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from pywerf.linux.mount import Mount

if TYPE_CHECKING:
    from pywerf.isolation.hooks import Hook
    from pywerf.linux.seccomp_profile import SeccompProfile

__all__ = [
    "SHM_SIZE",
    "Container",
    "ContainerFile",
    "ContainerResult",
    "ContainerSpec",
    "Device",
    "IdMap",
    "Isolation",
    "Namespaces",
    "Resources",
    "Rlimit",
]

SHM_SIZE = 64 << 20  # of /dev/shm, when nobody says otherwise

ContainerFile = tuple[str, bytes, int] | tuple[str, bytes, int, int, int]


class Rlimit(msgspec.Struct, frozen=True):
    """One resource limit in the units of setrlimit(2); `type` as `nofile`; -1 is unlimited."""

    type: str
    soft: int
    hard: int


class Resources(msgspec.Struct, frozen=True):
    """Limits of a container's cgroup, in the runtime-spec's units (config-linux.md#control-groups); None: none.

    `memory` and `memory_swap` (both together) are bytes, -1 is unlimited; `cpu_quota` and `cpu_period`
    microseconds, the quota -1 is unlimited; the sets are lists as `0-3,5`.
    """

    memory: int | None = None
    memory_swap: int | None = None
    cpu_shares: int | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpuset_cpus: str = ""
    cpuset_mems: str = ""

    @property
    def limited(self) -> bool:
        """Whether anything is limited."""
        return self != _UNLIMITED


_UNLIMITED = Resources()


class IdMap(msgspec.Struct, frozen=True):
    """A line of /proc/PID/uid_map (user_namespaces(7)): `length` ids from `container` are those from `host`."""

    container: int
    host: int
    length: int


class Namespaces(msgspec.Struct, frozen=True):
    """Whose namespaces a container has: `private` (new ones), `host` (ours), or the path of one to join.

    `user` "" is the isolation's own choice. `uid_map` and `gid_map` are for a new one; () is the isolation's
    choice as well. `network`, where ContainerSpec.network is `private`, is a path to join, or which program connects a
    new one (`pasta`, `slirp4netns`); empty: whichever is there. `asked` are the flags that ask for a private one by
    name, for those that have none.
    """

    pid: str = "private"
    ipc: str = "private"
    uts: str = "private"
    cgroup: str = "private"
    user: str = ""
    uid_map: tuple[IdMap, ...] = ()
    gid_map: tuple[IdMap, ...] = ()
    network: str = ""
    asked: tuple[str, ...] = ()

    @property
    def own_user(self) -> bool:
        """Whether a user namespace is asked for."""
        return self.user not in ("", "host") or bool(self.uid_map)


class Device(msgspec.Struct, frozen=True):
    """A device of the host, at `target` in the container; `permissions` are some of rwm."""

    source: str
    target: str
    permissions: str = "rwm"


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
    seccomp: Literal["default", "unconfined"] | SeccompProfile = "default"
    no_new_privileges: bool = False
    terminal: bool = False
    shm_size: int = SHM_SIZE
    resources: Resources = Resources()
    cgroup_parent: str = ""  # empty: below our own cgroup; absolute, or relative to that of process 1
    namespaces: Namespaces = Namespaces()
    devices: tuple[Device, ...] = ()
    apparmor: str = ""  # a profile's name, `unconfined`, or empty: ours is inherited
    selinux_label: str = ""  # user:role:type:level of the process, or empty: ours is inherited
    hooks: tuple[Hook, ...] = ()  # of which an OCI runtime gets those that are meant for this container
    volumes: bool = False  # whether the user has folders of the host in it, which is a condition of hooks

    @property
    def own_network(self) -> bool:
        """Whether it has a private network that is not somebody else's."""
        return self.network == "private" and not self.namespaces.network.startswith("/")


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
