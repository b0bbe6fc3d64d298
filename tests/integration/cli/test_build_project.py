"""`werf build` of real projects with the embedded engine: git in, images out."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from support import machine, services
from support.git_repository import GitRepository
from support.users import user
from support.werf import Werf

pytestmark = pytest.mark.integration

WERF_YAML = """\
project: shop
configVersion: 1
---
image: base
dockerfile: base.Dockerfile
final: false
args: {BUSYBOX: %s}
---
image: [web, worker]
dockerfile: Dockerfile
context: app
args: {VERSION: {{ .Files.Get "VERSION" | trim | quote }}}
secrets:
- {id: token, value: very secret}
dependencies:
- image: base
  imports:
  - {type: ImageName, targetBuildArg: BASE}
"""
FILES = {
    "base.Dockerfile": "ARG BUSYBOX\nFROM ${BUSYBOX}\nRUN echo base > /base\n",
    "app/Dockerfile": (
        "ARG BASE\nFROM ${BASE}\nARG VERSION\nCOPY src /src\n"
        "RUN --mount=type=secret,id=token cat /run/secrets/token | wc -c > /size; echo $VERSION > /version\n"
    ),
    "app/.dockerignore": "**/*.tmp\n",
    "app/src/main": "one\n",
    "app/src/run.sh": "#!/bin/sh\n",
    "VERSION": "1.0\n",
    "werf-giterminism.yaml": "giterminismConfigVersion: 1\nconfig: {secrets: {allowValueIds: [token]}}\n",
}


@pytest.fixture
def git(tmp_path: Path, busybox: str) -> GitRepository:
    repository = GitRepository(tmp_path / "shop")
    repository.commit({"werf.yaml": WERF_YAML % busybox, **FILES})
    return repository


def ids(werf: Werf, git: GitRepository, *argv: str) -> dict[str, str]:
    """The printed ids by the images' names."""
    printed = werf.run("build", *argv, cwd=git.path).stdout
    return dict(line.split() for line in printed.splitlines())  # type: ignore[misc]  # two words a line


def cat(werf: Werf, image: str, path: str) -> str:
    return werf.run("run", image, "--", "cat", path).stdout


def test_images_are_built_from_the_commit(werf: Werf, git: GitRepository) -> None:
    first = ids(werf, git)
    assert list(first) == ["shop:base", "shop:web", "shop:worker"]
    assert first["shop:web"] == first["shop:worker"]
    assert cat(werf, "shop:web", "/src/main") == "one\n"
    assert cat(werf, "shop:web", "/base") == "base\n"
    assert cat(werf, "shop:web", "/version") == "1.0\n"
    assert cat(werf, "shop:web", "/size").strip() == str(len("very secret"))
    config = json.loads(werf.run("buildah", "inspect", "--type", "image", "shop:web").stdout)["OCIv1"]
    assert config["config"]["Labels"]["werf"] == "shop"
    assert "very secret" not in json.dumps(config)


def test_what_does_not_change_an_image_does_not_build_it(werf: Werf, git: GitRepository) -> None:
    first = ids(werf, git)
    assert ids(werf, git) == first
    git.commit({"README": "x", "app/src/x.tmp": "ignored", "other/file": "x"})
    told = werf.run("build", cwd=git.path)
    assert dict(line.split() for line in told.stdout.splitlines()) == first
    assert "CACHED" in told.stderr
    assert "RUN" not in [line.split()[2] for line in told.stderr.splitlines() if line.endswith("DONE")]
    git.commit({"app/src/main": "two\n"})
    second = ids(werf, git)
    assert second["shop:base"] == first["shop:base"]
    assert second["shop:web"] != first["shop:web"]
    assert cat(werf, "shop:web", "/src/main") == "two\n"


def test_changes_are_refused_and_built_with_dev(werf: Werf, git: GitRepository) -> None:
    git.write({"app/src/main": "three\n", "app/src/new": "n\n"})
    failed = werf.run("build", "web", cwd=git.path, check=False)
    assert failed.returncode == 1
    assert "app/src/main (changed since the commit)" in failed.stderr
    assert "app/src/new (not committed yet)" in failed.stderr
    assert list(ids(werf, git, "--dev", "web")) == ["shop:base", "shop:web"]
    assert cat(werf, "shop:web", "/src/main") == "three\n"
    assert cat(werf, "shop:web", "/src/new") == "n\n"


def test_errors_name_the_image_and_its_line(werf: Werf, git: GitRepository) -> None:
    git.commit({"app/Dockerfile": "ARG BASE\nFROM ${BASE}\nRUN exit 7\n"})
    failed = werf.run("build", "worker", cwd=git.path, check=False)
    assert failed.returncode == 1
    assert "image worker: " in failed.stderr
    assert "3 | RUN exit 7" in failed.stderr


def test_flags_for_a_single_dockerfile_are_refused(werf: Werf, git: GitRepository) -> None:
    failed = werf.run("build", "-t", "x", cwd=git.path, check=False)
    assert failed.returncode == 2
    assert "--tag is for builds without a werf.yaml" in failed.stderr


def test_follow_builds_again_for_a_new_commit(werf: Werf, git: GitRepository) -> None:
    process = werf.start("build", "base", "--follow", cwd=git.path)
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, b"")
        first = next(line for line in lines if line.startswith(b"shop:base"))
        next(line for line in lines if b"waiting for new commits" in line)
        git.commit({"base.Dockerfile": FILES["base.Dockerfile"].replace("echo base", "echo other")})
        second = next(line for line in lines if line.startswith(b"shop:base"))
        assert second != first
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()
    assert cat(werf, "shop:base", "/base") == "other\n"


def test_image_spec_changes_the_config_and_no_layer(werf: Werf, git: GitRepository) -> None:
    plain = ids(werf, git)
    spec = (
        "imageSpec:\n  author: me\n  config: {env: {ADDED: '$PATH'}, labels: {who: '%image%'}, cmd: [cat, /version]}\n"
    )
    git.commit({"werf.yaml": (git.path / "werf.yaml").read_text() + spec})
    built = ids(werf, git)
    assert built["shop:base"] == plain["shop:base"]
    assert built["shop:web"] != built["shop:worker"]
    config = json.loads(werf.run("buildah", "inspect", "--type", "image", "shop:web").stdout)["OCIv1"]
    assert config["author"] == "me"
    assert config["config"]["Labels"] == {"werf": "shop", "who": "web"}
    assert config["config"]["Cmd"] == ["cat", "/version"]
    assert werf.run("run", "shop:worker").stdout == "1.0\n"
    assert ids(werf, git) == built


def test_the_docker_daemon_builds_the_same_project(werf: Werf, git: GitRepository, docker: services.Docker) -> None:
    del werf.env["WERF_BUILDAH_MODE"]
    werf.env.update(DOCKER_HOST=docker.host, WERF_BACKEND_NETWORK="host")
    git.write({"app/src/x.tmp": "ignored", "notes": "not committed, and not taken"})
    first = ids(werf, git)
    assert list(first) == ["shop:base", "shop:web", "shop:worker"]
    assert docker.run("image", "inspect", "-f", "{{.Id}}", "shop:web").stdout.strip() == first["shop:web"]
    shown = docker.run("run", "--rm", "--network", "none", "shop:web", "sh", "-c", "cat /base /version /size; ls /src")
    assert shown.stdout.split() == ["base", "1.0", "11", "main", "run.sh"]
    assert ids(werf, git) == first
    git.write({"app/src/main": "two\n"})
    assert werf.run("build", cwd=git.path, check=False).returncode == 1
    assert ids(werf, git, "--dev")["shop:web"] != first["shop:web"]
    changed = docker.run("run", "--rm", "--network", "none", "shop:web", "cat", "/src/main")
    assert changed.stdout == "two\n"


def test_an_ordinary_user_builds_a_project(busybox: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="pywerf-project-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        with user(folder, f"pywp{os.getpid()}", subids=True) as one:
            repository = GitRepository(one.home / "shop")
            repository.commit({"werf.yaml": WERF_YAML % busybox, **FILES})
            machine.run("chown", "-R", one.name, repository.path)
            env = {"WERF_BUILDAH_MODE": "auto"}
            built = one.werf("build", "--dir", repository.path, env=env).stdout
            assert [line.split()[0] for line in built.splitlines()] == ["shop:base", "shop:web", "shop:worker"]
            assert one.werf("build", "--dir", repository.path, env=env).stdout == built
            repository.write({"app/src/main": "two\n"})
            changed = one.werf("build", "--dev", "--dir", repository.path, "web", env=env).stdout
            assert changed.splitlines()[1] not in built
    finally:
        machine.run("rm", "-rf", folder)
