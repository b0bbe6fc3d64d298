"""The patterns of `${v#pattern}` and its kin: `*`, `?` (neither matches a line end), and `\\` to escape them."""

from __future__ import annotations

__all__ = ["parse_pattern", "replace", "trim_prefix", "trim_suffix"]

_STAR = "*"
_ANY = "?"


def parse_pattern(text: str) -> list[tuple[str, str]]:
    """The pattern's items: ("*", ""), ("?", "") or ("", literal text). Raises ValueError for a wrong escape."""
    items: list[tuple[str, str]] = []
    literal = ""
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char in (_STAR, _ANY):
            if literal:
                items.append(("", literal))
                literal = ""
            items.append((char, ""))
            continue
        if char == "\\":
            char = text[position : position + 1]
            position += 1
            # `}` and `/` are only escaped because of the braces around; the others are the pattern's own.
            if not char or char not in "*?\\}/":
                raise ValueError(f"invalid escape '\\{char}'")
        literal += char
    if literal:
        items.append(("", literal))
    return items


def _ends(value: str, start: int, pattern: list[tuple[str, str]]) -> set[int]:
    """Where a match that begins at `start` can end."""
    reached = {start}
    for kind, literal in pattern:
        if kind == _STAR:
            spread: set[int] = set()
            for position in sorted(reached):
                if position not in spread:
                    line_end = value.find("\n", position)
                    spread.update(range(position, (len(value) if line_end < 0 else line_end) + 1))
            reached = spread
        elif kind == _ANY:
            reached = {position + 1 for position in reached if value[position : position + 1] not in ("", "\n")}
        else:
            reached = {position + len(literal) for position in reached if value.startswith(literal, position)}
        if not reached:
            break
    return reached


def trim_prefix(value: str, pattern: list[tuple[str, str]], longest: bool) -> str:
    """`value` without its shortest or longest beginning that matches."""
    ends = _ends(value, 0, pattern)
    if not ends:
        return value
    return value[max(ends) if longest else min(ends) :]


def trim_suffix(value: str, pattern: list[tuple[str, str]], longest: bool) -> str:
    """`value` without its shortest or longest end that matches."""
    backwards = [(kind, literal[::-1]) for kind, literal in reversed(pattern)]
    return trim_prefix(value[::-1], backwards, longest)[::-1]


def replace(value: str, pattern: list[tuple[str, str]], replacement: str, every: bool) -> str:
    """`value` with the first match, or all of them from left to right, replaced; each match as long as possible."""
    if len(pattern) == 1 and not pattern[0][0]:
        return value.replace(pattern[0][1], replacement, -1 if every else 1)
    out: list[str] = []
    copied = 0
    start = 0
    while start <= len(value):
        ends = _ends(value, start, pattern)
        if not ends:
            start += 1
            continue
        end = max(ends)
        # An empty match directly behind a match does not count (regexp.ReplaceAll).
        if end > start or start > copied or start == 0:
            out += (value[copied:start], replacement)
            copied = end
        if not every:
            break
        start = max(end, start + 1)
    out.append(value[copied:])
    return "".join(out)
