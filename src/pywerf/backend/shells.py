"""Introspection, as both backends do it: which shell is taken, and how it gets the terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pywerf.errors import ShellMissing, UsageError, WerfError
from pywerf.isolation.console import OwnTerminal, own_terminal
from pywerf.util.events import Reporter
from pywerf.util.suspend import suspended

__all__ = ["State", "failure_title", "look_into", "no_shell", "on_terminal", "shell_candidates", "terminal_env"]

State = Literal["before", "after"]
"""Of a command that failed: before it began, or as it has left things."""

_USUAL = ("bash", "sh")
_THEN_ERROR = "the build ends with the error"


def shell_candidates(words: Sequence[str] | None) -> list[tuple[str, ...]]:
    """Command lines of interactive shells, the best first: of a SHELL (`/bin/bash -o pipefail -c`) without its options,
    bash, sh."""
    own = tuple(words or ())
    for index, word in enumerate(own):
        if word.startswith("-"):
            own = own[:index]
            break
    return [*([own] if own else []), *((name,) for name in _USUAL if (name,) != own)]


def no_shell(words: Sequence[str] | None) -> ShellMissing:
    """The error of files without any of the candidates."""
    names = ", ".join(" ".join(candidate) for candidate in shell_candidates(words))
    return ShellMissing(
        f"there is no shell in it (looked for {names})",
        hint="COPY one in for the time being: --from=busybox /bin/busybox /bin/sh, for instance",
    )


def terminal_env(environ: Mapping[str, str]) -> str:
    """TERM as the user's terminal has it."""
    return f"TERM={environ.get('TERM') or 'xterm'}"


def on_terminal(reporter: Reporter, title: str, then: str, body: Callable[[OwnTerminal], int]) -> None:
    """Give the terminal to a shell, which `body` runs to its end: what is told of the build waits meanwhile.

    Raises UsageError when there is no terminal.
    """
    terminal = own_terminal()
    if terminal is None:
        raise UsageError("there is no terminal to open a shell on")
    with suspended(reporter):
        _tell(
            terminal,
            f"introspection: {title}",
            f"What is changed here is not kept. When the shell ends (exit, or Ctrl-D), {then}.",
        )
        status = body(terminal)
        _tell(terminal, f"introspection: the shell has ended{f' with status {status}' if status else ''}")


def _tell(terminal: OwnTerminal, *lines: str) -> None:
    from contextlib import suppress

    with suppress(OSError):  # a terminal that hung up hears nothing; reading from it will tell
        os.write(terminal.screen, "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))


def failure_title(state: State, error: WerfError) -> str:
    """What a shell shows that is opened because of an error."""
    where = "the state after the command that failed" if state == "after" else "the state before the command that fails"
    return f"{where}\n{error.message}"


def look_into(
    states: Sequence[State], error: WerfError, reporter: Reporter, open_shell: Callable[[State, str, str], None]
) -> None:
    """A shell (`open_shell(state, title, then)`) for each wanted state of a command that has failed with `error`.

    Never raises a WerfError: the error of the command is what counts.
    """
    for number, state in enumerate(states):
        last = number == len(states) - 1
        then = _THEN_ERROR if last else "the state after the command is next"
        try:
            open_shell(state, failure_title(state, error), then)
        except WerfError as other:
            hint = f" ({other.hint})" if other.hint else ""
            reporter.message("warning", f"no introspection of the state {state} the command: {other.message}{hint}")
