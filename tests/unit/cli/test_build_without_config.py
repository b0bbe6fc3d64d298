"""`werf build` where there is no werf.yaml: flags of projects are refused, not ignored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder has a Dockerfile and no werf.yaml."""
    made = tmp_path / "folder"
    made.mkdir()
    (made / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.chdir(made)
    return made


@pytest.mark.parametrize(
    "words",
    [
        ("--repo", "r.example.com/app"),
        ("--final-repo", "r.example.com/app"),
        ("--add-custom-tag", "v1"),
        ("--save-build-report",),
        ("--check-built-images",),
        ("--follow",),
        ("--dev",),
    ],
)
def test_flags_of_projects(werf: Callable[..., Any], words: tuple[str, ...]) -> None:
    done = werf("build", *words)
    assert done.code == 2
    assert f"{words[0]} is for projects with a werf.yaml" in done.err


def test_their_variables_count_as_well(werf: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WERF_REPO", "r.example.com/app")
    done = werf("build")
    assert done.code == 2
    assert "variable WERF_" in done.err
