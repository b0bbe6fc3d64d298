"""`werf compose` as far as it goes without a daemon: what is called, with which variables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.git_repository import GitRepository

Werf = Callable[..., Any]

DOCKER = """\
#!/bin/sh
case "$*" in
*version) ;;
*config\\ --no-interpolate) echo 'image: $WERF_WEB_DOCKER_IMAGE_NAME ${WERF_LOST_DOCKER_IMAGE_NAME}' ;;
*) echo "$* with $WERF_WEB_DOCKER_IMAGE_NAME, $WERF_JOB_DOCKER_IMAGE_NAME" >> calls; exit 5 ;;
esac
"""
CONFIG = """\
project: shop
configVersion: 1
---
image: [web, job, w-eb, w/eb]
dockerfile: Dockerfile
---
image: base
final: false
dockerfile: Dockerfile
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepository:
    """A project, and a docker whose compose uses the image web and one that is not there."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "docker").write_text(DOCKER)
    (programs / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    repository = GitRepository(tmp_path / "shop")
    repository.commit({"werf.yaml": CONFIG, "Dockerfile": "FROM scratch\n"})
    monkeypatch.chdir(repository.path)
    return repository


def test_stubs_of_what_the_file_uses(werf: Werf, project: GitRepository) -> None:
    done = werf("compose", "up", "--stub-tags", "--dry-run", "--docker-compose-options=-p x", "--", "web")
    assert done.out == "export WERF_WEB_DOCKER_IMAGE_NAME=STUB:TAG\ndocker compose -p x up -- web\n"
    assert "the compose file uses WERF_LOST_DOCKER_IMAGE_NAME, which is the variable of no image" in done.err
    assert werf("compose", "down").code == 5
    assert (project.path / "calls").read_text() == "compose down with STUB:TAG, \n"


def test_a_variable_that_the_user_has_set_is_no_mistake(
    werf: Werf, project: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WERF_LOST_DOCKER_IMAGE_NAME", "r/lost:1")
    assert "LOST" not in werf("compose", "down", "--dry-run").err


def test_images_that_are_named(werf: Werf, project: GitRepository) -> None:
    stubs = ("compose", "config", "--stub-tags", "--dry-run")
    assert werf(*stubs, "j*", "base").out.splitlines() == [
        *(f"export WERF_{name}_DOCKER_IMAGE_NAME=STUB:TAG" for name in ("JOB", "BASE")),
        "docker compose config",
    ]
    assert werf(*stubs, "base", "--final-images-only").code == 2
    same = werf(*stubs, "w-eb", "w/eb")
    assert same.code == 2
    assert "w-eb and w/eb have the same variable" in same.err


def test_without_images(werf: Werf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no project is needed
    words = ("--without-images", "--dry-run", "--docker-compose-bin-path=compose")
    assert werf("compose", "run", *words, "--", "web", "a b").out == "compose run -- web 'a b'\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run",), "no service to run"),
        (("run", "web"), "no service to run"),
        (("config", "--", "web"), "unexpected argument web: werf compose config takes images only"),
        (("down", "--", "web"), "unexpected argument web"),
        (("up", "--follow"), "--follow needs services in the background"),
        (("down", "--follow"), "unknown flag: --follow"),
        (("up", "--docker-compose-options", "'"), "--docker-compose-options ': no closing quotation"),
        (("up", "--buildah-mode", "native-chroot"), "needs the Docker daemon to build, not the embedded engine"),
        (("up", "--use-build-report", "--stub-tags"), "--use-build-report needs --build-report-path"),
    ],
)
def test_wrong_usage(werf: Werf, project: GitRepository, words: tuple[str, ...], said: str) -> None:
    done = werf("compose", *words)
    assert done.code == 2
    assert said in done.err


def test_no_daemon(werf: Werf, project: GitRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    done = werf("compose", "up")
    assert done.code == 1
    assert "werf compose needs Docker: " in done.err
    assert "WERF_BUILDAH_MODE" not in done.err
