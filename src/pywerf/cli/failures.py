"""How errors look on the terminal, and the exit codes they mean."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pywerf.errors import ContainerFailed, Interrupted, SourceExcerpt, UsageError, WerfError
from pywerf.report.text import clean

if TYPE_CHECKING:
    import click

__all__ = ["exit_code", "explain", "hide_secrets"]

_RED, _CYAN, _PLAIN = "\x1b[31;1m", "\x1b[36m", "\x1b[0m"


def explain(error: BaseException, *, color: bool = False, secrets: Sequence[str] = ()) -> str:
    """What is printed for `error`: what is wrong, the lines it is about, the way out."""
    source: SourceExcerpt | None = None
    hint: str | None = None
    if isinstance(error, WerfError):
        text, source, hint = str(error), error.source, error.hint
    elif (wrong := _of_click(error)) is not None:
        text, hint = _click_text(wrong)
    elif isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    else:
        text = f"internal error: {type(error).__name__}{_place(error)}"
        hint = "this is a defect of werf; --log-debug shows the traceback to report"
    lines = [_paint("Error:", _RED, color) + " " + clean(hide_secrets(text, secrets))]
    if source is not None and source.lines:
        lines.append("")
        lines.extend(clean(hide_secrets(line, secrets)) for line in excerpt(source))
        lines.append("")
    if hint:
        lines.append(_paint("Hint:", _CYAN, color) + " " + clean(hide_secrets(hint, secrets)))
    return "\n".join(lines)


def excerpt(source: SourceExcerpt) -> list[str]:
    """The lines with their numbers, and a caret under the place that is meant."""
    width = max(4, len(str(source.last)))
    out: list[str] = []
    for number, line in enumerate(source.lines, source.first):
        out.append(f"{number:>{width}} | {line.expandtabs(1)}".rstrip())
        if number == source.first and source.column is not None:
            room = max(1, len(line) - source.column)
            out.append(" " * width + " | " + " " * source.column + "^" * max(1, min(source.width, room)))
    return out


def exit_code(error: BaseException, *, failure: int | None = None, passes_status: bool = False) -> int:
    """The exit code of `error`. `failure`: the code of a plain failure, when it is not 1 (buildah: 125).

    `passes_status`: the status of a container that failed is the command's own.
    """
    if isinstance(error, UsageError | Interrupted):
        return error.exit_code
    wrong = _of_click(error)
    if wrong is not None and wrong.exit_code == UsageError.exit_code:
        return UsageError.exit_code
    if isinstance(error, ContainerFailed) and passes_status and 0 < error.status < 256:
        return error.status
    if failure is not None:
        return failure
    return error.exit_code if isinstance(error, WerfError) else 1


def hide_secrets(text: str, secrets: Sequence[str] = ()) -> str:
    """`text` without the given secrets, and without passwords in URLs."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    if "@" in text and "://" in text:
        import re

        text = re.sub(r"(?<=://)[^/\s@]+:[^/\s@]*@", "***@", text)
    return text


def _of_click(error: BaseException) -> click.ClickException | None:
    """The error, if it is click's; as long as nobody has loaded click none is, and it is not loaded for that."""
    if "click" not in sys.modules:
        return None
    import click

    return error if isinstance(error, click.ClickException) else None


def _click_text(error: click.ClickException) -> tuple[str, str | None]:
    """click's messages in the form of ours."""
    import click

    text = error.format_message()
    hint = None
    if isinstance(error, click.NoSuchOption):
        text = f"unknown flag: {error.option_name}"
        if error.possibilities:
            hint = f"did you mean {sorted(error.possibilities)[0]}?"
    elif isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"see {error.ctx.command_path} --help"
    text = text.rstrip(".")
    return text[:1].lower() + text[1:], hint


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    path = trace.tb_frame.f_code.co_filename
    return f" at {os.path.basename(os.path.dirname(path))}/{os.path.basename(path)}:{trace.tb_lineno}"


def _paint(text: str, code: str, color: bool) -> str:
    return f"{code}{text}{_PLAIN}" if color else text
