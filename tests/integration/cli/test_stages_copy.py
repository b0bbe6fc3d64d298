"""`werf stages copy` between real registries and archives, for builds with both backends."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from support import machine
from support.git_repository import GitRepository
from support.werf import Werf

pytestmark = pytest.mark.integration

WERF_YAML = """\
project: {project}
configVersion: 1
---
image: base
final: false
dockerfile: base.Dockerfile
args: {{BUSYBOX: {busybox}}}
---
image: web
dockerfile: Dockerfile
dependencies:
- image: base
  imports:
  - {{type: ImageDigest, targetBuildArg: BASE}}
imageSpec: {{config: {{labels: {{owner: shop}}}}}}
---
image: several
platform: [linux/amd64, linux/arm64]
dockerfile: several.Dockerfile
"""
FILES = {
    "base.Dockerfile": "ARG BUSYBOX\nFROM ${BUSYBOX}\nRUN echo base > /base\n",
    "Dockerfile": "FROM scratch\nARG BASE\nLABEL base=$BASE\nCOPY text /text\n",
    "several.Dockerfile": "FROM scratch\nCOPY text /several\n",
    "text": "one\n",
}


@pytest.fixture
def project(tmp_path: Path) -> str:
    """A project's name that no other test has: they share a Docker daemon."""
    return "copied-" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]


@pytest.fixture
def git(tmp_path: Path, busybox: str, project: str) -> GitRepository:
    repository = GitRepository(tmp_path / "shop")
    repository.commit({"werf.yaml": WERF_YAML.format(project=project, busybox=busybox), **FILES})
    return repository


@pytest.fixture(params=["embedded", "docker"])
def shop(request: pytest.FixtureRequest, make_werf: Callable[[str], Werf]) -> Werf:
    """`werf` with either backend."""
    werf = make_werf("store")
    if request.param == "docker":
        docker = request.getfixturevalue("docker")
        werf.env.update(WERF_BUILDAH_MODE="docker", DOCKER_HOST=docker.host, WERF_BACKEND_NETWORK="host")
    return werf


def tags(repo: str) -> set[str]:
    """The tags of a repository."""
    host, _, path = repo.partition("/")
    with urllib.request.urlopen(f"http://{host}/v2/{path}/tags/list") as answer:
        return set(json.load(answer)["tags"])


def digests(repo: str, names: set[str]) -> dict[str, str]:
    """The manifests of tags."""
    found = {}
    for name in names:
        raw = machine.run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{repo}:{name}").stdout
        found[name] = hashlib.sha256(raw.encode()).hexdigest()
    return found


def is_stage(tag: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{56}(-[0-9]{13})?", tag) is not None


def test_everything_is_found_after_copies(
    shop: Werf, git: GitRepository, registry: str, project: str, tmp_path: Path
) -> None:
    first, second, third = (f"{registry}/{project}/{name}" for name in ("a", "b", "c"))
    built = shop.run("build", "--repo", first, "--add-custom-tag", "%image%-v1", cwd=git.path).stdout
    archive = tmp_path / "stages.tar.gz"

    said = shop.run("stages", "copy", "--from", first, "--to", f"docker://{second}", cwd=git.path).stdout
    stages = {tag for tag in tags(first) if is_stage(tag)}
    assert re.fullmatch(rf"{len(stages)} stages, \d+ records copied\n", said)
    assert digests(second, tags(second)) == digests(first, tags(first))
    assert {"web-v1", "several-v1", "managed-image-base"} <= tags(second)
    shop.run("stages", "copy", "--from", first, "--to", f"archive:{archive}", cwd=git.path)
    # where the archive comes to there is neither git nor a werf.yaml
    away = tmp_path / "away"
    away.mkdir()
    shop.run("stages", "copy", "--from", f"archive:{archive}", "--to", third, cwd=away)
    assert digests(third, tags(third)) == digests(first, tags(first))
    again = shop.run("stages", "copy", "--from", f"archive:{archive}", "--to", third, cwd=away).stdout
    assert again == f"0 stages, 0 records copied; {len(stages)} stages there already\n"

    for repo in (second, third):
        done = shop.run("build", "--repo", repo, "--check-built-images", cwd=git.path)
        assert done.stdout == built.replace(first, repo)
        assert done.stderr.count("Use previously built image for") == len([tag for tag in stages if "-" in tag])
        assert "Building stage" not in done.stderr
    # and the next commit goes on from there
    git.commit({"text": "two\n"})
    assert "Building stage web/dockerfile" in shop.run("build", "web", "--repo", third, cwd=git.path).stderr


def test_the_stages_of_one_build(shop: Werf, git: GitRepository, registry: str, project: str, tmp_path: Path) -> None:
    first, second, third = (f"{registry}/{project}/{name}" for name in ("a", "b", "c"))
    shop.run("build", "--repo", first, cwd=git.path)
    older = {tag for tag in tags(first) if is_stage(tag)}
    git.commit({"text": "two\n"})
    copy = ("stages", "copy", "--from", first, "--all=false")
    shop.run(*copy, "--to", second, cwd=git.path)  # builds what is new
    now = {tag for tag in tags(first) if is_stage(tag)}
    copied = {tag for tag in tags(second) if is_stage(tag)}
    base = older & copied
    assert len(base) == 1  # it has not changed
    assert copied == (now - older) | base
    assert shop.run("build", "--repo", second, "--check-built-images", cwd=git.path).returncode == 0
    assert sum(tag.startswith("meta-") for tag in tags(second)) == 3 + 1  # that of the base at the first commit, too

    report = tmp_path / "report.json"
    shop.run("build", "web", "--repo", first, "--save-build-report", "--build-report-path", report, cwd=git.path)
    words = ("--use-build-report", "--build-report-path", report)
    shop.run(*copy, "--to", third, *words, cwd=tmp_path)
    assert {tag for tag in tags(third) if tag.startswith("managed-image-")} == {"managed-image-web"}
    assert shop.run("build", "web", "--repo", third, "--check-built-images", cwd=git.path).returncode == 0
    failed = shop.run(*copy[:3], second, *copy[4:], "--to", third, *words, cwd=tmp_path, check=False)
    assert f"which is not in {second}" in failed.stderr


def test_skopeo_reads_archives(werf: Werf, git: GitRepository, registry: str, project: str, tmp_path: Path) -> None:
    repo, archive = f"{registry}/{project}", tmp_path / "stages.tar"
    werf.run("build", "--repo", repo, cwd=git.path)
    werf.run("stages", "copy", "-N", project, "--from", repo, "--to", f"archive:{archive}", cwd=tmp_path)
    for tag in {tag for tag in tags(repo) if is_stage(tag)}:
        from_archive, from_repo = (
            machine.run("skopeo", "inspect", "--raw", "--tls-verify=false", f"{place}:{tag}").stdout
            for place in (f"oci-archive:{archive}", f"docker://{repo}")
        )
        assert from_archive == from_repo


def test_between_registries_with_a_login(
    werf: Werf, git: GitRepository, registry: str, locked_registry: str, project: str
) -> None:
    repo, other = f"{registry}/{project}", f"{locked_registry}/{project}"
    werf.run("build", "--repo", repo, cwd=git.path)
    copy = ("stages", "copy", "--from", repo, "--to", other)
    refused = werf.run(*copy, cwd=git.path, check=False)
    assert refused.returncode == 1
    assert "authentication required" in refused.stderr
    werf.run("cr", "login", locked_registry, "-u", "joe", "--password-stdin", stdin=b"hunter2")
    werf.run(*copy, cwd=git.path)
    assert werf.run("build", "--repo", other, "--check-built-images", cwd=git.path).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_copy_that_is_stopped_goes_on_the_next_time(
    number: signal.Signals, werf: Werf, registry: str, project: str, tmp_path: Path
) -> None:
    git = GitRepository(tmp_path / "many")
    images = "".join(f"---\nimage: i{n}\ndockerfile: Dockerfile\nargs: {{N: {n}}}\n" for n in range(30))
    dockerfile = "FROM scratch\nARG N\nLABEL n=$N\nCOPY text /text\n"
    git.commit({"werf.yaml": f"project: {project}\nconfigVersion: 1\n{images}", "Dockerfile": dockerfile, "text": "1"})
    first, second = f"{registry}/{project}/a", f"{registry}/{project}/b"
    werf.run("build", "--repo", first, cwd=git.path)
    process = werf.start("stages", "copy", "--from", first, "--to", second, "--parallel-tasks-limit", "2", cwd=git.path)
    assert process.stdout is not None
    for line in process.stdout:
        if b"[8/" in line:
            os.killpg(process.pid, number)
            break
    process.stdout.read()
    process.stdout.close()
    status = process.wait()
    assert status == (130 if number == signal.SIGINT else -signal.SIGKILL)
    there = {tag for tag in tags(second) if is_stage(tag)}
    assert 0 < len(there) < 30
    assert digests(second, there) == digests(first, there)
    said = werf.run("stages", "copy", "--from", first, "--to", second, cwd=git.path).stdout
    assert said.endswith(f"{len(there)} stages there already\n")
    assert digests(second, tags(second)) == digests(first, tags(first))


def test_mistakes(werf: Werf, git: GitRepository, registry: str, project: str, tmp_path: Path) -> None:
    repo = f"{registry}/{project}"
    for words, status, text in (
        (["--to", repo], 2, "--from is needed"),
        (["--from", repo], 2, "--to is needed"),
        (["--from", repo, "--to", f"docker://{repo}"], 2, "--from and --to are the same"),
        (["--from", "archive:a", "--to", "archive:b"], 2, "one of them has to be a repository"),
        (["--from", f"{repo}:v1", "--to", "archive:b"], 2, "a repository has no tag"),
        (["--from", "archive:nowhere", "--to", repo], 1, "archive:nowhere: no such file"),
        (["--from", repo, "--to", "archive:no/where"], 1, "no/where: no such file or directory"),
        (["--from", repo, "--to", repo + "/b", "--all=false", "--use-build-report"], 2, "needs --build-report-path"),
    ):
        done = werf.run("stages", "copy", *words, cwd=git.path, check=False)
        assert (done.returncode, text in done.stderr) == (status, True), done.stderr
    done = werf.run("stages", "copy", "--from", repo, "--to", repo + "/b", "--use-build-report", cwd=git.path)
    assert "add --all=false" in done.stderr
    assert f"{repo} has no stages of the project {project}" in done.stderr
