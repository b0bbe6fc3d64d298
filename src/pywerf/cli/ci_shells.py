"""Writes the variables of `werf ci-env` for shells: POSIX, PowerShell, cmd.exe, and as an env file.

What CI systems put into variables is chosen by whoever pushes (a tag may be called `$(reboot)`): no value is ever a
part of the script that a shell looks into.
"""

from __future__ import annotations

from collections.abc import Callable

from pywerf.build.ci_env import CiEnv, Variable
from pywerf.errors import UsageError

__all__ = ["SUFFIXES", "write_env_file", "write_script"]

SUFFIXES = {"": ".sh", "powershell": ".ps1", "cmdexe": ".bat"}


def write_script(env: CiEnv, shell: str = "") -> str:
    """The script that sets the variables in `shell`: "" for POSIX shells, powershell or cmdexe."""
    return _written(env, *_SHELLS[shell])


def write_env_file(env: CiEnv) -> str:
    """The variables as `NAME=VALUE` lines, as docker's --env-file and CI systems read them: a value is what follows

    the sign, quotes included. Raises UsageError for a value of several lines.
    """
    return _written(env, "# ", _plain)


def _written(env: CiEnv, mark: str, assign: Callable[[str, str], str]) -> str:
    lines: list[str] = []
    for section in env.sections:
        lines.append(f"{mark}{section.title}")
        for variable in section.variables:
            lines.append(assign(variable.name, variable.value) if variable.state == "set" else mark + _why(variable))
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _why(variable: Variable) -> str:
    if variable.state == "already":
        return f"{variable.name} is set already, and stays as it is"
    return f"{variable.name} has no value here"


def _posix(name: str, value: str) -> str:
    quoted = value.replace("'", "'\\''")
    return f"export {name}='{quoted}'"


def _powershell(name: str, value: str) -> str:
    # PowerShell takes typographic quotes for quotes, too
    quoted = "".join(character * 2 if character in "'\u2018\u2019\u201a\u201b" else character for character in value)
    return f"$Env:{name} = '{quoted}'"


def _cmd(name: str, value: str) -> str:
    _one_line(name, value)
    if '"' in value:
        raise UsageError(f"{name} cannot be set in cmd.exe: its value has a double quote")
    return f'set "{name}={value.replace("%", "%%")}"'


def _plain(name: str, value: str) -> str:
    _one_line(name, value)
    return f"{name}={value}"


def _one_line(name: str, value: str) -> None:
    if "\n" in value or "\r" in value:
        raise UsageError(f"{name} cannot be written in this form: its value has several lines")


_SHELLS: dict[str, tuple[str, Callable[[str, str], str]]] = {
    "": ("# ", _posix),
    "powershell": ("# ", _powershell),
    "cmdexe": ("rem ", _cmd),
}
