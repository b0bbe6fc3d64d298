"""Climbs the ladder for a command: probes rungs in order, and enters a user namespace where that is the rung.

It happens before any thread is started and before anything is opened: a process with threads cannot enter one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from pywerf.isolation.ladder import (
    Choice,
    HostSettings,
    RungProbe,
    check_mode,
    check_platform,
    decide,
    hint_for,
    with_hints,
)
from pywerf.linux.facts import read_text
from pywerf.linux.probes import Attempt, plain_chroot, private_namespaces

if TYPE_CHECKING:
    from pywerf.build.options import EngineOptions
    from pywerf.isolation.runtimes import Runtime

__all__ = ["choose_rung", "circumstances", "host_settings", "probe_all", "probe_user_namespace"]


_REMEMBERED = "rung"  # a file of the store
_SETTINGS = (
    "/proc/sys/kernel/random/boot_id",
    "/proc/self/attr/current",
    *(f"/proc/sys/user/max_{kind}_namespaces" for kind in ("mnt", "pid", "ipc", "uts")),
)
_USER_SETTINGS = (
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/yama/ptrace_scope",
)


def choose_rung(options: EngineOptions, root: str) -> Choice:
    """The rung of this process; on rungs 2 and 3 it is root in a user namespace afterwards.

    `root` is the store's, where it is remembered what worked for processes like this one (see `circumstances`).
    Raises UsageError and IsolationError as `check_mode` and `decide`.
    """
    check_platform(sys.platform, os.uname().release)
    mode = check_mode(options.mode, options.isolation)
    runtime = _runtime(options) if mode == "native-rootless" else None
    now = circumstances()
    kept = read_text(f"{root}/{_REMEMBERED}")
    if now and kept == now:
        return Choice(mode, 1, runtime=runtime)
    further = f"{now}{_of_user_namespaces()}" if now else ""
    choice = decide(mode, _probes(tried=tuple(rung for rung in (2, 3) if further and kept == f"{further}{rung}\n")))
    if now and choice.rung == 1:
        _remember(root, now)
    elif now and choice.rung in (2, 3) and kept != f"{further}{choice.rung}\n":
        _remember(root, f"{further}{choice.rung}\n")
    return choice if runtime is None else msgspec.structs.replace(choice, runtime=runtime)


def _runtime(options: EngineOptions) -> Runtime:
    from pywerf.isolation.runtimes import find_runtime
    from pywerf.linux.userns import find_tool

    return find_runtime(options.runtime, find_tool, options.runtime_flags)


def circumstances() -> str:
    """All that the success of rung 1's probe depends on; empty where something decides that cannot be read.

    The kernel's answer follows from the capabilities, the namespaces, the limits of namespaces and the label of a
    security module, all of this boot. What a seccomp filter does cannot be read.
    """
    lines = dict(line.split(":", 1) for line in read_text("/proc/self/status").splitlines() if ":" in line)
    if lines.get("Seccomp", "").strip() != "0":
        return ""
    facts = [lines.get(name, "").strip() for name in ("Uid", "CapEff", "CapBnd", "NoNewPrivs")]
    try:
        facts += [os.readlink(f"/proc/self/ns/{kind}") for kind in ("user", "mnt", "pid")]
    except OSError:
        return ""
    return "\n".join([*facts, *(read_text(path).strip("\n\0") for path in _SETTINGS)]) + "\n"


def _of_user_namespaces() -> str:
    """What more decides in user namespaces, beside all that is tried by entering one."""
    return "\n".join(read_text(path).strip() or "-" for path in _USER_SETTINGS) + "\n"


def _remember(root: str, now: str) -> None:
    """Write it down, if there is a store already; a store that cannot be written to will say so itself."""
    new = f"{root}/tmp/rung-{os.getpid()}"
    try:
        with open(new, "w", encoding="utf-8", errors="replace") as file:
            file.write(now)
        os.replace(new, f"{root}/{_REMEMBERED}")
    except OSError:
        return


def _probes(tried: tuple[int, ...] = ()) -> Iterator[RungProbe]:
    """The rungs in order, each tried when it is asked for; containers in namespaces are not tried anew on `tried`."""
    attempt = private_namespaces()
    settings = HostSettings()
    if not attempt.works:
        settings = host_settings()
    yield RungProbe(1, attempt, hint_for(1, attempt, settings))
    from pywerf.linux.userns import enter_with_one_id

    attempt = probe_user_namespace(enter=True, trial=2 not in tried)
    yield RungProbe(2, attempt, hint_for(2, attempt, settings))
    attempt = enter_with_one_id(trial=3 not in tried)
    yield RungProbe(3, attempt, hint_for(3, attempt, settings))
    attempt = plain_chroot()
    yield RungProbe(4, attempt, hint_for(4, attempt, settings))
    yield RungProbe(5, Attempt("build without containers"))


def probe_all() -> tuple[RungProbe, ...]:
    """Try every rung; this process stays where it is."""
    from pywerf.linux.probes import namespaces_with_one_id

    settings = host_settings()
    attempts = (
        private_namespaces(),
        probe_user_namespace(enter=False),
        namespaces_with_one_id(),
        plain_chroot(),
        Attempt("build without containers"),
    )
    return with_hints(attempts, settings)


def probe_user_namespace(*, enter: bool, trial: bool = True) -> Attempt:
    """Try rung 2, in a child; with `enter` this process is in the namespace when it works.

    Without `trial` the namespace is all that is tried, not what containers need in it.
    """
    from pywerf.linux.userns import make_and_enter, read_subids

    subids = read_subids()
    if not subids.usable:
        missing = "/etc/subgid" if subids.uids else "/etc/subuid"
        return Attempt("map subordinate ids", 0, f"no {missing} range for {subids.user!r}")
    return make_and_enter(subids, enter=enter, trial=trial)


def host_settings() -> HostSettings:
    """Read what hints depend on."""
    from pywerf.linux.facts import in_container, read_number
    from pywerf.linux.userns import read_subids

    return HostSettings(
        user=read_subids().user,
        root=os.geteuid() == 0,
        contained=in_container(),
        max_user_namespaces=read_number("/proc/sys/user/max_user_namespaces"),
        apparmor_restricts=read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
        unprivileged_clone=read_number("/proc/sys/kernel/unprivileged_userns_clone"),
        subuid_file=read_text("/etc/subuid"),
        subgid_file=read_text("/etc/subgid"),
    )
