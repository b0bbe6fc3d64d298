"""Which shells are taken, and what happens when a command has failed."""

from __future__ import annotations

import pytest

from pywerf.backend.shells import State, look_into, no_shell, on_terminal, shell_candidates
from pywerf.errors import BuildError, ContainerFailed, ShellMissing, UsageError
from support.recorder import Recorder


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (None, [("bash",), ("sh",)]),
        ((), [("bash",), ("sh",)]),
        (("/bin/zsh", "-o", "pipefail", "-c"), [("/bin/zsh",), ("bash",), ("sh",)]),
        (("/usr/bin/env", "fish", "-c"), [("/usr/bin/env", "fish"), ("bash",), ("sh",)]),
        (("sh", "-c"), [("sh",), ("bash",)]),
        (("-c",), [("bash",), ("sh",)]),
    ],
)
def test_the_shell_of_the_image_comes_first(words: tuple[str, ...] | None, expected: list[tuple[str, ...]]) -> None:
    assert shell_candidates(words) == expected


def test_none_is_told_by_what_was_looked_for() -> None:
    error = no_shell(("/bin/zsh", "-c"))
    assert isinstance(error, ShellMissing)
    assert "(looked for /bin/zsh, bash, sh)" in error.message


def test_a_shell_for_each_state_in_turn() -> None:
    opened: list[tuple[State, str, str]] = []
    error = ContainerFailed("RUN x: exit code 3", status=3)
    look_into(("before", "after"), error, Recorder(), lambda *words: opened.append(words))
    assert [state for state, _, _ in opened] == ["before", "after"]
    assert opened[0][1] == "the state before the command that fails\nRUN x: exit code 3"
    assert opened[1][1] == "the state after the command that failed\nRUN x: exit code 3"
    assert [then for _, _, then in opened] == ["the state after the command is next", "the build ends with the error"]


def test_what_goes_wrong_with_a_shell_is_a_warning() -> None:
    def fails(state: State, title: str, then: str) -> None:
        raise BuildError("no luck", hint="try")

    recorder = Recorder()
    look_into(("after",), ContainerFailed("x", status=3), recorder, fails)
    assert recorder.messages == ["no introspection of the state after the command: no luck (try)"]


def test_an_interrupt_is_none() -> None:
    def interrupted(state: State, title: str, then: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look_into(("after",), ContainerFailed("x", status=3), Recorder(), interrupted)


def test_without_a_terminal_there_is_no_shell() -> None:
    with pytest.raises(UsageError, match="no terminal"):
        on_terminal(Recorder(), "title", "then", lambda terminal: 0)
