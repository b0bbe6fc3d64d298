"""`--introspect-error`, `--introspect-before-error`, `--introspect-stage`: the flags, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pywerf.cli.declare import flag, switch

if TYPE_CHECKING:
    from collections.abc import Callable

    from pywerf.backend.shells import State
    from pywerf.util.events import Reporter

__all__ = ["failure_introspection_flags", "introspected_stages", "introspected_states", "introspection_flags"]

F = TypeVar("F", bound="Callable[..., Any]")

_OF_FAILURES = (
    ("introspect_before_error", "--introspect-before-error"),
    ("introspect_error", "--introspect-error"),
)


def failure_introspection_flags(function: F) -> F:
    """Those that concern commands that fail."""
    function = switch("--introspect-before-error", help="When a command fails: a shell in the state before it.")(
        function
    )
    return switch("--introspect-error", help="When a command fails: a shell in the state that it has left.")(function)


def introspection_flags(function: F) -> F:
    """All of them, for builds of projects."""
    function = flag(
        "--introspect-stage",
        "introspect_stages",
        multiple=True,
        metavar="IMAGE/STAGE",
        help="A shell after a stage; STAGE alone: of every image, ~/STAGE: of the nameless one.",
    )(function)
    return failure_introspection_flags(function)


def introspected_states(flags: Mapping[str, Any], reporter: Reporter) -> tuple[State, ...]:
    """The states of a failed command that a shell is wanted in; none, and a warning, where there is no terminal."""
    given = [name for name, _ in _OF_FAILURES if flags[name]]
    if not given or not _has_terminal([shown for name, shown in _OF_FAILURES if flags[name]], reporter):
        return ()
    return tuple("before" if name == "introspect_before_error" else "after" for name in given)


def introspected_stages(flags: Mapping[str, Any], reporter: Reporter) -> tuple[tuple[str, ...], bool]:
    """The values of --introspect-stage, which are to be checked, and whether there is a terminal for shells."""
    stages = tuple(flags["introspect_stages"])
    return stages, bool(stages) and _has_terminal(["--introspect-stage"], reporter)


def _has_terminal(flags: list[str], reporter: Reporter) -> bool:
    from pywerf.isolation.console import own_terminal

    if own_terminal() is not None:
        return True
    reporter.message(
        "warning",
        f"{' and '.join(flags)}: left out, for there is no terminal to open a shell on (standard input, and standard "
        "error or output, have to be one)",
    )
    return False
