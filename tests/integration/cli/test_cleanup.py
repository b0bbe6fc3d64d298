"""`werf cleanup`, `purge` and `managed-images` on a real registry, with the history of a real repository."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pygit2
import pytest

from pywerf.build.project.storage.open import open_registry_storage
from pywerf.locks.choose import open_locker
from pywerf.oci.reference import Reference
from pywerf.registry.access import RegistryAccess
from pywerf.registry.registries_conf import Registries
from support import machine, services
from support.git_repository import GitRepository
from support.stage_shelf import Shelf, stage_id
from support.werf import Werf

pytestmark = pytest.mark.integration

WERF_YAML = """\
project: shop
configVersion: 1
cleanup:
  keepPolicies:
  - references: {branch: main}
    imagesPerReference: {last: 2}
  - references: {tag: /v.*/}
---
image: web
dockerfile: Dockerfile
"""


class Setting:
    """A clone of an origin, and the repository of its project."""

    def __init__(self, folder: Path, registry: str, werf: Werf) -> None:
        self.folder = folder
        self.werf = werf
        self.origin = GitRepository(folder / "origin")
        self.work = folder / "work"
        self.registry = registry
        self.repo = self.shelf("repo")
        self.commits: list[str] = []

    def shelf(self, name: str) -> Shelf:
        access = RegistryAccess(environ={"HOME": str(self.folder)}, registries=Registries())
        address = f"{self.registry}/cleanup/{self.folder.name.lower()}/{name}"
        return Shelf(open_registry_storage(address, access, home=str(self.folder / "home")))

    def start(self, count: int) -> None:
        self.origin.write({"werf.yaml": WERF_YAML, "Dockerfile": "FROM scratch\n"})
        for number in range(count):
            self.commits.append(self.origin.commit({"file": str(number)}))
            self.repo.built("web", self.commits[-1], self.repo.stage(number))
        self.repo.manage("web")
        pygit2.clone_repository(str(self.origin.path), str(self.work))

    def command(self, name: str, *argv: str) -> list[str]:
        return [name, "--dir", str(self.work), "--repo", self.repo.storage.address, *argv]

    def cleanup(self, *argv: str) -> list[str]:
        flags = ("--without-kube", "--keep-stages-built-within-last-n-hours", "0", *argv)
        return self.werf.run(*self.command("cleanup", *flags)).stdout.splitlines()


@pytest.fixture
def setting(tmp_path: Path, registry: str, werf: Werf) -> Setting:
    return Setting(tmp_path, registry, werf)


def stages(*numbers: int) -> set[str]:
    return {str(stage_id(number)) for number in numbers}


def test_a_dry_run_tells_what_cleanup_deletes(setting: Setting, tmp_path: Path) -> None:
    setting.start(5)
    repo = setting.repo
    setting.origin.repo.references.create("refs/tags/v1", setting.commits[1])
    child = repo.stage(7, parent=0)
    setting.repo.built("web", setting.commits[1], child)
    repo.custom("released", stage_id(2))
    repo.storage.records.point("made-by-hand", stage_id(2))
    theirs = repo.stage(8, project="other")
    before = repo.tags

    would = setting.cleanup("--dry-run", "--save-cleanup-report", "--cleanup-report-path", str(tmp_path / "would"))
    assert repo.tags == before
    did = setting.cleanup("--save-cleanup-report", "--cleanup-report-path", str(tmp_path / "did.json"))
    reports = [json.loads((tmp_path / name).read_text()) for name in ("would.json", "did.json")]
    assert reports[0] == {**reports[1], "dryRun": True}
    assert [line.removeprefix("would delete ") for line in would[:-2]] == [
        line.removeprefix("deleted ") for line in did[:-2]
    ]
    gone = before - repo.tags
    assert {one["tag"] for one in reports[1]["deleted"]} | {"custom-tag-meta-released"} == gone
    # what main (two), the tag (with the ancestor of its stage) and others need is there, as a whole
    there = stages(0, 1, 3, 4, 7) | {str(theirs), "made-by-hand", "cleanup", "managed-image-web"}
    assert there <= repo.tags
    assert not stages(2) & repo.tags
    skopeo = machine.require("skopeo")
    reference = Reference.parse(repo.storage.address)
    for tag in (*stages(1), "made-by-hand"):
        machine.run(skopeo, "inspect", "--raw", "--tls-verify=false", f"docker://{reference}:{tag}")
    assert setting.cleanup()[-1].startswith("0 stages")


def test_killed_at_any_moment_the_next_one_comes_to_the_same_end(setting: Setting) -> None:
    setting.start(24)
    repo = setting.repo
    for number in range(0, 20, 3):
        repo.custom(f"tag-{number}", stage_id(number))
    expected = {line.rpartition(" ")[2] for line in setting.cleanup("--dry-run") if ": " in line and "stage:" in line}
    begun = len(repo.tags)
    killed = 0
    for _ in range(12):
        before = repo.tags
        process = setting.werf.start(
            *setting.command(
                "cleanup", "--without-kube", "--keep-stages-built-within-last-n-hours", "0", "--parallel=false"
            )
        )
        while process.poll() is None and len(repo.tags) > len(before) - 3:
            pass
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        assert process.stdout is not None
        process.stdout.close()
        process.wait()
        assert all(repo.storage.repository.has(tag) for tag in stages(22, 23))
    assert killed > 2
    setting.cleanup()
    assert not expected & repo.tags
    assert len(repo.tags) < begun
    assert repo.tags == stages(22, 23) | {"managed-image-web", "cleanup"} | {
        record for record in repo.tags if record.startswith("meta-")
    }
    assert sum(tag.startswith("meta-") for tag in repo.tags) == 2


def test_purge_takes_everything_of_the_project_in_both_repositories(setting: Setting) -> None:
    setting.start(3)
    final = setting.shelf("final")
    final.stage(1)
    setting.repo.custom("v1", stage_id(1), final)
    final.storage.repository.put_labels("by-hand", {})
    argv = setting.command("purge", "--final-repo", final.storage.address)
    would = setting.werf.run(*argv, "--dry-run").stdout.splitlines()
    did = setting.werf.run(*argv).stdout.splitlines()
    assert [line.replace("would delete", "deleted") for line in would[:-2]] == did[:-2]
    assert setting.repo.tags == set()
    assert final.tags == {"by-hand"}
    assert did[-1] == "4 stages, 1 custom tag, 5 records deleted"


def test_purge_by_name_reads_no_project(setting: Setting, tmp_path: Path) -> None:
    setting.repo.stage(1)
    setting.repo.stage(2, project="other")
    setting.werf.run("purge", "-N", "shop", "--repo", setting.repo.storage.address, cwd=tmp_path)
    assert setting.repo.tags == stages(2)


def test_managed_images(setting: Setting) -> None:
    setting.start(1)

    def managed(*argv: str, check: bool = True) -> str:
        name, *rest = argv
        words = ("managed-images", name, "--dir", str(setting.work), "--repo", setting.repo.storage.address, *rest)
        done = setting.werf.run(*words, check=check)
        return done.stdout if check else f"{done.returncode} {done.stderr}"

    assert managed("ls") == "web\n"
    managed("add", "team/old one", "~", "web")
    assert managed("ls") == "~\nteam/old one\nweb\n"
    managed("rm", "~", "team/old one")
    assert managed("ls") == "web\n"
    assert managed("rm", "wep", check=False).startswith("2 Error: wep is not among the managed images")
    assert "did you mean web?" in managed("rm", "wep", check=False)


def test_what_an_image_that_was_dropped_had_stays_until_it_is_not_managed(setting: Setting) -> None:
    setting.start(1)
    setting.repo.built("old", setting.commits[0], setting.repo.stage(5))
    setting.repo.manage("old")
    setting.cleanup()
    assert stages(5) <= setting.repo.tags
    setting.werf.run("managed-images", "rm", "--dir", str(setting.work), "--repo", setting.repo.storage.address, "old")
    setting.cleanup()
    assert not stages(5) & setting.repo.tags


def test_mistakes(setting: Setting, tmp_path: Path) -> None:
    setting.start(1)
    for argv, status, text in (
        (["cleanup", "--dir", str(setting.work)], 2, "cleanup needs --repo"),
        (["purge"], 2, "purge needs --repo"),
        (["managed-images", "ls"], 2, "managed-images needs --repo"),
        (setting.command("cleanup"), 2, "there is no Kubernetes client"),
        (
            setting.command("cleanup", "--without-kube", "--keep-list", "nowhere"),
            2,
            "--keep-list nowhere: No such file",
        ),
        (setting.command("cleanup", "--repo-container-registry", "x"), 2, "--repo-container-registry x"),
        (
            setting.command("cleanup", "--without-kube", "--repo-container-registry", "ecr"),
            2,
            "Amazon ECR is not supported",
        ),
        (setting.command("cleanup", "--keep-stages-built-within-last-n-hours", "-1"), 2, "-1"),
    ):
        done = setting.werf.run(*argv, check=False, cwd=tmp_path)
        assert (done.returncode, text in done.stderr) == (status, True), done.stderr


def test_the_keep_list(setting: Setting, tmp_path: Path) -> None:
    setting.start(4)
    setting.repo.custom("released", stage_id(1))
    (tmp_path / "keep").write_text(f"# of the cluster\n{stage_id(0)}\n\n  released \n")
    lines = setting.cleanup("--keep-list", str(tmp_path / "keep"))
    assert stages(0, 1, 2, 3) <= setting.repo.tags
    assert "released" in setting.repo.tags
    assert lines[-2] == "4 stages, 1 custom tag, 0 records kept (keep list: 2, git policy: 2)"


DOCKERFILE = "FROM scratch\nCOPY file shared /\n"
BUILD_YAML = """\
project: shop
configVersion: 1
cleanup:
  keepPolicies:
  - references: {branch: /.*/, limit: {last: 2}}
  - references: {tag: /v.*/}
---
image: [web, worker]
dockerfile: Dockerfile
"""


def test_of_what_was_really_built_all_that_is_needed_stays(setting: Setting, tmp_path: Path) -> None:
    origin, repo, final = setting.origin, setting.repo, setting.shelf("final")
    flags = ("--final-repo", final.storage.address)
    built: dict[str, dict[str, str]] = {}
    skopeo = machine.require("skopeo")

    def build(files: dict[str, str], *more: str) -> str:
        commit = origin.commit(files)
        argv = ("build", "--dir", str(origin.path), "--repo", repo.storage.address, *flags, *more)
        lines = setting.werf.run(*argv).stdout.splitlines()
        built[commit] = {line.split()[0]: line.split()[1] for line in lines}
        return commit

    first = build({"werf.yaml": BUILD_YAML, "Dockerfile": DOCKERFILE, "file": "1", "shared": "x"})
    tagged = build({"file": "2"}, "--add-custom-tag", "%image%-two")
    origin.repo.references.create("refs/tags/v2", tagged)
    between = build({"file": "3"}, "--add-custom-tag", "%image%-three")
    head = build({"file": "4"})
    origin.repo.branches.local.create("topic", origin.repo[head])
    origin.repo.checkout("refs/heads/topic")
    topic = build({"shared": "y"})
    origin.repo.checkout("refs/heads/main")
    pygit2.clone_repository(str(origin.path), str(setting.work))

    before = repo.tags | {f"final:{tag}" for tag in final.tags}
    would = setting.cleanup("--dry-run", *flags)
    assert before == repo.tags | {f"final:{tag}" for tag in final.tags}
    did = setting.cleanup(*flags)
    assert [line.replace("would delete", "deleted") for line in would[:-2]] == did[:-2]
    for commit, images in built.items():
        for reference in images.values():
            done = machine.run(
                skopeo,
                "copy",
                "-q",
                "--src-tls-verify=false",
                f"docker://{reference}",
                f"dir:{tmp_path}/dir",
                check=False,
            )
            assert (done.returncode == 0) is (commit in (tagged, head, topic)), (commit, reference, done.stderr)
    assert {tag for tag in final.tags if "-two" in tag or "-three" in tag} == {"web-two", "worker-two"}
    assert {first, between}.isdisjoint(tag.split("_")[1] for tag in repo.tags if tag.startswith("meta-"))
    again = setting.werf.run(
        "build", "--dir", str(setting.work), "--repo", repo.storage.address, *flags, "--check-built-images"
    )
    assert set(again.stdout.split()) >= set(built[head].values())
    assert setting.cleanup(*flags)[-1] == "0 stages, 0 custom tags, 0 records deleted"


def test_two_cleanups_wait_for_each_other(setting: Setting) -> None:
    setting.start(3)
    locker = open_locker(":local", setting.repo.storage.address, home=str(setting.werf.home / ".werf"))
    argv = setting.command("cleanup", "--without-kube", "--keep-stages-built-within-last-n-hours", "0")
    with locker.lock("shop.cleanup"):
        process = setting.werf.start(*argv)
        assert process.stdout is not None
        waiting = next(line for line in process.stdout if b"waiting" in line)
        assert b"cleanup" in waiting
        assert stages(0) <= setting.repo.tags
        # what only looks waits for nobody
        assert any("would delete stage" in line for line in setting.cleanup("--dry-run"))
    process.stdout.read()
    assert process.wait(60) == 0
    process.stdout.close()
    assert not stages(0) & setting.repo.tags


def test_a_registry_that_permits_no_deletion(setting: Setting, tmp_path: Path) -> None:
    with services.registry(tmp_path / "registry", delete=False) as address:
        setting.registry = address
        setting.repo = setting.shelf("repo")
        setting.start(3)
        before = setting.repo.tags
        report = tmp_path / "report.json"
        flags = ("--without-kube", "--save-cleanup-report", "--cleanup-report-path", str(report))
        argv = setting.command("cleanup", "--keep-stages-built-within-last-n-hours", "0", *flags)
        done = setting.werf.run(*argv, check=False)
        assert done.returncode == 1
        assert "REGISTRY_STORAGE_DELETE_ENABLED=true" in done.stderr
        assert setting.repo.tags == before
        assert json.loads(report.read_text())["deleted"] == []
