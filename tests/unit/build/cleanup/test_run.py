"""Whole cleanups and purges of a repository in a fake registry, by the history of a real git repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pygit2
import pytest

from pywerf.build.cleanup.run import CleanupOptions, clean_up, purge
from pywerf.build.project.options import ProjectOptions
from pywerf.build.project.project import Project, open_project
from pywerf.build.project.storage.model import StageId
from pywerf.build.project.storage.records import last_cleanup
from pywerf.errors import GitError, RegistryError, UsageError, WerfError
from support.fake_registry import FakeRegistry
from support.git_repository import GitRepository
from support.stage_shelf import Shelf, stage_id

WERF_YAML = "project: shop\nconfigVersion: 1\n{meta}---\nimage: web\ndockerfile: Dockerfile\n"
KEEP_ALL_COMMITS = """
cleanup:
  keepPolicies:
  - references: {branch: main}
    imagesPerReference: {last: 2}
  - references: {tag: /v.*/}
"""


class Told:
    """A reporter that notes messages, and lets a test do something at one of them."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.at: dict[str, Callable[[], None]] = {}

    def message(self, kind: str, text: str) -> None:
        self.messages.append((kind, text))
        for part in [part for part in self.at if part in text]:
            self.at.pop(part)()


@pytest.fixture
def told() -> Told:
    return Told()


class Setting:
    """A clone of an origin whose main branch has commits, each with a stage, and the ways to work on it."""

    def __init__(self, folder: Path, repo: Shelf, told: Told) -> None:
        self.folder = folder
        self.repo = repo
        self.told = told
        self.origin = GitRepository(folder / "origin")
        self.commits: list[str] = []

    def start(self, meta: str = KEEP_ALL_COMMITS, count: int = 4) -> None:
        self.origin.write({"werf.yaml": WERF_YAML.format(meta=meta), "Dockerfile": "FROM scratch\n"})
        for number in range(count):
            self.commits.append(self.origin.commit({"file": str(number)}))
            self.repo.built("web", self.commits[-1], self.repo.stage(number))
        self.repo.manage("web")
        pygit2.clone_repository(str(self.origin.path), str(self.folder / "work"))

    def project(self) -> Project:
        return open_project(ProjectOptions(dir=str(self.folder / "work")), self.told)  # type: ignore[arg-type]  # messages only

    def clean_up(self, final: Shelf | None = None, **options: Any) -> set[str]:
        """Run it; the tags that went, or would have gone."""
        chosen = CleanupOptions(**{"hours": 0, "without_kube": True, **options})
        storage = None if final is None else final.storage
        done = clean_up(self.project(), self.repo.storage, storage, chosen, self.told)  # type: ignore[arg-type]  # messages only
        return {item.tag for item in done.deleted if not item.final}


@pytest.fixture
def setting(tmp_path: Path, repo: Shelf, told: Told) -> Setting:
    return Setting(tmp_path, repo, told)


def stages(*numbers: int) -> set[str]:
    return {str(stage_id(number)) for number in numbers}


def test_a_dry_run_tells_what_goes_then(setting: Setting, repo: Shelf) -> None:
    setting.start()
    repo.custom("released", stage_id(0))
    setting.origin.repo.references.create("refs/tags/v1", setting.commits[1])
    before = repo.tags
    would = setting.clean_up(dry_run=True)
    assert repo.tags == before
    gone = setting.clean_up()
    assert gone == would
    assert repo.tags == before - gone | {"cleanup"}
    assert stages(1, 2, 3) <= repo.tags
    assert stages(0) <= gone
    assert "released" in gone
    assert last_cleanup(repo.storage.records) is not None
    assert setting.clean_up() == set()


def test_the_report(setting: Setting, repo: Shelf, final: Shelf, tmp_path: Path) -> None:
    setting.start()
    final.stage(1)
    repo.custom("old", stage_id(1), final)
    path = tmp_path / "report"
    setting.clean_up(final, dry_run=True, report=str(path))
    would = json.loads((tmp_path / "report.json").read_text())
    setting.clean_up(final, report=str(path))
    report = json.loads((tmp_path / "report.json").read_text())
    assert would == {**report, "dryRun": True}
    assert list(report) == ["command", "dryRun", "repo", "finalRepo", "kept", "deleted"]
    assert report["command"] == "cleanup"
    assert report["repo"] == repo.storage.address
    assert report["finalRepo"] == final.storage.address
    assert {"type": "stage", "tag": str(stage_id(3)), "reason": "git policy", "stageID": str(stage_id(3))} in report[
        "kept"
    ]
    assert {"type": "finalStage", "tag": str(stage_id(1)), "stageID": str(stage_id(1))} in report["deleted"]
    assert {"type": "customTag", "tag": "old", "stageID": str(stage_id(1))} in report["deleted"]
    (record,) = [one for one in report["deleted"] if one.get("commit") == setting.commits[0]]
    assert (record["type"], record["imageName"], record["stageID"]) == ("imageMetadata", "web", str(stage_id(0)))
    assert {one["type"] for one in report["deleted"]} == {"stage", "finalStage", "customTag", "imageMetadata"}
    assert not [name for name in tmp_path.iterdir() if name.name.endswith(".tmp")]


@pytest.mark.parametrize("path", ["report.txt", "nowhere/report.json", "folder.json"])
def test_a_report_that_cannot_be_written_is_an_error_before_anything_goes(
    setting: Setting, repo: Shelf, tmp_path: Path, path: str
) -> None:
    setting.start()
    (tmp_path / "folder.json").mkdir()
    before = repo.tags
    with pytest.raises(UsageError, match="--cleanup-report-path"):
        setting.clean_up(report=str(tmp_path / path))
    assert repo.tags == before


def test_the_report_is_written_after_a_failure_too(
    setting: Setting, repo: Shelf, fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    setting.start()
    fake_registry.fail("DELETE", "/manifests/", 405, times=50)
    path = tmp_path / "report.json"
    with pytest.raises(RegistryError, match="deletes nothing"):
        setting.clean_up(report=str(path))
    report = json.loads(path.read_text())
    assert report["deleted"] == []
    assert "cleanup" not in repo.tags


def test_records_of_what_could_not_be_deleted_stay(
    setting: Setting, repo: Shelf, fake_registry: FakeRegistry, told: Told
) -> None:
    setting.start()
    record = repo.custom("old", stage_id(0))
    found = repo.storage.describe(stage_id(0))
    assert found is not None
    fake_registry.fail("DELETE", str(found.manifest), 403)
    gone = setting.clean_up()
    assert stages(1) <= gone
    assert {record, "old", *stages(0)} <= repo.tags
    assert any(kind == "warning" and "not deleted" in text for kind, text in told.messages)
    assert {record, "old", *stages(0)} <= setting.clean_up()


def test_a_cluster_is_not_asked(setting: Setting, repo: Shelf) -> None:
    setting.start()
    with pytest.raises(UsageError, match="no Kubernetes client") as caught:
        setting.clean_up(without_kube=False)
    assert "--without-kube" in (caught.value.hint or "")


def test_the_directive_instead_of_the_flag(setting: Setting) -> None:
    setting.start("cleanup: {disableKubernetesBasedPolicy: true, keepPolicies: [{references: {branch: main}}]}\n")
    assert stages(0, 1, 2) <= setting.clean_up(without_kube=False)


def test_hours_of_the_command_line_and_of_werf_yaml(setting: Setting) -> None:
    setting.start("cleanup: {keepImagesBuiltWithinLastNHours: 1000000, keepPolicies: [{references: {branch: main}}]}\n")
    assert setting.clean_up(hours=None, dry_run=True) == set()
    assert stages(0, 1, 2) <= setting.clean_up(dry_run=True)


def test_the_hours_policy_switched_off(setting: Setting) -> None:
    setting.start("cleanup: {disableBuiltWithinLastNHoursPolicy: true, keepPolicies: [{references: {branch: main}}]}\n")
    assert stages(0, 1, 2) <= setting.clean_up(hours=1000000, dry_run=True)


def test_the_git_policy_switched_off(setting: Setting, repo: Shelf) -> None:
    setting.start("cleanup: {disableGitHistoryBasedPolicy: true}\n")
    pygit2.Repository(str(setting.folder / "work")).remotes.delete("origin")
    assert setting.clean_up(keep_list=(str(stage_id(2)),)) >= stages(0, 1, 3)
    assert stages(2) <= repo.tags


def test_cleanup_switched_off(setting: Setting, repo: Shelf) -> None:
    setting.start("cleanup: {disable: true}\n")
    setting.clean_up(without_kube=False)
    assert repo.tags == stages(0, 1, 2, 3)


def test_what_is_built_meanwhile_stays(setting: Setting, repo: Shelf, told: Told) -> None:
    setting.start()

    def build() -> None:
        # an old stage is what a new commit needs, and a new stage is built upon another one
        commit = setting.origin.commit({"file": "new"})
        repo.built("web", commit, stage_id(0))
        repo.built("web", commit, repo.stage(9, parent=1))

    told.at["git policy:"] = build
    gone = setting.clean_up()
    assert gone & stages(0, 1, 9) == set()
    assert stages(0, 1, 9) <= repo.tags
    assert stages(2) <= gone
    assert any("has changed meanwhile" in text for _, text in told.messages)


def test_without_origin_nothing_is_decided(setting: Setting, repo: Shelf) -> None:
    setting.start()
    before = repo.tags
    work = pygit2.Repository(str(setting.folder / "work"))
    work.remotes.delete("origin")
    with pytest.raises(GitError, match="no remote called origin"):
        setting.clean_up()
    work.remotes.create("origin", str(setting.folder / "nowhere"))
    with pytest.raises(GitError, match="branches and tags of origin are needed"):
        setting.clean_up()
    assert repo.tags == before


def test_without_leave_to_fetch_what_is_there_counts(setting: Setting, repo: Shelf) -> None:
    setting.start("gitWorktree: {allowFetchOriginBranchesAndTags: false}" + KEEP_ALL_COMMITS)
    setting.origin.repo.references.create("refs/tags/v1", setting.commits[0])
    work = pygit2.Repository(str(setting.folder / "work"))
    assert stages(0, 1) <= setting.clean_up(dry_run=True)
    work.references.create("refs/tags/v1", setting.commits[0])
    would = setting.clean_up(dry_run=True)
    assert stages(1) <= would
    assert not stages(0) & would
    for name in [name for name in work.references if name.startswith("refs/remotes/origin/")]:
        work.references.delete(name)
    with pytest.raises(GitError, match="no branch of origin is known"):
        setting.clean_up()


def test_a_shallow_clone_that_must_stay_one_is_refused(setting: Setting, repo: Shelf) -> None:
    setting.start("gitWorktree: {allowUnshallow: false}" + KEEP_ALL_COMMITS)
    before = repo.tags
    (setting.folder / "work/.git/shallow").write_text(f"{setting.commits[-1]}\n")
    with pytest.raises(GitError, match="is a shallow clone"):
        setting.clean_up()
    assert repo.tags == before


def test_a_shallow_clone_that_is_to_be_taken_as_it_is(setting: Setting) -> None:
    meta = "gitWorktree: {forceShallowClone: true, allowFetchOriginBranchesAndTags: false}" + KEEP_ALL_COMMITS
    setting.start(meta)
    (setting.folder / "work/.git/shallow").write_text(f"{setting.commits[-1]}\n")
    would = setting.clean_up(dry_run=True)
    assert stages(0, 1, 2) <= would
    assert not stages(3) & would


def test_a_purge_leaves_nothing_of_the_project(repo: Shelf, final: Shelf, told: Told, tmp_path: Path) -> None:
    stage = repo.stage(1)
    repo.index(9, 1)
    repo.built("web", "c", stage)
    repo.manage("web")
    final.stage(1)
    repo.custom("v1", stage, final)
    theirs = repo.stage(2, project="other")
    repo.storage.repository.put_labels("by-hand", {})
    before = repo.tags
    options = CleanupOptions(dry_run=True, report=str(tmp_path / "report.json"))
    would = purge("shop", repo.storage, final.storage, options, told)  # type: ignore[arg-type]  # messages only
    assert repo.tags == before
    done = purge("shop", repo.storage, final.storage, CleanupOptions(), told)  # type: ignore[arg-type]  # messages only
    assert done == would
    assert repo.tags == {str(theirs), "by-hand"}
    assert final.tags == set()
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["command"], report["kept"]) == ("purge", [])
    assert any("stages of other projects are left alone" in text for _, text in told.messages)
    assert StageId.parse(str(theirs)) == theirs


def test_a_registry_that_wants_to_know_who_deletes_is_asked_first(setting: Setting, told: Told, tmp_path: Path) -> None:
    from pywerf.build.project.storage.open import open_registry_storage
    from pywerf.registry.access import RegistryAccess
    from pywerf.registry.registries_conf import Registries

    access = RegistryAccess(environ={"HOME": str(tmp_path)}, registries=Registries())
    storage = open_registry_storage("ghcr.io/shop/web", access, home=str(tmp_path))
    with pytest.raises(WerfError, match="wants a token"):
        purge("shop", storage, None, CleanupOptions(dry_run=True), told)  # type: ignore[arg-type]  # messages only
