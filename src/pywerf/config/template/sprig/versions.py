"""sprig's `semver` and `semverCompare`: semantic versions and ranges of them (Masterminds/semver)."""

from __future__ import annotations

import functools
import re
from typing import Any, NamedTuple

from pywerf.config.template.sprig.convert import define
from pywerf.config.template.values import Func, FunctionError, Struct

__all__ = ["FUNCTIONS"]

_CORE = r"v?(0|[1-9]\d*)(?:\.(0|[1-9]\d*))?(?:\.(0|[1-9]\d*))?"
_TAIL = r"(?:-([0-9A-Za-z.-]+))?(?:\+([0-9A-Za-z.-]+))?"
_OPERATORS = ("!=", ">=", "=>", "<=", "=<", "~>", "=", ">", "<", "~", "^", "")


class _Version(NamedTuple):
    major: int
    minor: int
    patch: int
    prerelease: str
    metadata: str
    original: str

    @property
    def key(self) -> tuple[Any, ...]:
        """What versions are ordered by (semver.org, 11)."""
        parts = tuple(
            (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in self.prerelease.split(".") if part
        )
        return (self.major, self.minor, self.patch, not parts, parts)

    @property
    def core(self) -> tuple[int, int, int]:
        return (self.major, self.minor, self.patch)


def _parse(text: str) -> _Version:
    found = re.fullmatch(_CORE + _TAIL, text)
    if found is None or len(text) > 256:
        raise FunctionError("Invalid Semantic Version")
    for part in (found[4] or "").split("."):
        if part.isdecimal() and len(part) > 1 and part[0] == "0":
            raise FunctionError("Version segment starts with 0")
    return _Version(int(found[1]), int(found[2] or 0), int(found[3] or 0), found[4] or "", found[5] or "", text)


def _text(version: _Version) -> str:
    core = ".".join(map(str, version.core))
    return (
        core
        + (f"-{version.prerelease}" if version.prerelease else "")
        + (f"+{version.metadata}" if version.metadata else "")
    )


def _struct(version: _Version) -> Struct:
    fields = {
        "Major": version.major,
        "Minor": version.minor,
        "Patch": version.patch,
        "Prerelease": version.prerelease,
        "Metadata": version.metadata,
        "Original": version.original,
    }
    methods = {name: Func(name, lambda value=value: value) for name, value in fields.items()}
    methods["String"] = Func("String", lambda: _text(version))
    methods["Compare"] = Func("Compare", lambda other: _compare(version, _version_of(other)), ("any",))
    methods["IncMajor"] = Func("IncMajor", lambda: _struct(_bumped(version.major + 1, 0, 0)))
    methods["IncMinor"] = Func("IncMinor", lambda: _struct(_bumped(version.major, version.minor + 1, 0)))
    methods["IncPatch"] = Func("IncPatch", lambda: _struct(_next_patch(version)))
    return Struct("*semver.Version", fields, methods, lambda: _text(version))


def _bumped(major: int, minor: int, patch: int) -> _Version:
    return _Version(major, minor, patch, "", "", f"{major}.{minor}.{patch}")


def _next_patch(version: _Version) -> _Version:
    return _bumped(version.major, version.minor, version.patch + (not version.prerelease))


def _version_of(value: Any) -> _Version:
    if isinstance(value, Struct) and value.string is not None:
        return _parse(value.string())
    if isinstance(value, str):
        return _parse(value)
    raise FunctionError("a version is expected")


def _compare(first: _Version, second: _Version) -> int:
    return (first.key > second.key) - (first.key < second.key)


class _Constraint(NamedTuple):
    """`given`: how many of the three numbers are there (0: `*`)."""

    operator: str
    version: _Version
    given: int

    def allows(self, version: _Version) -> bool:
        wanted, operator = self.version, self.operator
        if version.prerelease and not wanted.prerelease:
            return False
        if operator == "!=":
            return not self._same(version)
        if not self.given:
            return operator not in (">", "<")
        if operator in ("", "="):
            return self._same(version)
        if operator == ">":
            return version.key > wanted.key and not (self.given < 3 and self._same(version))
        if operator == "<":
            return version.key < wanted.key
        if operator in (">=", "=>"):
            return version.key >= wanted.key
        if operator in ("<=", "=<"):
            return version.key <= wanted.key or (self.given < 3 and self._same(version))
        if version.key < wanted.key:
            return False
        if operator in ("~", "~>"):
            return version.core[: min(self.given, 2)] == wanted.core[: min(self.given, 2)]
        # ^: nothing left of the first number that is not zero may change
        count = next((n for n, number in enumerate(wanted.core[: self.given], 1) if number), self.given)
        return version.core[:count] == wanted.core[:count]

    def _same(self, version: _Version) -> bool:
        if self.given < 3:
            return version.core[: self.given] == self.version.core[: self.given]
        return version.key == self.version.key


@functools.lru_cache(64)
def _constraints(text: str) -> tuple[tuple[_Constraint, ...], ...]:
    part = r"v?[0-9xX*]+(?:\.[0-9xX*]+)?(?:\.[0-9xX*]+)?(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
    text = re.sub(rf"({part})\s+-\s+({part})", r">=\1,<=\2", text)
    one = re.compile(rf"\s*(!=|>=|=>|<=|=<|~>|=|>|<|~|\^|)\s*({part})\s*,?")
    alternatives: list[tuple[_Constraint, ...]] = []
    for alternative in text.split("||"):
        found: list[_Constraint] = []
        position = 0
        while position < len(alternative) or not found:
            match = one.match(alternative, position)
            if match is None:
                raise FunctionError(f"improper constraint: {text}")
            found.append(_constraint(match[1], match[2], text))
            position = match.end()
        alternatives.append(tuple(found))
    return tuple(alternatives)


def _constraint(operator: str, written: str, whole: str) -> _Constraint:
    core, dash, tail = written.partition("-")
    core = core.partition("+")[0]
    numbers = core.removeprefix("v").split(".")
    wild = next((n for n, number in enumerate(numbers) if number in ("x", "X", "*")), None)
    given = len(numbers) if wild is None else wild
    kept = [*numbers[:given], "0", "0", "0"][:3]
    if not all(number.isdecimal() for number in kept):
        raise FunctionError(f"improper constraint: {whole}")
    text = ".".join(str(int(number)) for number in kept) + (f"-{tail}" if dash and wild is None else "")
    return _Constraint(operator, _parse(text), given)


def _semver_compare(constraint: str, version: str) -> bool:
    alternatives = _constraints(constraint)
    found = _parse(version)
    return any(all(each.allows(found) for each in alternative) for alternative in alternatives)


FUNCTIONS = dict(
    (
        define("semver", lambda text: _struct(_parse(text)), "string"),
        define("semverCompare", _semver_compare, "string", "string"),
    )
)
