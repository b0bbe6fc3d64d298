"""`werf config render|list|graph` as users call them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pywerf.cli.main import run
from support.git_repository import GitRepository

WERF_YAML = (
    "project: shop\nconfigVersion: 1\n---\nimage: base\ndockerfile: D\nfinal: false\n---\nimage: web\ndockerfile: D\n"
    "target: {{ .Env }}\ndependencies: [{image: base}]\n"
)


HINT = (
    "Hint: known here are addHost, args, cacheVersion, context, contextAddFile, contextAddFiles, dependencies, "
    "dockerfile, final, image, imageSpec, network, platform, secrets, ssh, staged, target"
)


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepository:
    repository = GitRepository(tmp_path / "work")
    repository.commit({"werf.yaml": WERF_YAML})
    monkeypatch.chdir(repository.path)
    return repository


@pytest.mark.parametrize(
    ("args", "printed"),
    [
        (["list"], "base\nweb\n"),
        (["list", "--final-images-only"], "web\n"),
        (["graph"], "- image: base\n- image: web\n  dependsOn:\n    dependencies:\n    - base\n"),
        (["render", "base"], "image: base\ndockerfile: D\nfinal: false\n"),
        (["render", "--env", "prod"], WERF_YAML.replace("{{ .Env }}", "prod")),
    ],
)
def test_stdout_has_the_result_alone(
    git: GitRepository, args: list[str], printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", *args]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (printed, "")


def test_the_project_directory_is_told_with_the_time(git: GitRepository, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "render", "base", "--debug-templates", "--log-project-dir", "--log-time"]) == 0
    told = capsys.readouterr().err
    assert told.endswith(f" project directory: {git.path}\n")
    assert told.partition("T")[0].count("-") == 2
    assert run(["config", "render", "base", "--log-project-dir"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["render", "nope"], 2, 'no image matches "nope"'),
        (["list", "--config", "other.yaml"], 1, "other.yaml is not in the commit"),
        (["list", "--dir", "/proc"], 1, "is not in a git work tree"),
    ],
)
def test_errors_have_their_codes(
    git: GitRepository, args: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["config", *args]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told in captured.err


def test_an_error_in_werf_yaml_shows_its_line(git: GitRepository, capsys: pytest.CaptureFixture[str]) -> None:
    git.commit({"werf.yaml": WERF_YAML.replace("target: {{ .Env }}\n", "") + "targets: x\n"})
    assert run(["config", "list"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "Error: werf.yaml:11: unknown key image web.targets (did you mean target?)",
        "",
        "  11 | targets: x",
        "     | ^^^^^^^",
        "",
        HINT,
    ]


def test_variables_are_flags(
    git: GitRepository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WERF_ENV", "stage")
    assert run(["config", "render", "web"]) == 0
    assert "target: stage" in capsys.readouterr().out
