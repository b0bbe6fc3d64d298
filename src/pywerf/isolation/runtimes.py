"""OCI runtimes: which one is used, how it is called, and in what each differs from the others.

All share runc's command line: `NAME [FLAGS] --root DIR --log FILE --log-format json run --pid-file FILE ID`. What is a
runtime's own stands in its row of ADAPTERS, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from pywerf.errors import IsolationError
from pywerf.linux.runtime import CONSOLE, LOG, PID, STATE

__all__ = [
    "ADAPTERS",
    "SEARCHED",
    "Adapter",
    "Runtime",
    "adapter_for",
    "command_line",
    "delete_command",
    "find_runtime",
    "kill_command",
]


class Adapter(msgspec.Struct, frozen=True):
    """What is particular to a runtime.

    - `flags` come before the command, `network_flags` by network, for a runtime with a network stack of its own.
    - `own_kernel`: it brings a kernel with /dev and /sys of its own, so that those are not given to it, and what is
      mounted below them has to be told in the bundle.
    - `own_limits`: limits of processes are those of its kernel, which knows no other than these ones.
    - `refuses_hybrid`: it does not start where a version 2 hierarchy with controllers stands beside those of version 1.
    - `makes_cgroups`: it makes cgroups for every container, unless it may not: then it goes on without. They are made
      read-only for it; the container's limits are those of the cgroup that it is started in.
    - `hosts_network_by`: by what is in this folder it tells the host's network, which it refuses to take over. Newer
      kernels have that in every network namespace: it is hidden for private networks.
    - `forgets_nodev`: it mounts the root file system anew, without the flag that keeps devices in it from being opened.
    - `detaches`: `run --detach` leaves the container's first process behind, with its exit status. Else the runtime
      stays, and ends with that status.
    - `raw_filter`: the annotation that takes a seccomp program as it is, in place of the bundle's rules.
    - `least_memory`: the bytes that its kernel needs before anything runs in it.
    - `notifies`: it sends the listener of SCMP_ACT_NOTIFY to the bundle's `listenerPath`.
    """

    name: str
    flags: tuple[str, ...] = ()
    network_flags: dict[str, tuple[str, ...]] = {}
    own_kernel: bool = False
    own_limits: tuple[str, ...] | None = None
    refuses_hybrid: bool = False
    makes_cgroups: bool = False
    hosts_network_by: str = ""
    forgets_nodev: bool = False
    detaches: bool = True
    raw_filter: str = ""
    notifies: bool = False
    least_memory: int = 0


_PLAIN = Adapter("")

ADAPTERS = {
    # crun(1). Versions before 1.9 say "cgroups in hybrid mode not supported", with the disabled manager too.
    "crun": Adapter(
        "crun",
        flags=("--cgroup-manager=disabled",),
        refuses_hybrid=True,
        forgets_nodev=True,
        raw_filter="run.oci.seccomp_bpf_data",
        notifies=True,
    ),
    # runc(8): `--rootless=true` is "ignore cgroup permission errors", for the machine's root as well.
    "runc": Adapter("runc", flags=("--rootless=true",), makes_cgroups=True, notifies=True),
    # The command line of Kata Containers 1 (`kata-runtime --help`): the later ones have a shim for containerd only.
    "kata-runtime": Adapter("kata-runtime", own_kernel=True),
    # gVisor's `runsc flags`. Its own network stack needs a network namespace with addresses: host's is passed through.
    # Without the other flags it ignores the filter of system calls, takes CAP_NET_RAW away, and connects no sockets.
    "runsc": Adapter(
        "runsc",
        flags=("--ignore-cgroups", "--oci-seccomp", "--net-raw", "--host-uds=open"),
        network_flags={"host": ("--network=host",), "none": ("--network=none",), "private": ("--network=sandbox",)},
        own_kernel=True,
        hosts_network_by="/proc/sys/net/core",
        detaches=False,
        own_limits=("as", "core", "cpu", "data", "fsize", "memlock", "nofile", "nproc", "rss", "stack"),
        least_memory=32 << 20,
    ),
}
_ALIASES = {"kata": "kata-runtime"}

# In this order: what starts fastest comes first.
SEARCHED = ("crun", "runc", "kata-runtime", "kata", "runsc")


class Runtime(msgspec.Struct, frozen=True):
    """A runtime of this machine. `flags` are the user's (`--runtime-flag`)."""

    path: str
    adapter: Adapter
    flags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As messages show it: the last part of its path."""
        return self.path.rpartition("/")[2]


def adapter_for(path: str) -> Adapter:
    """The adapter of a program by its name; one that nobody knows is called as runc is.

    `/opt/bin/crun-1.20` and `runsc.sh` are known by how they begin.
    """
    name = path.rpartition("/")[2]
    name = _ALIASES.get(name, name)
    if name in ADAPTERS:
        return ADAPTERS[name]
    for known, adapter in ADAPTERS.items():
        if name.startswith(known) and not name[len(known)].isalnum():
            return adapter
    return _PLAIN


def find_runtime(wanted: str, find: Callable[[str], str | None], flags: Sequence[str] = ()) -> Runtime:
    """The runtime that is asked for by name or path, or else the first of SEARCHED; `find` looks a name up in PATH.

    Flags may leave their dashes out, as buildah's `--runtime-flag` has it. Raises IsolationError when there is none.
    """
    import os

    given = tuple(flag if flag.startswith("-") else f"--{flag}" for flag in flags)
    if "/" in wanted:
        path = os.path.abspath(wanted)
        if not (os.path.isfile(path) and os.access(path, os.X_OK)):
            what = "cannot be executed" if os.path.exists(path) else "is not there"
            raise IsolationError(f"the OCI runtime {wanted} {what}", hint=_INSTALL)
        return Runtime(path, adapter_for(path), given)
    for name in (wanted,) if wanted else SEARCHED:
        found = find(name)
        if found is not None:
            return Runtime(found, adapter_for(name), given)
    if wanted:
        raise IsolationError(f"the OCI runtime {wanted} is not installed", hint=_INSTALL)
    raise IsolationError(f"no OCI runtime is installed: looked for {', '.join(SEARCHED)}", hint=_INSTALL)


_INSTALL = "apt-get install crun (or runc), or name another one with --runtime NAME|PATH (WERF_BUILDAH_RUNTIME)"


def command_line(
    runtime: Runtime, *, stage: str, name: str, network: str = "host", terminal: bool = False
) -> list[str]:
    """The words that run the bundle in the current folder (see `pywerf.linux.runtime`); files about it are in `stage`.

    The user's flags come last of those before the command.
    """
    adapter = runtime.adapter
    return [
        *_call(runtime, stage, adapter.network_flags.get(network, ()), log=f"{stage}/{LOG}"),
        "run",
        *(("--detach",) if adapter.detaches else ()),
        # By its name alone: the address of a socket has room for 107 bytes (unix(7)).
        *(("--console-socket", CONSOLE.rpartition("/")[2]) if adapter.detaches and terminal else ()),
        *("--pid-file", f"{stage}/{PID}", name),
    ]


def kill_command(runtime: Runtime, *, stage: str, name: str) -> list[str]:
    """The words that send a signal, whose number is to follow, to the first process of the container `name`.

    Nobody needs to know when it has ended already: what is in the container's log is why it could not be run.
    """
    return [*_call(runtime, stage, log="/dev/null"), "kill", name]


def delete_command(runtime: Runtime, *, stage: str, name: str) -> list[str]:
    """The words that remove what a runtime has kept of the container `name` that it left alone, which has ended."""
    return [*_call(runtime, stage, log="/dev/null"), "delete", name]


def _call(runtime: Runtime, stage: str, network_flags: tuple[str, ...] = (), *, log: str) -> list[str]:
    """All that comes before the command."""
    return [
        runtime.path,
        *runtime.adapter.flags,
        *network_flags,
        *("--root", f"{stage}/{STATE}", "--log", log, "--log-format", "json"),
        *runtime.flags,
    ]
