"""Chroot isolation: containers as plain children in private namespaces, through the launcher, without a runtime."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pywerf.errors import IsolationError
from pywerf.isolation.launched import LaunchingIsolation
from pywerf.isolation.plan import HostFacts, host_facts, make_plan, make_template
from pywerf.isolation.spec import ContainerSpec
from pywerf.linux.stage import FUSE, MAPPING

if TYPE_CHECKING:
    from pywerf.isolation.user_namespace import RootIds

__all__ = ["ChrootIsolation", "setup_failed", "unloaded", "unmapped"]

APPARMOR = "set the apparmor label "  # a step of linux.apply, which ends with the profile's name


class ChrootIsolation(LaunchingIsolation):
    """Containers in namespaces of their own on the host's network (or none). Needs CAP_SYS_ADMIN.

    The launcher is started by the constructor and gets ready meanwhile; make this early.
    With `spec.terminal` a container uses a terminal of its own: see LaunchedContainer.console.
    `ids` gives what containers are mapped to that ask for a user namespace and name no ids.
    """

    def __init__(self, facts: HostFacts | None = None, *, ids: Callable[[], RootIds | None] = lambda: None) -> None:
        self._facts = facts or host_facts()
        self._ids = ids
        super().__init__()

    @property
    def name(self) -> str:
        return "chroot"

    def _template(self, spec: ContainerSpec) -> tuple[int, list[tuple[Any, ...]]]:
        return make_template(spec, self._facts)

    def _plan(self, spec: ContainerSpec, cgroups: tuple[str, ...], stdin: int) -> dict[str, Any]:
        if not spec.namespaces.own_user:
            return make_plan(spec, self._facts, cgroups)
        from pywerf.isolation.user_namespace import facts_inside, plan_user

        user = plan_user(spec, self._facts, self._ids())
        return make_plan(spec, facts_inside(self._facts), cgroups, user)

    def _failed(self, plan: dict[str, Any], step: str, number: int, text: str) -> IsolationError:
        return setup_failed(step, number, text)


def unloaded(profile: str) -> IsolationError:
    """The error for an AppArmor profile that the kernel does not know."""
    return IsolationError(
        f"--security-opt apparmor={profile}: the kernel has no such profile",
        hint="load it: apparmor_parser -r FILE; or take apparmor=unconfined",
    )


def unmapped(step: str, text: str) -> IsolationError:
    """The error for a file system whose owners cannot be mapped."""
    if step == MAPPING + FUSE:
        hint = (
            "overlay that the kernel mounts and --storage-driver vfs can; or do without user namespaces: --userns host"
        )
    else:
        hint = (
            "its file system has no idmapped mounts (ext4, xfs and btrfs have, overlay has not): use another place, "
            "for the store --root, or do without user namespaces: --userns host"
        )
    return IsolationError(f"cannot {step}: {text}", hint=hint)


def setup_failed(step: str, number: int, text: str) -> IsolationError:
    """The error for an E frame: a step that failed in the launcher's children."""
    hint = None
    if step.startswith(MAPPING):
        return unmapped(step, text)
    if step.startswith(APPARMOR) and number == errno.ENOENT:
        return unloaded(step.removeprefix(APPARMOR))
    if number == errno.EPERM:
        hint = "chroot isolation needs root with CAP_SYS_ADMIN; `werf host doctor` shows what this machine can do"
    elif number == errno.ENOSYS:
        hint = "chroot isolation needs Linux 5.12 or newer"
    return IsolationError(f"cannot {step}: {text}", hint=hint)
