"""The cases as images of a project, staged and not: the same files, the same config, instruction by instruction.

They are images of one project, built by one command; the context of each is what git keeps of it. v2 begins each stage
of a Dockerfile with a stage FROM1, v1 has none: both schemes come to the same images. A sample of the cases here; all
with PYWERF_ALL_CASES=1.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import image_compare, judges, services
from support.cases import NAMES, Case
from support.git_repository import GitRepository
from support.werf import Werf

pytestmark = [pytest.mark.integration, pytest.mark.conformance]

LEFT_OUT = {"build-context": "an image of werf.yaml has no other contexts"}
ALL = [name for name in NAMES if name not in LEFT_OUT and "expect" not in Case.read_settings(name)]
CHOSEN = ALL if os.environ.get("PYWERF_ALL_CASES") else sorted({*ALL[::9], "copy-from-index", "stages-target"})


def image_of(name: str, case: Case, kind: str) -> str:
    """The section of werf.yaml for a case."""
    flags = dict(zip(case.args[::2], case.args[1::2], strict=True))
    entry = {
        "image": f"{kind}/{name}",
        "context": name,
        "dockerfile": str(case.settings.get("file", "Dockerfile")),
        "staged": kind == "staged",
    }
    if "--target" in flags:
        entry["target"] = flags["--target"]
    if "--build-arg" in flags:
        entry["args"] = dict([flags["--build-arg"].split("=")])
    return json.dumps(entry) + "\n"


class Shop:
    """A project of cases, and what building it came to."""

    def __init__(self, werf: Werf, work: Path, names: list[str], base: str) -> None:
        self.werf = werf
        self.work = work
        git = GitRepository(work / "project")
        sections = ["project: cases\nconfigVersion: 1\n"]
        for name in names:
            (work / name).mkdir()
            case = Case(name, work / name, base)
            judges.copy_context(case.context, git.path / name)
            dockerfile = git.path / name / str(case.settings.get("file", "Dockerfile"))
            dockerfile.write_bytes(case.dockerfile.read_bytes())
            sections += [image_of(name, case, kind) for kind in ("plain", "staged")]
        git.commit({"werf.yaml": "---\n".join(sections)})
        report = work / "report.json"
        words = ("build", "--save-build-report", "--build-report-path", str(report))
        werf.run(*words, cwd=git.path, timeout=1800)
        self.images = json.loads(report.read_text())["Images"]

    def read(self, name: str, kind: str) -> image_compare.Image:
        """An image, without the labels that tell of its building."""
        archive = self.work / f"{name}-{kind}.tar"
        source = self.images[f"{kind}/{name}"]["DockerImageName"]
        self.werf.export(source, archive)
        image = image_compare.read_image(archive)
        archive.unlink()
        labels = image.config["config"].get("Labels") or {}
        image.config["config"]["Labels"] = {key: value for key, value in labels.items() if not key.startswith("werf")}
        return image


@pytest.fixture(scope="module", params=["v1", "v2"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, busybox: str) -> Iterator[Shop]:
    work = tmp_path_factory.mktemp(f"staged-{request.param}")
    werf = Werf(work / "store", work / "home")
    werf.env["WERF_STAGED_DOCKERFILE_VERSION"] = request.param
    yield Shop(werf, work, CHOSEN, busybox)
    services.unmount_below(werf.root)


@pytest.mark.parametrize("name", CHOSEN)
def test_a_staged_image_is_what_the_dockerfile_makes(name: str, shop: Shop) -> None:
    assert image_compare.differences(shop.read(name, "staged"), shop.read(name, "plain")) == []
    assert shop.images[f"staged/{name}"]["ConfigType"] == "staged"
