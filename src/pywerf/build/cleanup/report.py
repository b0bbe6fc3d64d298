"""The report of a cleanup or purge: a JSON file that says what stays, why, and what went."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from pywerf.build.cleanup.plan import CleanupPlan, Item
from pywerf.errors import UsageError

__all__ = ["DEFAULT_PATH", "ReportFile", "report_document"]

DEFAULT_PATH = ".werf-cleanup-report.json"
_FLAG = "--cleanup-report-path"


class ReportFile:
    """The file that a report is to be written to. Raises UsageError at once when it cannot be: before anything goes."""

    def __init__(self, path: str) -> None:
        name = os.path.basename(path)
        extension = os.path.splitext(name)[1]
        if extension not in ("", ".json"):
            raise UsageError(f"{_FLAG} {path}: the report is JSON", hint="let the name end in .json")
        self.path = path if extension else f"{path}.json"
        self._new = f"{self.path}.{os.getpid()}.tmp"
        if os.path.isdir(self.path):
            raise UsageError(f"{_FLAG} {path}: is a directory")
        try:
            with open(self._new, "wb"):
                pass
            os.unlink(self._new)
        except OSError as error:
            raise UsageError(f"{_FLAG} {path}: {(error.strerror or str(error)).lower()}") from error

    def write(self, document: dict[str, Any]) -> None:
        """Write the report, as a whole or not at all. Raises UsageError."""
        import json

        try:
            try:
                with open(self._new, "w", encoding="utf-8") as file:
                    file.write(json.dumps(document, indent="\t", ensure_ascii=False) + "\n")
                os.replace(self._new, self.path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._new)
        except OSError as error:
            raise UsageError(f"{_FLAG} {self.path}: {(error.strerror or str(error)).lower()}") from error


def report_document(
    command: str, done: CleanupPlan, *, dry_run: bool, repo: str, final_repo: str = ""
) -> dict[str, Any]:
    """The report as it is written. `done` has what really went (with `dry_run`: what would)."""
    document: dict[str, Any] = {"command": command, "dryRun": dry_run, "repo": repo}
    if final_repo:
        document["finalRepo"] = final_repo
    document["kept"] = [_entry(item) for item in done.kept if item.type != "record"]
    document["deleted"] = [_entry(item) for item in done.deleted if item.type != "record"]
    return document


def _entry(item: Item) -> dict[str, str]:
    entry = {"type": item.type, "tag": item.tag}
    for key, value in (
        ("reason", item.reason),
        ("stageID", item.stage),
        ("commit", item.commit),
        ("id", item.id),
    ):
        if value:
            entry[key] = value
    if item.type in ("imageMetadata", "managedImage"):
        entry["imageName"] = item.image or "~"
    return entry
