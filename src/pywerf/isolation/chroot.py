"""Chroot isolation: containers as plain children in private namespaces, through the launcher, without a runtime."""

from __future__ import annotations

import errno
from typing import Any

from pywerf.errors import IsolationError
from pywerf.isolation.launched import LaunchingIsolation
from pywerf.isolation.plan import HostFacts, host_facts, make_plan, make_template
from pywerf.isolation.spec import ContainerSpec

__all__ = ["ChrootIsolation", "setup_failed"]


class ChrootIsolation(LaunchingIsolation):
    """Containers in namespaces of their own on the host's network (or none). Needs CAP_SYS_ADMIN.

    The launcher is started by the constructor and gets ready meanwhile; make this early.
    With `spec.terminal` a container uses a terminal of its own: see LaunchedContainer.console.
    """

    def __init__(self, facts: HostFacts | None = None) -> None:
        self._facts = facts or host_facts()
        super().__init__()

    @property
    def name(self) -> str:
        return "chroot"

    def _template(self, spec: ContainerSpec) -> tuple[int, list[tuple[Any, ...]]]:
        return make_template(spec, self._facts)

    def _plan(self, spec: ContainerSpec, cgroups: tuple[str, ...], stdin: int) -> dict[str, Any]:
        return make_plan(spec, self._facts, cgroups)

    def _failed(self, plan: dict[str, Any], step: str, number: int, text: str) -> IsolationError:
        return setup_failed(step, number, text)


def setup_failed(step: str, number: int, text: str) -> IsolationError:
    """The error for an E frame: a step that failed in the launcher's children."""
    hint = None
    if number == errno.EPERM:
        hint = "chroot isolation needs root with CAP_SYS_ADMIN; `werf host doctor` shows what this machine can do"
    elif number == errno.ENOSYS:
        hint = "chroot isolation needs Linux 5.12 or newer"
    return IsolationError(f"cannot {step}: {text}", hint=hint)
