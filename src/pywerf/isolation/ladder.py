"""The least-privilege ladder: which rung a mode takes, from what probes say. Pure: probing is `linux.probes`' work.

1  private namespaces as root (CAP_SYS_ADMIN)
2  the same inside a user namespace with subordinate ids
3  the same inside a user namespace with one id
4  root that may chroot(2), but neither mount nor unshare
5  nothing of all that: what needs no RUN
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from pywerf.errors import IsolationError, UsageError, WerfError
from pywerf.isolation.spec import Namespaces
from pywerf.linux.probes import Attempt

if TYPE_CHECKING:
    from pywerf.isolation.runtimes import Runtime
    from pywerf.isolation.user_namespace import RootIds

__all__ = [
    "MODES",
    "RUNGS",
    "Choice",
    "HostSettings",
    "RungProbe",
    "check_mode",
    "check_platform",
    "decide",
    "free_subids",
    "hint_for",
    "no_containers",
    "subids_hint",
    "with_hints",
]

MODES = ("auto", "default", "native-chroot", "native-rootless")
ISOLATIONS = ("", "chroot", "oci", "rootless")

RUNGS = {
    1: "private namespaces as root",
    2: "private namespaces in a user namespace with subordinate ids",
    3: "private namespaces in a user namespace with one id",
    4: "chroot as root, without mounts",
    5: "no containers: everything but RUN",
}

_FIRST_SUBID, _SUBIDS = 100_000, 65_536


class RungProbe(msgspec.Struct, frozen=True):
    """What trying one rung has shown. `hint` is the one command or setting that would give it, if it fails."""

    rung: int
    attempt: Attempt
    hint: str = ""


class Choice(msgspec.Struct, frozen=True):
    """The rung that was taken, the probes of those above it, which failed, and the OCI runtime, where one is used."""

    mode: str
    rung: int
    failed: tuple[RungProbe, ...] = ()
    runtime: Runtime | None = None  # in mode native-rootless
    ids: RootIds | None = None  # of root's containers by a runtime, in user namespaces of their own
    no_ids: str = ""  # why there are none

    @property
    def has_containers(self) -> bool:
        """Whether RUN can be executed."""
        return self.rung < 5

    @property
    def has_mounts(self) -> bool:
        """Whether containers have mounts and namespaces of their own."""
        return self.rung < 4

    @property
    def line(self) -> str:
        """The build's first line: the mode, what it came to, and why."""
        return self.line_for(Namespaces())

    def line_for(self, namespaces: Namespaces) -> str:
        """The same when the command asks for these namespaces."""
        what = f"mode {self.mode}: rung {self.rung}, {RUNGS[self.rung]}"
        reasons = [probe.attempt.reason for probe in self.failed]
        because = f" ({'; '.join(reasons)})" if reasons else ""
        return what + because + self._containers_words(namespaces)

    def _containers_words(self, namespaces: Namespaces) -> str:
        by = "" if self.runtime is None else f" by {self.runtime.name} ({self.runtime.path})"
        whose = self._whose(namespaces) if self.rung == 1 else ""
        return f"; containers{by}{whose}" if by or whose else ""

    def _whose(self, namespaces: Namespaces) -> str:
        if self.runtime is None and not namespaces.own_user:
            return ""
        from pywerf.isolation.user_namespace import words

        own = words(namespaces, self.ids)
        if own:
            return f" in {own}" if self.runtime is None else f", in {own}"
        if self.runtime is None:
            return ""
        why = "--userns host" if namespaces.user == "host" else self.no_ids
        return f", as plain root containers (no user namespace of their own{': ' if why else ''}{why})"


class HostSettings(msgspec.Struct, frozen=True):
    """What decides about user namespaces; None where the kernel has no such setting. `user` runs this process."""

    user: str = ""
    root: bool = False
    contained: bool = False
    max_user_namespaces: int | None = None
    apparmor_restricts: int | None = None
    unprivileged_clone: int | None = None
    subuid_file: str = ""
    subgid_file: str = ""


def check_mode(mode: str, isolation: str = "") -> str:
    """The mode that WERF_BUILDAH_MODE or --buildah-mode and --isolation mean together: the flag of a build wins.

    Raises UsageError for a value that is none.
    """
    if mode == "docker":
        raise UsageError(
            "WERF_BUILDAH_MODE (--buildah-mode) is docker, but `werf buildah` and `werf run` are the embedded engine",
            hint=f"set it to auto, or use docker's own commands; the engine's modes are {', '.join(MODES)}",
        )
    if mode and mode not in MODES:
        raise UsageError(
            f"WERF_BUILDAH_MODE (--buildah-mode): unknown mode {mode!r}",
            hint=f"it is one of {', '.join(MODES)}, docker",
        )
    if isolation not in ISOLATIONS:
        raise UsageError(f"--isolation: unknown isolation {isolation!r}", hint="it is one of chroot, oci, rootless")
    if isolation == "chroot":
        return "native-chroot"
    if isolation:
        return "native-rootless"
    return "auto" if mode in ("", "default") else mode


def check_platform(platform: str, release: str = "") -> None:
    """Raise IsolationError where the embedded engine cannot work: `platform` as sys.platform, `release` as uname -r."""
    if platform == "linux":
        # The first WSL translates system calls: it has neither namespaces nor overlay. The second is a Linux.
        if release.endswith("-Microsoft"):
            raise IsolationError(
                "WSL1 cannot run the embedded engine: it has no namespaces",
                hint="turn the distribution into a WSL2 one: wsl --set-version DISTRIBUTION 2",
            )
        return
    hint = "use a Linux virtual machine, or WERF_BUILDAH_MODE=docker"
    name = platform
    if platform == "darwin":
        name = "macOS"
        hint = (
            "on macOS use a Linux virtual machine (Lima, Colima, UTM), or the Docker backend: WERF_BUILDAH_MODE=docker"
        )
    elif platform in ("win32", "cygwin", "msys"):
        name = "Windows"
        hint = "on Windows enable WSL2 (wsl --install) and run werf in it, or use WERF_BUILDAH_MODE=docker"
    raise IsolationError(f"the embedded engine (Buildah mode) works on Linux, not on {name}", hint=hint)


def decide(mode: str, probes: Iterable[RungProbe]) -> Choice:
    """The first rung that works and that `mode` allows. `probes` come from rung 1 on; none below it is asked for.

    Raises IsolationError, which names the probes that failed, when the mode needs containers and there are none.
    """
    allowed = _allowed(mode)
    failed: list[RungProbe] = []
    for probe in probes:
        if probe.rung > allowed[-1]:
            break
        if probe.rung in allowed and probe.attempt.works:
            return Choice(mode, probe.rung, tuple(failed))
        failed.append(probe)
    raise no_containers(Choice(mode, 5, tuple(failed)), f"mode {mode} cannot be used here")


def _allowed(mode: str) -> tuple[int, ...]:
    """The rungs of a mode. OCI runtimes need namespaces, and more than one id to give files their owners."""
    last = {"auto": 5, "native-rootless": 2}.get(mode, 4)
    return tuple(rung for rung in RUNGS if rung <= last)


def no_containers(choice: Choice, what: str) -> WerfError:
    """The error for whoever needs a container where there is none: the probes that failed, and the easiest way out."""
    probes = [probe for probe in choice.failed if not probe.attempt.works]
    reasons = "; ".join(f"rung {probe.rung}: {probe.attempt.reason}" for probe in probes)
    # To become root, as rung 4 asks of a user, is never the easiest.
    hints = [probe.hint for probe in probes if probe.hint and (probe.rung != 4 or not probe.attempt.errno)]
    return IsolationError(
        f"{what}: {reasons}",
        hint=f"{hints[-1]} (`werf host doctor` shows every rung)" if hints else "`werf host doctor` shows every rung",
    )


def hint_for(rung: int, attempt: Attempt, settings: HostSettings) -> str:
    """The one command or setting that would raise a rung whose attempt failed; empty when it works."""
    if attempt.works:
        return ""
    if rung == 1:
        return _root_hint(settings)
    if rung in (2, 3):
        return _user_namespace_hint(attempt, settings)
    if rung == 4:
        return "run it as root with CAP_SYS_CHROOT, as containers have it by default"
    return ""


def with_hints(attempts: Iterable[Attempt], settings: HostSettings) -> tuple[RungProbe, ...]:
    """All rungs in order, each with its hint. Ids help nobody whom the kernel refuses user namespaces."""
    tried = tuple(attempts)
    probes = []
    for rung, attempt in enumerate(tried, start=1):
        hint = hint_for(rung, attempt, settings)
        one_id = tried[2] if len(tried) > 2 else attempt
        if rung == 2 and not attempt.works and not attempt.errno and not one_id.works:
            hint = hint_for(3, one_id, settings)
        probes.append(RungProbe(rung, attempt, hint))
    return tuple(probes)


def _root_hint(settings: HostSettings) -> str:
    if not settings.root:
        return "run it as root: sudo werf …"
    if settings.contained:
        return (
            "start this container with --cap-add SYS_ADMIN --security-opt apparmor=unconfined, or with --privileged "
            "(Kubernetes: securityContext.privileged: true)"
        )
    return "give the process CAP_SYS_ADMIN"


def _user_namespace_hint(attempt: Attempt, settings: HostSettings) -> str:
    import errno

    if attempt.errno == 0 and "is not installed" in attempt.text:
        return "apt-get install uidmap (Fedora: dnf install shadow-utils)"
    if attempt.errno == 0:
        return subids_hint(settings.user, free_subids(settings.subuid_file, settings.subgid_file))
    if settings.apparmor_restricts:
        return "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    if settings.unprivileged_clone == 0:
        return "sysctl -w kernel.unprivileged_userns_clone=1"
    if settings.max_user_namespaces == 0 or attempt.errno == errno.ENOSPC:
        return "sysctl -w user.max_user_namespaces=15000"
    if settings.contained:
        return (
            "start this container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
            "--security-opt systempaths=unconfined"
        )
    if attempt.errno in (errno.EINVAL, errno.ENOSYS):
        return "boot a kernel that has user namespaces (CONFIG_USER_NS=y)"
    return "ask who restricts user namespaces on this machine: a seccomp filter, or a security module"


def subids_hint(user: str, first: int, kinds: tuple[str, ...] = ("subuids", "subgids")) -> str:
    """The command that gives a user ids from `first` on; a user without a name (of a container) stands by number."""
    if user.isdigit():
        files = " ".join(f"/etc/{kind.removesuffix('s')}" for kind in kinds)
        return f"echo {user}:{first}:{_SUBIDS} | tee -a {files}"
    ids = f"{first}-{first + _SUBIDS - 1}"
    return f"usermod {' '.join(f'--add-{kind} {ids}' for kind in kinds)} {user}"


def free_subids(*files: str) -> int:
    """The first id that can begin a new range: behind all ranges of the given subuid(5) files, never below 100000."""
    first = _FIRST_SUBID
    for text in files:
        for line in text.splitlines():
            fields = line.strip().split(":")
            if len(fields) == 3 and all(field.isascii() and field.isdigit() for field in fields[1:]):
                first = max(first, int(fields[1]) + int(fields[2]))
    return first
