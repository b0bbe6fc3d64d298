"""Modes as chmod(1) takes them: octal (`755`, `0o4755`) or symbolic (`u=rwX,go-w`)."""

from __future__ import annotations

from collections.abc import Callable

from pywerf.errors import InvalidValue

__all__ = ["parse_mode"]

_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
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
        steps.append((who or 0o7777, actions))

    def apply(mode: int, is_dir: bool) -> int:
        for who, actions in steps:
            for operator, letters in actions:
                bits = _bits(letters, mode, is_dir) & who
                if operator == "+":
                    mode |= bits
                elif operator == "-":
                    mode &= ~bits
                else:
                    keep = 0o6000 if is_dir else 0
                    mode = (mode & ~(who & ~keep)) | bits
        return mode

    return apply


def _bits(letters: str, mode: int, is_dir: bool) -> int:
    bits = 0
    for letter in letters:
        if letter == "X":
            bits |= 0o111 if is_dir or mode & 0o111 else 0
        elif letter in "ugo":
            triple = mode >> {"u": 6, "g": 3, "o": 0}[letter] & 7
            bits |= triple * 0o111
        else:
            bits |= _BITS[letter]
    return bits


def _invalid(text: str) -> InvalidValue:
    return InvalidValue(
        f"invalid mode {text!r}", hint="write an octal mode such as 755, or a symbolic one such as u=rwX,go=rX"
    )
