"""The nearest of several names, for "did you mean …?"."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]

MAX_DISTANCE = 2


def nearest(word: str, names: Iterable[str], *, fold: bool = False) -> str:
    """The name that two edits or fewer make out of `word`; `""` when there is none, or `word` is one of them."""
    wanted = word.lower() if fold else word
    best, distance = "", MAX_DISTANCE + 1
    for name in names:
        candidate = name.lower() if fold else name
        if candidate == wanted:
            return ""
        if abs(len(candidate) - len(wanted)) < distance:
            found = _edits(wanted, candidate)
            if found < min(distance, len(wanted)):
                best, distance = name, found
    return best


def did_you_mean(word: str, names: Iterable[str], *, fold: bool = False) -> str:
    """` (did you mean NAME?)`, or nothing."""
    name = nearest(word, names, fold=fold)
    return f" (did you mean {name}?)" if name else ""


def _edits(first: str, second: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]
