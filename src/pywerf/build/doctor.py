"""`werf host doctor`: what this machine can do, found out by trying, and what would give the rest."""

from __future__ import annotations

import os
from typing import Literal

import msgspec

from pywerf.build.options import EngineOptions
from pywerf.build.rungs import probe_all, probe_user_namespace
from pywerf.isolation.ladder import RUNGS, RungProbe
from pywerf.util.home import default_root

__all__ = ["Check", "Diagnosis", "State", "diagnose", "rung_checks", "verdict"]

State = Literal["ok", "missing", "info"]


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at. `hint`: the one command or setting that gives what is missing; `errno` 0: none."""

    group: str
    name: str
    state: State
    detail: str
    hint: str = ""
    errno: int = 0


class Diagnosis(msgspec.Struct, frozen=True):
    """All that was found: the rung that `auto` takes (0: nothing can build), and every check in order."""

    rung: int
    summary: str
    checks: tuple[Check, ...]

    @property
    def can_build(self) -> bool:
        """Whether anything can be built here."""
        return self.rung > 0


def diagnose(options: EngineOptions) -> Diagnosis:
    """Look at everything. Nothing is left behind but, on rungs 2 and 3, this process in its user namespace."""
    from pywerf.build import doctor_checks as look
    from pywerf.build.doctor_containers import cgroups, docker, networks
    from pywerf.linux.userns import enter_with_one_id

    root = os.path.abspath(options.root or default_root())
    probes = probe_all()
    checks = [*look.host(), *rung_checks(probes), *look.subordinate_ids(), *look.settings(), *look.security()]
    rung = _rung(probes)
    checks += cgroups(rung)
    checks += look.runtimes()
    checks += [*networks(), *docker(os.environ)]
    checks += look.registries(os.environ)
    # The last ones: overlay is tried where containers would be, in the user namespace.
    if rung == 2:
        probe_user_namespace(enter=True)
    elif rung == 3:
        enter_with_one_id()
    store = look.store(root)
    checks += [*store, *look.storage(root, rung=rung)]
    return verdict(probes, tuple(checks), writable=store[0].state != "missing")


def verdict(probes: tuple[RungProbe, ...], checks: tuple[Check, ...], *, writable: bool) -> Diagnosis:
    """The rung that `auto` takes; none where the store cannot be written to."""
    rung = _rung(probes)
    if not writable:
        return Diagnosis(0, "nothing can be built: the store cannot be written to", checks)
    what = "images can be built" if rung < 5 else "images can be built, but no RUN can be executed"
    return Diagnosis(rung, f"{what}: rung {rung}, {RUNGS[rung]}", checks)


def _rung(probes: tuple[RungProbe, ...]) -> int:
    return next(probe.rung for probe in probes if probe.attempt.works)


def rung_checks(probes: tuple[RungProbe, ...]) -> list[Check]:
    """Every rung with its probe."""
    checks = []
    for probe in probes:
        name = f"{probe.rung} {RUNGS[probe.rung]}"
        if probe.attempt.works:
            checks.append(Check("ladder", name, "ok", "works"))
        else:
            state: State = "missing" if probe.hint else "info"
            checks.append(Check("ladder", name, state, probe.attempt.reason, probe.hint, probe.attempt.errno))
    return checks
