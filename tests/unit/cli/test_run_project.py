"""`werf run`: which of its two forms is meant, and what the container's options come to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.cli.run_follow import container_name
from pywerf.cli.run_project import docker_words
from pywerf.errors import UsageError

Werf = Callable[..., Any]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder has a werf.yaml; it is in no git repository, which ends a command that wants the project."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "werf.yaml").write_text("project: shop\nconfigVersion: 1\n")
    monkeypatch.chdir(folder)
    return folder


def test_outside_of_a_project_it_is_an_image_of_the_store(
    werf: Werf, session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert werf("run", "app", "ls", "-l", "--color").code == 0
    assert session.calls[-1][:2] == ("run", ("app", ("ls", "-l", "--color")))
    assert werf("run", "-e", "A=1", "app", "--", "sh", "-c", "x").code == 0
    assert session.calls[-1][:2] == ("run", ("app", ("sh", "-c", "x")))


@pytest.mark.parametrize("image", ["app:1", "r.io/app:1", "app@sha256:" + "a" * 64])
def test_with_a_tag_or_digest_it_is_an_image_of_the_store(werf: Werf, session: Any, project: Path, image: str) -> None:
    assert werf("run", image, "id").code == 0
    assert session.calls[-1][:2] == ("run", (image, ("id",)))


@pytest.mark.parametrize("words", [("app",), ("r.io:5000/app",), (), ("app", "--", "id"), ("--", "id"), ("app", "-i")])
def test_in_the_folder_of_a_project_it_is_the_projects(
    werf: Werf, session: Any, project: Path, words: tuple[str, ...]
) -> None:
    done = werf("run", *words)
    assert done.code == 1
    assert "git" in done.err
    assert session.calls == []


@pytest.mark.parametrize("words", [("--dir", "{}", "app"), ("app", "--dir", "{}"), ("app", "--dir={}")])
def test_the_folder_may_be_named(
    werf: Werf, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = werf("run", *(word.format(project) for word in words))
    assert done.code == 1
    assert "git" in done.err


def test_a_command_of_a_project_needs_two_dashes(werf: Werf, project: Path) -> None:
    done = werf("run", "app", "ls")
    assert done.code == 2
    assert "unexpected argument ls" in done.err
    assert "--" in done.err


def test_flags_of_projects_are_refused_elsewhere(werf: Werf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "--shell is for images of a project" in werf("run", "--shell", "app").err
    assert werf("run").code == 2


@pytest.mark.parametrize(("port", "code"), [("80:80", 0), ("127.0.0.1:80:80/tcp", 0), ("8080:80", 2), ("80", 2)])
def test_ports_are_those_of_the_host(
    werf: Werf, port: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert werf("run", "-p", port, "app").code == code


def test_docker_options() -> None:
    assert docker_words("", (), shell=False, bash=False) == ["--rm"]
    assert docker_words("-e 'A=b c' -v /x:/y", ("id",), shell=False, bash=False) == ["-e", "A=b c", "-v", "/x:/y"]
    assert docker_words("", (), shell=True, bash=False) == ["-ti", "--rm", "--entrypoint=/bin/sh"]
    assert docker_words("", (), shell=False, bash=True) == ["-ti", "--rm", "--entrypoint=/bin/bash"]


@pytest.mark.parametrize(
    ("text", "command", "shell", "bash", "said"),
    [
        ("'", (), False, False, "no closing quotation"),
        ("", (), True, True, "--shell and --bash"),
        ("--rm", (), True, False, "--shell and --docker-options"),
        ("", ("id",), False, True, "--bash and a command"),
    ],
)
def test_docker_options_that_do_not_go_together(
    text: str, command: tuple[str, ...], shell: bool, bash: bool, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        docker_words(text, command, shell=shell, bash=bash)


def test_what_follows_commits_has_a_name() -> None:
    assert container_name(["-d", "--name", "app"]) == "app"
    assert container_name(["--detach", "--name=app", "--rm"]) == "app"
    for options in (["--rm"], ["-d"], ["--name", "app"]):
        with pytest.raises(UsageError, match="-d and --name"):
            container_name(options)
