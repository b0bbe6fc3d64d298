"""`werf build` of real projects with the embedded engine: git in, images out."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from pywerf.source.git_memory import SETTLED_NS
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


def built(werf: Werf, git: GitRepository, *argv: str) -> dict[str, str]:
    """The printed references by the images' names."""
    return references(werf.run("build", *argv, cwd=git.path).stdout)


def references(printed: str) -> dict[str, str]:
    return {line.split()[0]: line.split()[1] for line in printed.splitlines()}


def cat(werf: Werf, image: str, path: str) -> str:
    return werf.run("run", image, "--", "cat", path).stdout


def inspected(werf: Werf, image: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(werf.run("buildah", "inspect", "--type", "image", image).stdout)["OCIv1"]
    return config


def test_images_are_built_from_the_commit(werf: Werf, git: GitRepository) -> None:
    first = built(werf, git)
    assert list(first) == ["base", "web", "worker"]
    assert first["web"] == first["worker"]
    web = first["web"]
    assert re.fullmatch(r"shop:[0-9a-f]{56}-[0-9]{13}", web)
    assert cat(werf, web, "/src/main") == "one\n"
    assert cat(werf, web, "/base") == "base\n"
    assert cat(werf, web, "/version") == "1.0\n"
    assert cat(werf, web, "/size").strip() == str(len("very secret"))
    config = inspected(werf, web)
    labels = config["config"]["Labels"]
    assert labels["werf"] == "shop"
    assert labels["werf-project-repo-commit"] == machine.run("git", "rev-parse", "HEAD", cwd=git.path).stdout.strip()
    assert first["base"].endswith(next(value for key, value in labels.items() if "dependency-stage-id" in key))
    assert "very secret" not in json.dumps(config)


def test_what_does_not_change_an_image_does_not_build_it(werf: Werf, git: GitRepository) -> None:
    first = built(werf, git)
    assert built(werf, git) == first
    git.commit({"README": "x", "app/src/x.tmp": "ignored", "other/file": "x"})
    told = werf.run("build", cwd=git.path)
    assert references(told.stdout) == first
    assert "Use previously built image for web/dockerfile" in told.stderr
    assert "Building stage" not in told.stderr
    git.commit({"app/src/main": "two\n"})
    second = built(werf, git)
    assert second["base"] == first["base"]
    assert second["web"] != first["web"]
    assert cat(werf, second["web"], "/src/main") == "two\n"


def test_changes_are_refused_and_built_with_dev(werf: Werf, git: GitRepository) -> None:
    git.write({"app/src/main": "three\n", "app/src/new": "n\n"})
    failed = werf.run("build", "web", cwd=git.path, check=False)
    assert failed.returncode == 1
    assert "app/src/main (changed since the commit)" in failed.stderr
    assert "app/src/new (not committed yet)" in failed.stderr
    images = built(werf, git, "--dev", "web")
    assert list(images) == ["base", "web"]
    assert cat(werf, images["web"], "/src/main") == "three\n"
    assert cat(werf, images["web"], "/src/new") == "n\n"


def test_errors_name_the_image_and_its_line(werf: Werf, git: GitRepository) -> None:
    git.commit({"app/Dockerfile": "ARG BASE\nFROM ${BASE}\nRUN exit 7\n"})
    failed = werf.run("build", "worker", cwd=git.path, check=False)
    assert failed.returncode == 1
    assert "image worker, stage dockerfile: " in failed.stderr
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
        first = next(line for line in lines if line.startswith(b"base "))
        next(line for line in lines if b"waiting for new commits" in line)
        git.commit({"base.Dockerfile": FILES["base.Dockerfile"].replace("echo base", "echo other")})
        second = next(line for line in lines if line.startswith(b"base "))
        assert second != first
    finally:
        process.terminate()
        process.wait(60)
        process.stdout.close()
    assert cat(werf, second.split()[1].decode(), "/base") == "other\n"


def test_image_spec_changes_the_config_and_no_layer(werf: Werf, git: GitRepository) -> None:
    plain = built(werf, git)
    spec = (
        "imageSpec:\n  author: me\n  config: {env: {ADDED: '$PATH'}, labels: {who: '%image%'}, cmd: [cat, /version]}\n"
    )
    git.commit({"werf.yaml": (git.path / "werf.yaml").read_text() + spec})
    changed = built(werf, git)
    assert changed["base"] == plain["base"]
    assert changed["web"] != changed["worker"]
    config, before = inspected(werf, changed["web"]), inspected(werf, plain["web"])
    assert config["author"] == "me"
    assert config["rootfs"] == before["rootfs"]
    assert config["config"]["Labels"]["who"] == "web"
    assert config["config"]["Labels"]["werf.io/parent-stage-id"] == plain["web"].removeprefix("shop:")
    assert config["config"]["Cmd"] == ["cat", "/version"]
    assert werf.run("run", changed["worker"]).stdout == "1.0\n"
    assert built(werf, git) == changed


def test_the_docker_daemon_builds_the_same_project(werf: Werf, git: GitRepository, docker: services.Docker) -> None:
    del werf.env["WERF_BUILDAH_MODE"]
    werf.env.update(DOCKER_HOST=docker.host, WERF_BACKEND_NETWORK="host")
    git.write({"app/src/x.tmp": "ignored", "notes": "not committed, and not taken"})
    first = built(werf, git)
    assert list(first) == ["base", "web", "worker"]
    web = first["web"]
    assert docker.run("image", "inspect", "-f", '{{index .Config.Labels "werf"}}', web).stdout.strip() == "shop"
    shown = docker.run("run", "--rm", "--network", "none", web, "sh", "-c", "cat /base /version /size; ls /src")
    assert shown.stdout.split() == ["base", "1.0", "11", "main", "run.sh"]
    assert built(werf, git) == first
    git.write({"app/src/main": "two\n"})
    assert werf.run("build", cwd=git.path, check=False).returncode == 1
    second = built(werf, git, "--dev")
    assert second["web"] != web
    changed = docker.run("run", "--rm", "--network", "none", second["web"], "cat", "/src/main")
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
            printed = one.werf("build", "--dir", repository.path, env=env).stdout
            assert list(references(printed)) == ["base", "web", "worker"]
            assert one.werf("build", "--dir", repository.path, env=env).stdout == printed
            repository.write({"app/src/main": "two\n"})
            changed = one.werf("build", "--dev", "--dir", repository.path, "web", env=env).stdout
            assert changed.splitlines()[1] not in printed
    finally:
        machine.run("rm", "-rf", folder)


def test_a_build_without_changes_loads_no_more_than_it_needs(werf: Werf, git: GitRepository) -> None:
    built(werf, git)
    time.sleep(2 * SETTLED_NS / 1e9)  # the files of the work tree have to be old enough to be trusted
    built(werf, git)
    argv = [sys.executable, "-X", "importtime", "-m", "pywerf", "build"]
    told = machine.run(*argv, env=werf.env, cwd=git.path).stderr
    loaded = {line.rpartition("|")[2].strip() for line in told.splitlines() if line.startswith("import time:")}
    assert "pywerf.build.project.building" in loaded
    assert not loaded & {"click", "pygit2", "rich", "ssl", "urllib3", "subprocess", "pywerf.registry.access"}
