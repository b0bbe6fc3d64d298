"""Caches in the home directory, and temporary files that were left over."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from pywerf.build.host.files import RemovedFiles, purge_home, remove_temporary, shrink_cache
from pywerf.build.limits import VolumeLimit
from pywerf.build.project.memo import FileMemo
from pywerf.source.git import GitRepository as GitMirror
from support.git_repository import GitRepository

HOUR = 3600.0
FULL = VolumeLimit(0, 0)


def age(path: Path, hours: float) -> None:
    then = time.time() - hours * HOUR
    os.utime(path, (then, then), follow_symlinks=False)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with entries of a cache that were used 1, 5 and 9 hours ago, and what is no cache."""
    memo = FileMemo(str(tmp_path / "home"), "stages/1")
    for number in (1, 5, 9):
        before = set((tmp_path / "home").rglob("*"))
        memo.put(str(number), b"x" * 5000)
        (new,) = [path for path in (tmp_path / "home").rglob("*") if path not in before and path.is_file()]
        age(new, number)
    (tmp_path / "home" / "locks").mkdir()
    (tmp_path / "home" / "locks" / "held").write_text("")
    age(tmp_path / "home" / "locks" / "held", 100)
    return tmp_path / "home"


def there(home: Path) -> list[bool]:
    memo = FileMemo(str(home), "stages/1")
    return [memo.get(str(number)) is not None for number in (1, 5, 9)]


def test_a_cache_on_a_volume_with_room_stays(home: Path) -> None:
    assert shrink_cache(str(home), VolumeLimit(100, 0)) == RemovedFiles()
    assert there(home) == [True, True, True]


def test_what_was_used_longest_ago_goes_but_not_the_latest(home: Path) -> None:
    assert shrink_cache(str(home), FULL, dry_run=True).count == 2
    assert shrink_cache(str(home), FULL).count == 2
    assert there(home) == [True, False, False]
    assert (home / "locks" / "held").exists()


def test_what_was_looked_at_counts_as_used(home: Path) -> None:
    assert there(home) == [True, True, True]
    assert shrink_cache(str(home), FULL).count == 0


def test_copies_of_git_repositories_go_as_a_whole_unless_they_are_fetched_into(tmp_path: Path) -> None:
    home = tmp_path / "home"
    git = GitRepository(tmp_path / "origin")
    git.commit({"file": "x"})
    mirrors = [mirror_of(git, home, name) for name in ("old", "busy", "new")]
    for mirror in mirrors[:2]:
        age(Path(mirror), 5)
    with open(f"{mirrors[1]}.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert shrink_cache(str(home), FULL).count == 1
        assert [os.path.isdir(mirror) for mirror in mirrors] == [False, True, True]
        assert purge_home(str(home)).count == 1
    assert [os.path.isdir(mirror) for mirror in mirrors] == [False, True, False]
    mirror_of(git, home, "old")


def mirror_of(git: GitRepository, home: Path, name: str) -> str:
    """A copy of a repository under another name."""
    link = git.path.parent / name
    if not link.exists():
        link.symlink_to(git.path)
    mirror = GitMirror(f"file://{link}", str(home / "git-mirrors"))
    mirror.fetch()
    return mirror.path


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    assert shrink_cache(str(tmp_path / "nowhere"), FULL) == RemovedFiles()
    assert purge_home(str(tmp_path / "nowhere")) == RemovedFiles()


def test_a_purge_takes_the_caches_alone(home: Path) -> None:
    assert purge_home(str(home), dry_run=True).count == 1
    assert there(home) == [True, True, True]
    assert purge_home(str(home)).count == 1
    assert sorted(path.name for path in home.iterdir()) == ["locks"]


def test_temporary_files_of_ours_go_when_they_are_old(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    folder = tmp_path / "tmp"
    folder.mkdir()
    for name, hours in (
        ("werf-docker-config-old", 7),
        ("werf-docker-config-new", 5),
        ("pywerf-bundle-old", 7),
        ("others", 7),
    ):
        (folder / name).mkdir()
        (folder / name / "link").symlink_to(outside)
        age(folder / name, hours)
    (folder / "werf-ci-env-old.sh").write_text("secret")
    age(folder / "werf-ci-env-old.sh", 7)
    (folder / "werf-docker-config-link").symlink_to(outside)
    age(folder / "werf-docker-config-link", 7)
    assert remove_temporary(str(folder), dry_run=True).count == 4
    assert remove_temporary(str(folder)).count == 4
    assert sorted(path.name for path in folder.iterdir()) == ["others", "werf-docker-config-new"]
    assert (outside / "precious").exists()
    assert remove_temporary(str(folder), age=0).count == 1
    assert remove_temporary(str(tmp_path / "nowhere")) == RemovedFiles()
