"""What `--check` and `--call=check|outline|targets` print, as text or JSON in buildx's forms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pywerf.errors import DockerfileError, SourceExcerpt
from pywerf.frontend.dockerfile.analysis import Analysis, ArgUse, Subject
from pywerf.frontend.dockerfile.ast import Dockerfile, to_text
from pywerf.frontend.dockerfile.instructions import parse_instructions
from pywerf.frontend.dockerfile.lint import LintReport, check

__all__ = [
    "CallResult",
    "call",
    "outline",
    "print_source",
    "render_check_json",
    "render_check_text",
    "render_outline_text",
    "render_targets_text",
    "targets",
]


class CallResult(msgspec.Struct, frozen=True):
    """What a call prints, and the exit code."""

    text: str
    exit_code: int = 0


def call(method: str, dockerfile: Dockerfile, subject: Subject | None = None) -> CallResult:
    """`check`, `outline` or `targets`, with `,format=json` for JSON (buildx's `--call`).

    Raises DockerfileError; `check` only for a wrong `# check=`, or for errors in the Dockerfile, which it prints first.
    """
    subject = subject or Subject()
    name, _, options = method.partition(",")
    as_json = "format=json" in options.split(",")
    if name in ("check", "lint"):
        subject = msgspec.structs.replace(subject, all_stages=not subject.target)
        report = check(dockerfile, subject)
        text = render_check_json(report) if as_json else render_check_text(report)
        failed = report.warnings or report.error is not None
        return CallResult(text, 1 if failed else 0)
    if name == "outline":
        document = outline(dockerfile, subject)
        return CallResult(_json(document) if as_json else render_outline_text(document))
    if name == "targets":
        document = targets(dockerfile)
        return CallResult(_json(document) if as_json else render_targets_text(document))
    raise DockerfileError(f"unknown call method {name!r}", hint="the methods are check, outline, targets")


def _json(document: Mapping[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(_clean(document)), indent=2).decode() + "\n"


def _clean(value: Any) -> Any:
    """The value with U+FFFD for bytes of the file that were not UTF-8."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value


def _location(source: SourceExcerpt) -> dict[str, Any]:
    return {"ranges": [{"start": {"line": source.first}, "end": {"line": source.last}}]}


def _data(dockerfile: Dockerfile) -> bytes:
    return to_text(dockerfile).encode("utf-8", "surrogateescape")


# check


def render_check_text(report: LintReport) -> str:
    """The warnings with the lines around them, and the error."""
    dockerfile = report.analysis.dockerfile
    lines = dockerfile.lines
    if (dockerfile.trailing or dockerfile.nodes[-1].raw).endswith("\n"):
        lines = (*lines, "")  # buildx counts what is behind the last line end as a line
    out: list[str] = []
    count = len(report.warnings)
    error = error_message(report)
    if count:
        out.append(f"Check complete, {count} {'warning has' if count == 1 else 'warnings have'} been found!\n")
    elif error is None:
        return "Check complete, no warnings found.\n"
    for warning in report.warnings:
        out.append(f"\nWARNING: {warning.rule} - {warning.url}\n{warning.detail}\n")
        out.append(print_source(warning.excerpt, lines))
    if error is not None:
        message, source = error
        out.append(("\n" if count else "") + f"ERROR: {message}\n")
        if source is not None:
            out.append(print_source(source, lines))
    return "".join(out)


def error_message(report: LintReport) -> tuple[str, SourceExcerpt | None] | None:
    """The error of a report in BuildKit's words, and its place."""
    error = report.error or report.violation
    if error is None:
        return None
    message = error.message
    if report.error is not None and report.analysis.phase == "parse" and error.source is not None:
        message = f"dockerfile parse error on line {error.source.first}: {message}"
    return message, error.source


def render_check_json(report: LintReport) -> str:
    """The report as `--call=check,format=json` gives it."""
    import base64

    dockerfile = report.analysis.dockerfile
    document: dict[str, Any] = {
        "warnings": [
            {
                "ruleName": warning.rule,
                "description": warning.description,
                "url": warning.url,
                "detail": warning.detail,
                "location": _location(warning.excerpt),
            }
            for warning in report.warnings
        ]
        or None,
        "sources": [
            {
                "filename": dockerfile.filename,
                "data": base64.b64encode(_data(dockerfile)).decode(),
                "language": "Dockerfile",
            }
        ],
    }
    error = error_message(report)
    if error is not None:
        message, source = error
        document["buildError"] = {"message": message, "location": _location(source) if source else {}}
    return _json(document)


def print_source(source: SourceExcerpt, lines: tuple[str, ...]) -> str:
    """The lines of `source` marked with `>>>`, with some of the file's `lines` around them."""
    first, last, count = source.first, min(source.last, len(lines)), len(lines)
    if not 1 <= first <= count:
        return ""
    padding = 4 if first == last else 2
    start, end, added = first, last, 0
    while added < padding:
        if start > 1:
            start -= 1
            added += 1
        if end < count:
            end += 1
            added += 1
        added += 1
    rule = "-" * 20
    out = [f"{source.file}:{first}\n{rule}\n"]
    for number in range(start, end + 1):
        mark = ">>>" if first <= number <= last else "   "
        out.append(f" {number:3d} | {mark} {lines[number - 1]}\n")
    out.append(f"{rule}\n")
    return "".join(out)


# outline


def outline(dockerfile: Dockerfile, subject: Subject | None = None) -> dict[str, Any]:
    """What a target can be given: ARGs, secrets, ssh; buildx's JSON object. Raises DockerfileError."""
    import base64

    analysis = Analysis(dockerfile, subject or Subject())
    if analysis.error is not None:
        raise analysis.error
    target = analysis.target
    document: dict[str, Any] = {}
    if target is not None:
        document = {"name": target.base.alias_word.lower(), "description": target.description}
        args, secrets, ssh = _uses(analysis, target.index)
        document["args"] = [
            _present({"name": arg.name, "description": arg.description, "value": arg.value}, arg.source) for arg in args
        ]
        for key, found in (("secrets", secrets), ("ssh", ssh)):
            document[key] = [
                _present({"name": name, "required": required}, source) for name, (required, source) in found.items()
            ]
    document["sources"] = [base64.b64encode(_data(dockerfile)).decode()]
    return {key: value for key, value in document.items() if value}


def _present(item: dict[str, Any], source: SourceExcerpt) -> dict[str, Any]:
    """The item without what is empty, and with its place."""
    return {key: value for key, value in item.items() if value or key == "name"} | {"location": _location(source)}


_Grants = dict[str, tuple[bool, SourceExcerpt]]


def _uses(analysis: Analysis, target: int) -> tuple[list[ArgUse], _Grants, _Grants]:
    """The ARGs, secrets and ssh sockets of a stage and of all it needs, in order of their lines."""
    args: dict[str, ArgUse] = {}
    secrets: _Grants = {}
    ssh: _Grants = {}
    todo, seen = [target], set()
    while todo:
        index = todo.pop(0)
        if index in seen or index not in analysis.walks:
            continue
        seen.add(index)
        walk = analysis.walks[index]
        names = list(walk.used)
        while names:
            name = names.pop()
            use = walk.arg_uses.get(name)
            if use is not None and name not in args:
                args[name] = use
                names += use.uses
        for name, grant in walk.secrets.items():
            secrets.setdefault(name, grant)
        for name, grant in walk.ssh.items():
            ssh.setdefault(name, grant)
        todo += walk.links.needs

    def by_line(grants: _Grants) -> _Grants:
        return dict(sorted(grants.items(), key=lambda item: item[1][1].first))

    return sorted(args.values(), key=lambda use: use.source.first), by_line(secrets), by_line(ssh)


def render_outline_text(document: Mapping[str, Any]) -> str:
    """The outline as tables."""
    out: list[str] = []
    if document.get("name") or document.get("description"):
        head = [("TARGET:", document.get("name") or "(default)")]
        if document.get("description"):
            head.append(("DESCRIPTION:", document["description"]))
        out.append(_table(head, 1))
    args = document.get("args") or ()
    if args:
        rows = [(arg["name"], arg.get("value", ""), arg.get("description", "")) for arg in args]
        out.append(_table([("BUILD ARG", "VALUE", "DESCRIPTION"), *rows], 3))
    for key, title in (("secrets", "SECRET"), ("ssh", "SSH")):
        found = document.get(key) or ()
        if found:
            rows2 = [(item["name"], "true" if item.get("required") else "") for item in found]
            out.append(_table([(title, "REQUIRED"), *rows2], 3))
    return "".join(table + "\n" for table in out)


# targets


def targets(dockerfile: Dockerfile) -> dict[str, Any]:
    """The stages that can be built; buildx's JSON object. Raises DockerfileError."""
    import base64

    stages, _ = parse_instructions(dockerfile)
    found = []
    for stage in stages:
        item: dict[str, Any] = {
            "name": stage.name,
            "default": stage.index == len(stages) - 1,
            "description": stage.description,
            "base": stage.base.image,
            "platform": stage.base.platform,
        }
        item = {key: value for key, value in item.items() if value}
        found.append(item | {"location": _location(stage.base.source)})
    return {"targets": found, "sources": [base64.b64encode(_data(dockerfile)).decode()]}


def render_targets_text(document: Mapping[str, Any]) -> str:
    """The stages as a table; the one that is built without `--target` is marked."""
    rows = [("TARGET", "DESCRIPTION")]
    for target in document["targets"]:
        name = target.get("name", "")
        if target.get("default"):
            name = f"{name} (default)" if name else "(default)"
        rows.append((name, target.get("description", "")))
    return _table(rows, 3)


def _table(rows: Iterable[tuple[str, ...]], padding: int) -> str:
    """Columns as wide as their widest cell and `padding`; the last one as it is (text/tabwriter)."""
    rows = list(rows)
    widths = [max(len(row[i]) for row in rows) + padding for i in range(len(rows[0]) - 1)]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)) + "\n" for row in rows
    )
