"""The flags of an instruction (`COPY --from=…`): which there are, and what they were given."""

from __future__ import annotations

from typing import Literal

from pywerf.errors import DockerfileError
from pywerf.util.suggest import did_you_mean

__all__ = ["FlagKind", "Flags", "parse_flags"]

FlagKind = Literal["bool", "string", "strings"]


class Flags:
    """What an instruction's flags were given; what was not given is None, "" or ()."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    @property
    def used(self) -> tuple[str, ...]:
        """The names that were given, sorted."""
        return tuple(sorted(self._values))

    def string(self, name: str) -> str:
        """The value of a string flag."""
        return self._values[name][0] if name in self._values else ""

    def strings(self, name: str) -> tuple[str, ...]:
        """The values of a flag that may be repeated."""
        return tuple(self._values.get(name, ()))

    def boolean(self, name: str) -> bool | None:
        """The value of a boolean flag."""
        return self._values[name][0] == "true" if name in self._values else None


_NOTHING = Flags({})


def parse_flags(flags: tuple[str, ...], known: dict[str, FlagKind]) -> Flags:
    """The values of `flags`. Raises DockerfileError for unknown and repeated flags, and for missing values."""
    if not flags:
        return _NOTHING
    values: dict[str, list[str]] = {}
    for flag in flags:
        name, equals, value = flag[2:].partition("=")
        kind = known.get(name)
        if kind is None:
            hint = "its flags are " + ", ".join(f"--{key}" for key in sorted(known)) if known else "it takes no flags"
            raise DockerfileError(f"unknown flag: --{name}{did_you_mean(name, known)}", hint=hint)
        if kind != "strings" and name in values:
            raise DockerfileError(f"duplicate flag specified: --{name}")
        if (kind != "bool" and not equals) or (kind == "bool" and equals and not value):
            raise DockerfileError(f"missing a value on flag: --{name}")
        if kind == "bool":
            value = value.lower() or "true"
            if value not in ("true", "false"):
                raise DockerfileError(f"expecting boolean value for flag --{name}, not: {flag[2:].partition('=')[2]}")
        values.setdefault(name, []).append(value)
    return Flags(values)
