"""Tables and words of docker, podman and buildah: columns, sizes, ages, `--format`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pywerf.cli.go_objects import GoObject, dump, field, json_function
from pywerf.config.template import parse_template
from pywerf.report.text import clean

__all__ = ["age", "columns", "decimal_size", "format_rows", "parse_time", "print_object", "print_table"]


def columns(rows: Sequence[Sequence[str]], *, gap: int = 3, least: int = 0) -> list[str]:
    """Rows as lines with aligned columns; the last column is not padded."""
    if not rows:
        return []
    widths = [max(max(len(row[n]) for row in rows) + gap, least) for n in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("".join(cells) + row[-1])
    return lines


def print_table(rows: Sequence[Sequence[str]], *, gap: int = 3, least: int = 0) -> None:
    """Print `rows`, the heading first; names and messages of strangers lose their control characters."""
    for line in columns([[clean(cell) for cell in row] for row in rows], gap=gap, least=least):
        print(line)


def print_object(value: Any, template: str) -> None:
    """Print a value as JSON, or as a Go template shows it: on a terminal a line, in a pipe nothing but it."""
    if not template:
        print(dump(value, indent=4))
        return
    text = parse_template(template, "format", json_function()).execute(value)
    print(text, end="\n" if sys.stdout.isatty() and not text.endswith("\n") else "")


def decimal_size(size: int, units: Sequence[str] = ("B", "KB", "MB", "GB", "TB"), *, digits: int = 3) -> str:
    """A size with so many digits in units of 1000: `4.13 KB` (buildah), `2.05 kB` with podman's units."""
    value = float(size)
    step = 0
    while float(f"{value:.{digits}g}") >= 1000 and step < len(units) - 1:
        value /= 1000
        step += 1
    return f"{value:.{digits}g} {units[step]}"


def parse_time(text: str) -> float | None:
    """Seconds since the epoch of an RFC 3339 time, or None for none."""
    from datetime import datetime

    if not text:
        return None
    try:
        # Go writes up to nine digits of a second, Python reads six.
        head, dot, rest = text.partition(".")
        if dot:
            digits = len(rest) - len(rest.lstrip("0123456789"))
            text = f"{head}.{rest[: min(digits, 6)].ljust(6, '0')}{rest[digits:]}"
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def age(created: str, now: float | None = None) -> str:
    """How long ago, in the words of docker's go-units: `3 days ago`. Empty when there is no time."""
    then = parse_time(created)
    if then is None:
        return ""
    seconds = max(0, int((time.time() if now is None else now) - then))
    minutes, hours = seconds // 60, int(seconds / 3600 + 0.5)
    if seconds < 1:
        text = "Less than a second"
    elif seconds == 1:
        text = "1 second"
    elif seconds < 60:
        text = f"{seconds} seconds"
    elif minutes == 1:
        text = "About a minute"
    elif minutes < 60:
        text = f"{minutes} minutes"
    elif hours == 1:
        text = "About an hour"
    elif hours < 48:
        text = f"{hours} hours"
    elif hours < 24 * 7 * 2:
        text = f"{hours // 24} days"
    elif hours < 24 * 30 * 2:
        text = f"{hours // 24 // 7} weeks"
    elif hours < 24 * 365 * 2:
        text = f"{hours // 24 // 30} months"
    else:
        text = f"{seconds // 3600 // 24 // 365} years"
    return text + " ago"


def format_rows(
    template: str,
    rows: Sequence[GoObject],
    headings: Mapping[str, str],
    *,
    name: str,
    heading: bool = True,
    show: Callable[[str], Any] = print,
) -> None:
    """Print each row by a Go template.

    `table …` prints aligned columns under `headings` (template field -> heading), without them when
    `heading` is false. `json` is every row as JSON. `\\t` and `\\n` may be written as two characters.
    """
    if template == "json":
        show(dump(list(rows)))
        return
    text = template.replace("\\t", "\t").replace("\\n", "\n")
    table = text.startswith("table ") or text == "table"
    if table:
        text = text.removeprefix("table").strip().replace("}} {{", "}}\t{{")
    parsed = parse_template(text, name, json_function())
    lines = [parsed.execute(row) for row in rows]
    if not table:
        for line in lines:
            show(line)
        return
    if heading:
        titles = GoObject("headings", [field(key, key, title) for key, title in headings.items()])
        lines.insert(0, parsed.execute(titles))
    width = max((line.count("\t") for line in lines), default=0) + 1
    cells = [line.split("\t") for line in lines]
    for line in columns([row + [""] * (width - len(row)) for row in cells]):
        show(line.rstrip())
