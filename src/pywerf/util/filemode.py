"""Modes as BuildKit's --chmod takes them: octal (`755`, `0o4755`) or symbolic (`u=rwX,go-w`)."""

from __future__ import annotations

from collections.abc import Callable

from pywerf.errors import InvalidValue

__all__ = ["parse_mode"]

_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o0007, "a": 0o6777}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}


def parse_mode(text: str) -> Callable[[int, bool], int]:
    """A function from (present mode, whether it is a directory) to the new mode. Raises InvalidValue."""
    if text and text.removeprefix("0o").isdigit():
        digits = text.removeprefix("0o")
        try:
            fixed = int(digits, 8)
        except ValueError:
            fixed = -1
        if not 0 <= fixed <= 0o7777:
            raise _invalid(text)
        return lambda mode, is_dir: fixed
    steps: list[tuple[int, list[tuple[str, str]]]] = []
    for clause in text.split(","):
        who_end = 0
        while who_end < len(clause) and clause[who_end] in "ugoa":
            who_end += 1
        who = 0
        for letter in clause[:who_end]:
            who |= _WHO[letter]
        actions: list[tuple[str, str]] = []
        for letter in clause[who_end:]:
            if letter in "+-=":
                actions.append((letter, ""))
            elif actions and letter in "rwxXstugo":
                actions[-1] = (actions[-1][0], actions[-1][1] + letter)
            else:
                raise _invalid(text)
        if not actions:
            raise _invalid(text)
        steps.append((who, actions))

    def apply(mode: int, is_dir: bool) -> int:
        runs = is_dir or bool(mode & 0o111)
        for who, actions in steps:
            for operator, letters in actions:
                who, mode = _changed(who, operator, letters, mode, runs)
        return mode

    return apply


def _changed(who: int, operator: str, letters: str, mode: int, runs: bool) -> tuple[int, int]:
    """One action, as BSD's setmode(3) has it and BuildKit after it; what follows in a clause is for the new `who`.

    `t` belongs to nobody and counts unless only others are meant; `=` takes set-id bits away, but not by a copy
    (`u=g`); `X` asks how the mode was before everything (`runs`).
    """
    bits = 0
    done = False
    for letter in letters:
        if letter in "ugo":
            if bits:
                mode = _set(who, operator, bits, mode)
                bits = 0
            copied = (mode >> {"u": 6, "g": 3, "o": 0}[letter] & 7) * 0o111
            if operator == "=":
                mode &= ~((who or 0o777) & 0o777)
            mode = _set(who, "-" if operator == "-" else "+", copied, mode)
            done = True
        elif letter != "X":
            bits |= _BITS[letter]
            if letter == "t" and who != _WHO["o"]:
                who |= 0o1000
    if bits or not done:
        mode = _set(who, operator, bits, mode)
    if "X" in letters and runs:
        mode = _set(who, "-" if operator == "-" else "+", 0o111, mode)
    return who, mode


def _set(who: int, operator: str, bits: int, mode: int) -> int:
    bits &= who or 0o7777
    if operator == "-":
        return mode & ~bits
    if operator == "=":
        mode &= ~(who or _WHO["a"])
    return mode | bits


def _invalid(text: str) -> InvalidValue:
    return InvalidValue(
        f"invalid mode {text!r}", hint="write an octal mode such as 755, or a symbolic one such as u=rwX,go=rX"
    )
