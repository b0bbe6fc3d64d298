"""Build reports: written, and read again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pywerf.build.project.report import check_report, env_prefix, report_path, write_report
from pywerf.build.project.report_file import read_report
from pywerf.build.project.results import BuiltImage, BuiltPlatform, BuiltStage
from pywerf.build.project.storage.model import COMMIT_LABEL, StageDescription, StageId
from pywerf.errors import BuildError, UsageError
from pywerf.oci.digest import Digest

RUNTIME = {"Backend": "buildah", "InContainer": True}
HEX = "0123456789abcdef" * 3 + "01234567"


def stage(timestamp: int = 1_700_000_000_001, repo: str = "registry.example.com/shop") -> StageDescription:
    return StageDescription(
        StageId(HEX, timestamp),
        repo,
        Digest.of(b"config"),
        Digest.of(b"manifest"),
        created=1_700_000_000_000_000_000,
        size=1234,
        labels={COMMIT_LABEL: "c0ffee"},
        platform="linux/amd64",
    )


def image(name: str = "web", *, rebuilt: bool = True, **fields: Any) -> BuiltImage:
    stages = (BuiltStage("dockerfile", stage()), BuiltStage("imageSpec", stage(1_700_000_000_002), rebuilt, 1.256))
    return BuiltImage(name, (BuiltPlatform("linux/amd64", stages),), **fields)


def test_json_has_the_fields_in_order(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(str(path), [image()], RUNTIME)
    text = path.read_text()
    assert text.startswith('{\n\t"Runtime": {\n\t\t"Backend": "buildah",\n\t\t"InContainer": true\n\t},\n\t"Images": {')
    report = json.loads(text)
    assert list(report) == ["Runtime", "Images", "ImagesByPlatform"]
    assert report["ImagesByPlatform"] == {}
    record = report["Images"]["web"]
    assert " ".join(record) == (
        "WerfImageName ConfigType DockerRepo DockerTag DockerImageID DockerImageDigest DockerImageName TargetPlatform "
        "Rebuilt Final Size BuildTime Commit Stages"
    )
    stages = record.pop("Stages")
    assert record == {
        "WerfImageName": "web",
        "ConfigType": "dockerfile",
        "DockerRepo": "registry.example.com/shop",
        "DockerTag": f"{HEX}-1700000000002",
        "DockerImageID": str(Digest.of(b"config")),
        "DockerImageDigest": str(Digest.of(b"manifest")),
        "DockerImageName": f"registry.example.com/shop:{HEX}-1700000000002",
        "TargetPlatform": "linux/amd64",
        "Rebuilt": True,
        "Final": True,
        "Size": 1234,
        "BuildTime": "1.26",
        "Commit": "c0ffee",
    }
    assert " ".join(stages[1]) == (
        "Name DockerImageName DockerTag DockerImageID DockerImageDigest CreatedAt Size SourceType BaseImagePulled "
        "Rebuilt BuildTime Commit"
    )
    assert [(one["Name"], one["Rebuilt"], one["BuildTime"]) for one in stages] == [
        ("dockerfile", False, "0.00"),
        ("imageSpec", True, "1.26"),
    ]
    assert stages[0]["CreatedAt"] == 1_700_000_000_000_000_000
    assert stages[0]["SourceType"] == ""
    assert stages[0]["BaseImagePulled"] is False


def test_platforms(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    stages = (BuiltStage("dockerfile", stage(), True, 2.0),)
    index = StageDescription(StageId(HEX), "registry.example.com/shop", Digest.of(b"index"), Digest.of(b"index"))
    several = BuiltImage(
        "web", (BuiltPlatform("linux/amd64", stages), BuiltPlatform("linux/arm64", stages)), index=index
    )
    write_report(str(path), [several], RUNTIME, by_platform=True)
    report = json.loads(path.read_text())
    record = report["Images"]["web"]
    assert (record["DockerTag"], record["ConfigType"], record["TargetPlatform"]) == (HEX, "", "")
    assert (record["BuildTime"], record["Size"]) == ("4.00", 2468)
    assert [one["Name"] for one in record["Stages"]] == ["dockerfile (linux/amd64)", "dockerfile (linux/arm64)"]
    by_platform = report["ImagesByPlatform"]["web"]
    assert by_platform["linux/arm64"]["ConfigType"] == "dockerfile"
    assert by_platform["linux/arm64"]["TargetPlatform"] == "linux/arm64"


def test_several_platforms_without_an_index_have_no_record(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    stages = (BuiltStage("dockerfile", stage()),)
    several = BuiltImage("web", (BuiltPlatform("linux/amd64", stages), BuiltPlatform("linux/arm64", stages)))
    write_report(str(path), [several], RUNTIME)
    assert json.loads(path.read_text())["Images"] == {}


def test_the_final_repo_is_where_an_image_is(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    stages = (BuiltStage("dockerfile", stage()),)
    final = stage(repo="registry.example.com/final")
    write_report(str(path), [BuiltImage("web", (BuiltPlatform("linux/amd64", stages, final=final),))], RUNTIME)
    record = json.loads(path.read_text())["Images"]["web"]
    assert record["DockerRepo"] == "registry.example.com/final"
    assert record["Stages"][0]["DockerImageName"] == stage().name


def test_env_has_seven_lines_an_image(tmp_path: Path) -> None:
    path = tmp_path / "report.env"
    write_report(str(path), [image("web/api-2.0", final=False), image("")], RUNTIME)
    name = f"registry.example.com/shop:{HEX}-1700000000002"
    assert path.read_text().splitlines() == [
        f"WERF_DOCKER_IMAGE_NAME={name}",
        f"WERF_DOCKER_IMAGE_ID={Digest.of(b'config')}",
        f"WERF_DOCKER_IMAGE_DIGEST={Digest.of(b'manifest')}",
        "WERF_DOCKER_REPO=registry.example.com/shop",
        f"WERF_DOCKER_TAG={HEX}-1700000000002",
        "WERF_WERF_IMAGE_NAME=",
        "WERF_FINAL=true",
        f"WERF_WEB_API_2_0_DOCKER_IMAGE_NAME={name}",
        f"WERF_WEB_API_2_0_DOCKER_IMAGE_ID={Digest.of(b'config')}",
        f"WERF_WEB_API_2_0_DOCKER_IMAGE_DIGEST={Digest.of(b'manifest')}",
        "WERF_WEB_API_2_0_DOCKER_REPO=registry.example.com/shop",
        f"WERF_WEB_API_2_0_DOCKER_TAG={HEX}-1700000000002",
        "WERF_WEB_API_2_0_WERF_IMAGE_NAME=web/api-2.0",
        "WERF_WEB_API_2_0_FINAL=false",
    ]


@pytest.mark.parametrize("form", ["json", "env"])
def test_what_is_written_can_be_read(form: str, tmp_path: Path) -> None:
    path = str(tmp_path / f"report.{form}")
    write_report(path, [image("web"), image("docker", final=False), image("")], RUNTIME)
    found = read_report(path)
    assert set(found) == {"", "docker", "web"}
    assert found["web"].reference == f"registry.example.com/shop:{HEX}-1700000000002"
    assert (found["web"].repo, found["web"].tag) == ("registry.example.com/shop", f"{HEX}-1700000000002")
    assert (found["web"].final, found["docker"].final) == (True, False)
    assert [one.name for one in found["web"].stages] == (["dockerfile", "imageSpec"] if form == "json" else [])


def test_written_as_a_whole_for_others_to_read(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    before = os.umask(0o022)
    try:
        write_report(str(path), [image()], RUNTIME, further={"StageCache": {"built": 1}})
    finally:
        os.umask(before)
    assert json.loads(path.read_text())["StageCache"] == {"built": 1}
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "report.json").mkdir()
    with pytest.raises(UsageError, match=r"report\.json"):
        write_report(str(tmp_path / "report.json"), [image()], RUNTIME)
    assert os.listdir(tmp_path) == ["report.json"]


def test_paths() -> None:
    assert report_path("") == ".werf-build-report.json"
    assert report_path("out/report") == "out/report.json"
    assert report_path("out.d/report") == "out.d/report.json"
    assert report_path(".env") == ".env"
    assert report_path("a.b.env") == "a.b.env"
    for path in ("report.yaml", "report.JSON", "report."):
        with pytest.raises(UsageError, match="no form of a report"):
            report_path(path)


def test_what_could_not_be_written_is_told_before(tmp_path: Path) -> None:
    check_report(str(tmp_path / "r.env"), ["a", "b"])
    check_report(str(tmp_path / "r.json"), ["a-b", "a/b"])
    with pytest.raises(UsageError, match=r"a-b and a/b have the same variables \(WERF_A_B_"):
        check_report(str(tmp_path / "r.env"), ["a-b", "a/b"])
    with pytest.raises(UsageError, match="no directory"):
        check_report(str(tmp_path / "none/r.env"), [])
    with pytest.raises(UsageError, match="is a directory"):
        check_report(str(tmp_path), [])


def test_prefixes() -> None:
    assert env_prefix("") == "WERF_"
    assert env_prefix("web/api-v1.2") == "WERF_WEB_API_V1_2_"


GOOD = {
    "WerfImageName": "web",
    "DockerImageName": "r/shop:1",
    "DockerRepo": "r/shop",
    "DockerTag": "1",
    "DockerImageID": "sha256:1",
    "Stages": [{"Name": "dockerfile", "DockerImageName": "r/shop:1", "DockerImageID": "sha256:1"}],
}


@pytest.mark.parametrize("field", ["WerfImageName", "DockerImageName", "DockerRepo", "DockerTag", "DockerImageID"])
def test_empty_fields_are_errors(field: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for record in ({**GOOD, field: ""}, {name: value for name, value in GOOD.items() if name != field}):
        path.write_text(json.dumps({"Images": {"web": record}}))
        with pytest.raises(BuildError, match=f"image web: {field} is empty"):
            read_report(str(path))


@pytest.mark.parametrize("field", ["Name", "DockerImageName", "DockerImageID"])
def test_empty_fields_of_stages_are_errors(field: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    stages = [{"Name": "one", "DockerImageName": "x", "DockerImageID": "y", field: ""}]
    path.write_text(json.dumps({"Images": {"web": {**GOOD, "Stages": stages}}}))
    with pytest.raises(BuildError, match=f"image web: {field} of stage (one|1) is empty"):
        read_report(str(path))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("r.json", "{\n\n", r"r\.json:3: not a build report"),
        ("r.json", '{"Images": []}', r"r\.json: not a build report"),
        ("r.json", '{"Images": {"web": {"Final": "yes"}}}', r"Final|bool"),
        ("r.json", "{}", "the report has no image"),
        ("r.env", "", "the report has no image"),
        ("r.env", "# x\nWERF_WEB_DOCKER_REPO\n", r"r\.env:2: not a line of a build report"),
        ("r.env", "WERF_WEB_OTHER=1\n", r"r\.env:1: not a line of a build report"),
        ("r.env", "WERF_WEB_FINAL=maybe\n", r"r\.env:1: WERF_WEB_FINAL is neither true nor false"),
        ("r.env", "WERF_WEB_DOCKER_REPO=r\n", "image web: WerfImageName is empty"),
    ],
)
def test_malformed_reports(name: str, text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BuildError, match=said):
        read_report(str(path))


def test_no_report(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"r\.json: no such file"):
        read_report(str(tmp_path / "r.json"))
