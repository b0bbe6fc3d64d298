"""`werf host doctor`: what this machine can do, as a list for people or as JSON."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pywerf.cli.declare import declared, switch
from pywerf.cli.invocation import Invocation, engine_flags
from pywerf.errors import IsolationError

if TYPE_CHECKING:
    from pywerf.build.doctor import Check, Diagnosis

__all__ = ["command"]

_MARKS = {"ok": ("+", "\x1b[32m"), "missing": ("-", "\x1b[31m"), "info": (" ", "")}


@declared("doctor", usage_line="")
@switch("--json", "as_json", help="Print everything as one JSON object.")
@engine_flags
def command(run: Invocation, /, as_json: bool) -> int:
    """Try what this machine lets the engine do, and say what would give the rest.

    Every rung of the ladder is tried with the real system calls. The exit code is 0 when something can be built here,
    and 1 when nothing can.
    """
    try:
        from pywerf.isolation.ladder import check_platform

        check_platform(sys.platform, os.uname().release if hasattr(os, "uname") else "")
    except IsolationError as error:
        if not as_json:
            raise
        print(_json(False, 0, error.message, [{"hint": error.hint or ""}]))
        return 1
    from pywerf.build.doctor import diagnose

    diagnosis = diagnose(run.engine)
    if as_json:
        import msgspec

        checks = [msgspec.structs.asdict(check) for check in diagnosis.checks]
        print(_json(diagnosis.can_build, diagnosis.rung, diagnosis.summary, checks))
    else:
        _print(diagnosis, color=run.color)
    return 0 if diagnosis.can_build else 1


def _json(can_build: bool, rung: int, summary: str, checks: list[dict[str, object]]) -> str:
    import json

    return json.dumps({"canBuild": can_build, "rung": rung, "summary": summary, "checks": checks}, indent=4)


def _print(diagnosis: Diagnosis, *, color: bool | None) -> None:
    from pywerf.report.views import wants_color

    colored = wants_color(sys.stdout) if color is None else color
    width = max(len(check.name) for check in diagnosis.checks)
    group = ""
    for check in diagnosis.checks:
        if check.group != group:
            group = check.group
            print(f"{group}:")
        print(_line(check, width, colored))
        if check.hint:
            print(f"{'':{width + 6}}hint: {check.hint}")
    print(f"\n{diagnosis.summary}")


def _line(check: Check, width: int, colored: bool) -> str:
    mark, paint = _MARKS[check.state]
    if colored and paint:
        mark = f"{paint}{mark}\x1b[0m"
    return f"  {mark} {check.name:{width}}  {check.detail}".rstrip()
