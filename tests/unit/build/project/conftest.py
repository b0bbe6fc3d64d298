"""Projects in temporary repositories, opened with a reporter that keeps what it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pywerf.build.project.options import ProjectOptions
from pywerf.build.project.project import Project, open_project
from support.git_repository import GitRepository

WERF_YAML = "project: shop\nconfigVersion: 1\n---\nimage: web\ndockerfile: Dockerfile\n"


class Told:
    """A reporter that notes messages."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []

    def message(self, kind: str, text: str) -> None:
        self.messages.append((kind, text))


@pytest.fixture
def git(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "work")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def opened(git: GitRepository, told: Told) -> Callable[..., Project]:
    """Opens the project in the repository, or in a directory of it, with options."""

    def open_it(directory: str = "", **options: Any) -> Project:
        chosen = ProjectOptions(dir=str(git.path / directory), **options)
        return open_project(chosen, told)  # type: ignore[arg-type]  # as much of a Reporter as is used

    return open_it
