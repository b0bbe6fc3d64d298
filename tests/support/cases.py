"""The Dockerfiles of tests/conformance/cases, each made ready to be built on this machine (see test_cases.py)."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

from support import image_compare, judges, machine

CASES = Path(__file__).parents[1] / "conformance" / "cases"
NAMES = sorted(path.name for path in CASES.iterdir() if path.is_dir())
OWN_FILES = ("setup.sh", "case.toml")
BASE = "busybox:test"


class Case:
    """A case, made ready for this machine in a folder of its own."""

    def __init__(self, name: str, work: Path, base: str) -> None:
        self.name = name
        self.context = work / "context"
        self.settings = self.read_settings(name)
        judges.copy_context(CASES / name, self.context)
        for own in OWN_FILES:
            (self.context / own).unlink(missing_ok=True)
        setup = CASES / name / "setup.sh"
        if setup.exists():
            machine.run("sh", "-eu", "-c", f"umask 022; . {setup}", cwd=self.context)
        # outside of the context, since its text differs from run to run: it names the base
        original = self.context / str(self.settings.get("file", "Dockerfile"))
        self.text = original.read_bytes()
        self.dockerfile = work / "dockerfile" / original.name
        self.dockerfile.parent.mkdir()
        self.dockerfile.write_bytes(self.text.replace(BASE.encode(), base.encode()))
        ignore = original.with_name(f"{original.name}.dockerignore")
        if ignore.exists():
            shutil.copy(ignore, self.dockerfile.parent)
        self.args = [word.replace("{context}", str(self.context)) for word in self.settings.get("args", [])]

    @staticmethod
    def read_settings(name: str) -> dict[str, object]:
        path = CASES / name / "case.toml"
        return tomllib.loads(path.read_text()) if path.exists() else {}

    def allowed(self, judge: judges.Judge) -> list[image_compare.Allowed]:
        rules = [image_compare.Allowed(**rule) for rule in self.settings.get("difference", [])]
        assert all(rule.reason for rule in rules), "a difference needs its reason"
        return [*rules, *judge.known]
