"""Two repositories of the project `shop` in a fake registry, and copies between them and archives."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from pywerf.build.project.repos import RepoOptions, Repos
from pywerf.build.project.storage.open import open_registry_storage
from pywerf.build.stages.archive import ArchiveOrigin, ArchiveTarget
from pywerf.build.stages.contents import Contents, all_contents
from pywerf.build.stages.copy import Copied, copy_stages
from pywerf.build.stages.places import RepositoryOrigin, RepositoryTarget
from pywerf.registry.access import RegistryAccess
from support.fake_registry import FakeRegistry
from support.registry_fixtures import fake_registry, make_access
from support.stage_shelf import Shelf

__all__ = ["Copying", "a", "b", "copying", "fake_registry", "make_access", "make_shelf"]


class Told:
    """A reporter that notes what it is told."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.steps: dict[int, list[str]] = {}

    def message(self, level: str, text: str) -> None:
        self.messages.append((level, text))

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        self.steps[step] = [name]

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        self.steps[step].append(f"{current}/{total}")

    def step_finished(self, step: int, state: str, *, error: str = "") -> None:
        self.steps[step].append(state)

    @property
    def warnings(self) -> list[str]:
        return [text for level, text in self.messages if level == "warning"]


@pytest.fixture
def make_shelf(
    fake_registry: FakeRegistry, make_access: Callable[..., RegistryAccess], tmp_path: Path
) -> Callable[[str], Shelf]:
    def make(name: str) -> Shelf:
        home = str(tmp_path / "home")
        return Shelf(open_registry_storage(f"{fake_registry.host}/{name}", make_access(), home=home))

    return make


@pytest.fixture
def a(make_shelf: Callable[[str], Shelf]) -> Shelf:
    """A repository to copy from."""
    return make_shelf("a")


@pytest.fixture
def b(make_shelf: Callable[[str], Shelf]) -> Shelf:
    """A repository to copy to."""
    return make_shelf("b")


class Copying:
    """The ways to copy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told = Told()
        self.reporter: Any = self.told  # what copies tell is all of a Reporter that it has

    @contextlib.contextmanager
    def target(self, shelf: Shelf) -> Iterator[RepositoryTarget]:
        options = RepoOptions(repo=shelf.storage.address, home=str(self.folder / "home"))
        access = cast("Callable[[], RegistryAccess]", lambda: shelf.storage.repository.access)
        with Repos(shelf.storage, project="shop", options=options, access=access, reporter=self.reporter) as repos:
            yield RepositoryTarget(shelf.storage, repos, self.reporter)

    def across(self, origin: Shelf, to: Shelf, contents: Contents | None = None, **options: Any) -> Copied:
        """From one repository to another, all that there is unless it is said."""
        contents = contents or all_contents(origin.storage, "shop", jobs=4)
        with self.target(to) as target:
            return self.copied(contents, RepositoryOrigin(origin.storage), target, **options)

    def pack(self, origin: Shelf, name: str = "stages.tar") -> Path:
        """To an archive."""
        contents = all_contents(origin.storage, "shop", jobs=4)
        path = self.folder / name
        self.copied(contents, RepositoryOrigin(origin.storage), ArchiveTarget(str(path)))
        return path

    def unpack(self, path: Path, to: Shelf) -> Copied:
        """From an archive."""
        with contextlib.closing(ArchiveOrigin(str(path))) as origin, self.target(to) as target:
            return self.copied(origin.contents, origin, target)

    def copied(self, contents: Contents, origin: Any, target: Any, jobs: int = 4, may_vanish: bool = False) -> Copied:
        return copy_stages(contents, origin, target, self.reporter, jobs=jobs, may_vanish=may_vanish)


@pytest.fixture
def copying(tmp_path: Path) -> Copying:
    return Copying(tmp_path)
