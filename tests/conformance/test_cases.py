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
from collections.abc import Callable
from pathlib import Path

import pytest

from support import image_compare, judges
from support.cases import NAMES, Case
from support.werf import Werf

pytestmark = [pytest.mark.integration, pytest.mark.conformance]


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
