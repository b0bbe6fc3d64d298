"""Our own Dockerfiles, each built by pywerf and by a judge, and compared file by file and field by field.

A case is a folder of `cases/`: its content is the build context, except
- `setup.sh` makes what git cannot hold (modes, hard links, archives), in a copy of the folder;
- `case.toml` holds, all optional: `file` (the Dockerfile), `args` (flags; `{context}` is the folder), `judge`
  (`buildah` or `docker`, whose classic builder takes over where Debian's buildah is known to differ),
  `expect = "failure"` with a `message` that ours must show (a regular expression), `fields` (compared besides the
  usual: `mtime`) of the files `only`, and `[[difference]]` tables with `path`, `field` and `reason`: what is known to
  differ, and why.
The image `busybox:test` stands for the base of the tests.
"""

from __future__ import annotations

import fnmatch
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from support import image_compare, judges, machine
from support.werf import Werf

pytestmark = [pytest.mark.integration, pytest.mark.conformance]

CASES = Path(__file__).parent / "cases"
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


def test_there_are_many_kinds() -> None:
    assert len(NAMES) >= 50


@pytest.mark.parametrize("name", NAMES)
def test_same_image_as_the_judge(
    name: str,
    shared_werf: Werf,
    busybox: str,
    busybox_layout: Path,
    layout_digest: Callable[[Path], str],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    case = Case(name, tmp_path, busybox)
    judge: judges.Judge = request.getfixturevalue(f"{case.settings.get('judge', 'buildah')}_judge")
    tag = f"case-{name}"
    flags = ["--format", "docker", "--no-cache", "-f", str(case.dockerfile), *case.args]
    built = shared_werf.build(case.context, tag, *flags, check=False)
    said = f"{built.stdout}\n{built.stderr}"
    key = f"{layout_digest(busybox_layout)} {case.text.hex()}"
    theirs, refusal = judges.judged(judge, case.dockerfile, case.context, case.args, tmp_path, key, base=busybox)

    if case.settings.get("expect") == "failure":
        assert theirs is None, f"{judge.name} builds what this case expects to be refused"
        assert built.returncode not in (0, 2), said
        assert "Traceback" not in said
        assert re.search(str(case.settings["message"]), said), said
        return
    assert theirs is not None, f"{judge.name} refuses the case: {refusal}"
    assert built.returncode == 0, said
    ours = image_compare.read_image(shared_werf.export(tag, tmp_path / "ours.tar"))
    shared_werf.run("buildah", "rmi", tag)

    found = image_compare.differences(ours, theirs, case.allowed(judge))
    extra = case.settings.get("fields", [])
    if extra:
        paths = {path for path in ours.files for glob in case.settings["only"] if fnmatch.fnmatchcase(path, glob)}
        assert paths, "`only` names no file"
        part = [
            image_compare.Image({path: image.files[path] for path in paths}, image.config, 0)
            for image in (ours, theirs)
        ]
        found += image_compare.differences(*part, case.allowed(judge), fields=lambda field: field in extra)
    assert not found, f"against {judge.version}:\n" + "\n".join(found) + f"\n{said}"
    shutil.rmtree(case.context)
