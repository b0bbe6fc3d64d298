"""The commands around a build of a project, with both backends: reports, run, export, stage image."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support import machine, services
from support.git_repository import GitRepository
from support.users import user
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
  - {{type: ImageName, targetBuildArg: BASE}}
"""
FILES = {
    "base.Dockerfile": "ARG BUSYBOX\nFROM ${BUSYBOX}\nRUN echo base > /base\n",
    "Dockerfile": (
        "ARG BASE\nFROM ${BASE}\nCOPY text /text\nENV GREETING=hello\nLABEL owner=shop\n"
        'CMD ["sh", "-c", "echo $GREETING $(cat /text)"]\n'
    ),
    "text": "one\n",
}


@pytest.fixture
def project(tmp_path: Path) -> str:
    """A project's name that no other test has: they share a Docker daemon."""
    return "shop-" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]


@pytest.fixture
def git(tmp_path: Path, busybox: str, project: str) -> GitRepository:
    repository = GitRepository(tmp_path / "shop")
    repository.commit({"werf.yaml": WERF_YAML.format(project=project, busybox=busybox), **FILES})
    return repository


@pytest.fixture(params=["embedded", "docker"])
def shop(request: pytest.FixtureRequest, make_werf: Callable[[str], Werf]) -> Werf:
    """`werf` with either backend."""
    werf = make_werf("store")
    werf.env["WERF_LOG_QUIET"] = "true"
    if request.param == "docker":
        docker = request.getfixturevalue("docker")
        werf.env.update(WERF_BUILDAH_MODE="docker", DOCKER_HOST=docker.host, WERF_BACKEND_NETWORK="host")
    return werf


@pytest.fixture
def repo(registry: str, project: str) -> str:
    """A repository that is empty."""
    return f"{registry}/{project}"


def options(words: str = "") -> tuple[str, str]:
    """Docker's options for a daemon without networks of its own."""
    return "--docker-options", f"--rm --network host {words}".strip()


def labels(name: str) -> dict[str, str]:
    """The labels of an image in the registry."""
    config = json.loads(machine.run("skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{name}").stdout)
    found: dict[str, str] = config["config"].get("Labels") or {}
    return found


def test_reports(shop: Werf, git: GitRepository, repo: str, project: str) -> None:
    backend = "docker" if shop.env["WERF_BUILDAH_MODE"] == "docker" else "buildah"
    shop.run("build", "--save-build-report", cwd=git.path)  # local storage, and the default name
    local = json.loads((git.path / ".werf-build-report.json").read_text())
    assert local["Runtime"]["Backend"] == backend
    assert set(local["Images"]) == {"base", "web"}
    record = local["Images"]["web"]
    assert (record["DockerRepo"], record["DockerImageDigest"], record["Rebuilt"]) == (project, "", True)

    words = ("build", "web", "--repo", repo, "--save-build-report", "--build-report-path")
    printed = shop.run(*words, "../report", cwd=git.path, env={"WERF_ENABLE_REPORT_BY_PLATFORM": "1"}).stdout
    report = json.loads((git.path.parent / "report.json").read_text())
    assert set(report["Images"]) == {"web"}
    record = report["Images"]["web"]
    assert f"web {record['DockerImageName']} {record['DockerImageID']}\n" in printed
    assert record["DockerImageDigest"].startswith("sha256:")
    assert record["Commit"] == str(git.repo.head.target)
    assert list(report["ImagesByPlatform"]["web"]) == [record["TargetPlatform"]]

    again = git.path.parent / "again.env"
    shop.run(*words, again, cwd=git.path)
    assert f"WERF_WEB_DOCKER_IMAGE_NAME={record['DockerImageName']}\n" in again.read_text()
    shop.run(*words, "../report.json", cwd=git.path)
    found = json.loads((git.path.parent / "report.json").read_text())["Images"]["web"]
    assert (found["Rebuilt"], found["BuildTime"]) == (False, "0.00")
    assert found["DockerImageName"] == record["DockerImageName"]

    git.commit({"text": "two\n"})
    shop.run(*words, "../debug", "--log-debug", cwd=git.path)
    debug = json.loads((git.path.parent / "debug.json").read_text())
    assert debug["StageCache"] == {"built": 1, "found in repo": 1}
    assert debug["Operations"]["image build"]["Count"] == debug["Operations"]["image push"]["Count"] == 1


def test_a_report_of_another_form_is_an_error_before_the_build(shop: Werf, git: GitRepository) -> None:
    failed = shop.run("build", "--save-build-report", "--build-report-path", "r.xml", cwd=git.path, check=False)
    assert failed.returncode == 2
    assert ".xml is no form of a report" in failed.stderr
    assert shop.run("stage", "image", cwd=git.path, check=False).returncode == 1


def test_run(shop: Werf, git: GitRepository, repo: str, tmp_path: Path) -> None:
    where = ("run", "--repo", repo)
    assert shop.run(*where, *options(), cwd=git.path).stdout == "hello one\n"
    assert shop.run(*where, "web", *options("-e GREETING=bye"), cwd=git.path).stdout == "bye one\n"
    assert shop.run(*where, "base", *options(), "--", "cat", "/base", cwd=git.path).stdout == "base\n"
    failed = shop.run(*where, *options(), "web", "--", "sh", "-c", "exit 7", cwd=git.path, check=False)
    assert (failed.returncode, failed.stderr) == (7, "")
    git.commit({"text": "two\n"})
    assert shop.run(*where, *options(), cwd=git.path).stdout == "hello two\n"

    # from a file, without git and werf.yaml
    report = tmp_path / "report.env"
    shop.run("build", "--repo", repo, "--save-build-report", "--build-report-path", report, cwd=git.path)
    words = ("run", "--use-build-report", "--build-report-path", report, *options())
    assert shop.run(*words, cwd=tmp_path).stdout == "hello two\n"
    assert shop.run(*words, "base", "--", "cat", "/base", cwd=tmp_path).stdout == "base\n"


def test_a_build_that_fails_is_told_from_a_container_that_does(shop: Werf, git: GitRepository) -> None:
    git.commit({"base.Dockerfile": "ARG BUSYBOX\nFROM ${BUSYBOX}\nRUN exit 7\n"})
    failed = shop.run("run", *options(), cwd=git.path, check=False)
    assert failed.returncode == 1
    assert "base.Dockerfile:3" in failed.stderr


@pytest.mark.parametrize("shop", ["docker"], indirect=True)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--follow"), "-d and --name"),
        (("export", "--tag", "r.example.com/x", "--platform", "linux/amd64,linux/arm64"), "several platforms"),
    ],
)
def test_what_docker_cannot_do_is_told_before_the_build(
    shop: Werf, git: GitRepository, words: tuple[str, ...], said: str
) -> None:
    failed = shop.run(*words, cwd=git.path, check=False, env={"WERF_LOG_QUIET": "0"})
    assert failed.returncode in (1, 2)
    assert said in failed.stderr
    assert "Building stage" not in failed.stderr


def test_run_of_local_stages(shop: Werf, git: GitRepository, project: str) -> None:
    assert shop.run("run", *options(), cwd=git.path).stdout == "hello one\n"
    told = shop.run("run", "--dry-run", *options(), "-e", "GREETING=a b", "web", "--", "id", cwd=git.path).stdout
    name = shop.run("stage", "image", cwd=git.path).stdout.strip()
    if shop.env["WERF_BUILDAH_MODE"] == "docker":
        assert told == f"docker run '--env=GREETING=a b' --rm --network host {name} id\n"
    else:
        assert told == f"werf run '--env=GREETING=a b' --rm --network host {name} -- id\n"
    assert shop.run("stage", "image", "base", cwd=git.path).stdout.startswith(f"{project}:")


def test_run_needs_images_with_z(shop: Werf, git: GitRepository) -> None:
    failed = shop.run("run", "-Z", *options(), cwd=git.path, check=False)
    assert failed.returncode == 1
    assert "not built yet" in failed.stderr


def test_export(shop: Werf, git: GitRepository, repo: str, project: str) -> None:
    words = ("export", "--tag", f"{repo}/out/%image%:v1", "--add-label", "version=1")
    for where in ((), ("--repo", repo)):
        printed = shop.run(*words, *where, cwd=git.path).stdout
        assert printed == f"web {repo}/out/web:v1\n"
        assert labels(f"{repo}/out/web:v1") == {"owner": "shop", "version": "1"}
    base = shop.run("export", "base", "--final-images-only=false", "--tag", f"{repo}/base", cwd=git.path).stdout
    assert base == f"base {repo}/base:latest\n"
    assert labels(f"{repo}/base") == {}
    source = shop.run("stage", "image", "--repo", repo, cwd=git.path).stdout.strip()
    assert labels(source)["werf"] == project
    layers = [
        json.loads(machine.run("skopeo", "inspect", "--tls-verify=false", f"docker://{name}").stdout)["Layers"]
        for name in (source, f"{repo}/out/web:v1")
    ]
    assert layers[0] == layers[1]


def test_export_of_a_report(shop: Werf, git: GitRepository, repo: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    shop.run("build", "--repo", repo, "--save-build-report", "--build-report-path", report, cwd=git.path)
    variables = {"WERF_EXPORT_ADD_LABEL_B": "b=2", "WERF_EXPORT_ADD_LABEL_A": "a=1,c=3"}
    words = ("--use-build-report", "--build-report-path", report, "--add-label-separator", ",")
    printed = shop.run("export", "--tag", f"{repo}/x:%image%", *words, cwd=tmp_path, env=variables).stdout
    assert printed == f"web {repo}/x:web\n"
    assert labels(f"{repo}/x:web") == {"owner": "shop", "a": "1", "b": "2", "c": "3"}


def test_follow(shop: Werf, git: GitRepository, tmp_path: Path, project: str) -> None:
    """A container for each commit: Docker's is replaced by its name, the embedded engine's is a process of ours."""
    log = tmp_path / "log"
    docker = shop.env["WERF_BUILDAH_MODE"] == "docker"
    named = f"-d --name {project}" if docker else ""
    command = ("--", "sh", "-c", "cat /text >> /log/seen; exec sleep 1000")
    log.mkdir()
    process = shop.start("run", "--follow", *options(f"{named} -v {log}:/log"), *command, cwd=git.path)

    def wait_for(content: str) -> None:
        end = time.monotonic() + 120
        while not (log / "seen").exists() or (log / "seen").read_text() != content:
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"not seen: {content!r}: {process.communicate()[0].decode()}", pytrace=False)
            time.sleep(0.1)

    try:
        wait_for("one\n")
        git.commit({"text": "two\n"})
        wait_for("one\ntwo\n")
    finally:
        services.stop(process)
        if docker:
            machine.run("docker", "rm", "--force", project, env=shop.env, check=False)
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize("subids", [True, False], ids=["subordinate-ids", "one-id"])
def test_an_ordinary_user_runs_and_exports(subids: bool, busybox: str, repo: str, project: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="pywerf-commands-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        with user(folder, f"pywc{os.getpid()}", subids=subids) as one:
            git = GitRepository(one.home / "shop")
            git.commit({"werf.yaml": WERF_YAML.format(project=project, busybox=busybox), **FILES})
            machine.run("chown", "-R", one.name, git.path)
            env = {"WERF_BUILDAH_MODE": "auto", "WERF_DIR": str(git.path), "WERF_LOG_QUIET": "1"}
            assert one.werf("run", "web", env=env).stdout == "hello one\n"
            failed = one.werf("run", "--repo", repo, "--", "sh", "-c", "id -u; exit 3", env=env, check=False)
            assert (failed.returncode, failed.stdout) == (3, "0\n")
            one.werf("export", "--tag", f"{repo}/out:1", env=env)
            assert labels(f"{repo}/out:1") == {"owner": "shop"}
    finally:
        machine.run("rm", "-rf", folder)
