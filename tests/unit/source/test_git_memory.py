"""The memory of a work tree: it says what git would say, or nothing; whatever is done to the work tree."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from pywerf.source import git_looking
from pywerf.source.git_memory import SETTLED_NS, GitMemory
from pywerf.source.git_place import find_place
from pywerf.source.git_project import Change, GitProject
from support.examples import examples
from support.git_repository import GitRepository

LATER = 10 * SETTLED_NS


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without configuration, who gets along without waiting: see `Looked`."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return home


class Looked(GitProject):
    """A project whose memory believes that it is ten seconds later, so that all files are old enough."""

    def __init__(self, path: Path, memory: Path, later: int = LATER) -> None:
        super().__init__(str(path), memory=str(memory))
        assert self.place is not None
        self._memory = GitMemory(str(memory), self.root, self.place, now=lambda: time.time_ns() + later)
        self.asked = False

    def _ask(self) -> tuple[tuple[Change, ...], list[str]]:
        self.asked = True
        return super()._ask()


@pytest.fixture
def git(tmp_path: Path) -> GitRepository:
    git = GitRepository(tmp_path / "work")
    git.commit({"a": "1", "d/b": "2", "d/e/c": "3", ".gitignore": "*.o\nout/\n", "link": "->a"})
    return git


@pytest.fixture
def look(git: GitRepository, tmp_path: Path) -> Callable[[], Looked]:
    def look() -> Looked:
        project = Looked(git.path, tmp_path / "memory")
        project.look()
        project.changes()
        return project

    return look


def test_what_looks_the_same_is_not_asked_again(look: Callable[[], Looked]) -> None:
    first, second = look(), look()
    assert (first.asked, second.asked) == (True, False)
    assert first.changes() == second.changes() == ()
    assert second._repo is None  # libgit2 was not even opened


def test_changes_are_remembered_too(git: GitRepository, look: Callable[[], Looked]) -> None:
    git.write({"a": "changed", "new": "x", "f.o": "ignored", "out/x/y": "ignored"})
    first, second = look(), look()
    assert (first.asked, second.asked) == (True, False)
    assert [(change.path, change.kind) for change in second.changes()] == [("a", "changed"), ("new", "untracked")]
    assert second.changes() == first.changes()


def test_what_is_young_is_not_remembered(git: GitRepository, tmp_path: Path) -> None:
    for _ in range(2):
        project = Looked(git.path, tmp_path / "memory", later=0)
        project.changes()
        assert project.asked
    assert not (tmp_path / "memory").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda top: (top / "d/b").write_text("4"),
        lambda top: os.utime(top / "a", ns=(1, 1)),
        lambda top: (top / "a").chmod(0o755),
        lambda top: (top / "d/e/c").unlink(),
        lambda top: (top / "d/new").write_text(""),
        lambda top: (top / "new").mkdir(),
        lambda top: ((top / "link").unlink(), (top / "link").symlink_to("b")),
        lambda top: ((top / "d").rename(top / "x"), (top / "d").symlink_to("x")),
        lambda top: ((top / "f.o").unlink(), (top / "f.o").mkdir()),
        lambda top: ((top / "a").rename(top / "b"), (top / "d/b").rename(top / "a")),
        lambda top: (top / ".git/info/exclude").write_text("*.x\n"),
        lambda top: (top.parent / "home/.gitconfig").write_text("[core]\nfileMode = false\n"),
        lambda top: ((top / "d/.git").mkdir(), (top / "d/.git/HEAD").write_text("x")),
    ],
)
def test_whatever_changes_is_seen(
    git: GitRepository, look: Callable[[], Looked], change: Callable[[Path], object]
) -> None:
    git.write({"f.o": "ignored"})
    assert look().asked
    assert not look().asked
    change(git.path)
    assert look().asked


def test_what_is_ignored_does_not_matter(git: GitRepository, look: Callable[[], Looked]) -> None:
    git.write({"f.o": "ignored", "out/x/y": "ignored"})
    look()
    git.write({"f.o": "something else", "out/x/z": "more"})
    assert not look().asked


def test_a_tracked_file_in_an_ignored_directory_matters(git: GitRepository, look: Callable[[], Looked]) -> None:
    git.write({"out/kept": "1"})
    git.repo.index.add("out/kept")
    git.repo.index.write()
    git.commit()
    look()
    assert not look().asked
    git.write({"out/kept": "2"})
    assert [change.path for change in look().changes()] == ["out/kept"]


def test_a_new_head_or_index_is_seen(git: GitRepository, look: Callable[[], Looked]) -> None:
    look()
    git.commit({"a": "2"})
    assert look().asked
    assert not look().asked
    git.write({"a": "3"})
    look()
    git.repo.index.add("a")
    git.repo.index.write()
    assert look().asked


def test_a_submodule_is_looked_into(git: GitRepository, look: Callable[[], Looked], tmp_path: Path) -> None:
    other = GitRepository(tmp_path / "other")
    other.commit({"f": "1"})
    git.add_submodule(other, "sub")
    git.commit()
    look()
    again = look()
    assert not again.asked
    assert again.changes() == ()
    (git.path / "sub/f").write_text("2")
    assert [(change.path, change.kind) for change in look().changes()] == [("sub", "dirty submodule")]


def test_another_users_configuration_is_another_question(
    look: Callable[[], Looked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert look().asked


def test_a_damaged_memory_is_none(git: GitRepository, look: Callable[[], Looked], tmp_path: Path) -> None:
    look()
    (file,) = (tmp_path / "memory").iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    assert look().asked
    assert not look().asked
    file.write_bytes(b"\x93")
    assert look().asked


SCRIPT = """
import sys, time
from pywerf.source.git_memory import GitMemory
from pywerf.source.git_place import find_place
memory = GitMemory(sys.argv[2], sys.argv[1], find_place(sys.argv[1]), now=lambda: time.time_ns() + 10**11, many=1)
memory.look()
head = find_place(sys.argv[1]).head()
print(len(memory._lookers._children) if memory._lookers else 0, memory.recall(head))
memory.remember(head, (), ignored=[], tracked=[], inputs=[])
"""


def test_many_files_are_looked_at_by_processes(git: GitRepository, tmp_path: Path) -> None:
    def run() -> str:
        words = [sys.executable, "-c", SCRIPT, str(git.path), str(tmp_path / "memory")]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    assert run() == "0 None"
    count = min(git_looking.MOST, len(os.sched_getaffinity(0)))
    assert run() == f"{count} ()"
    git.write({"d/e/c": "4"})
    assert run() == f"{count} None"
    assert run() == f"{count} ()"


UNASKED = """
import os, sys
from pywerf.source.git_looking import Folder, Lookers
before = os.listdir("/proc/self/fd")
lookers = Lookers(os.fsencode(sys.argv[1]), [Folder(b"", b"", b"", [], b"")] * 1000, many=0)
assert lookers._children
del lookers
assert os.listdir("/proc/self/fd") == before
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("alone")
"""


def test_a_look_that_nobody_asks_about_leaves_nothing_behind(git: GitRepository) -> None:
    words = [sys.executable, "-c", UNASKED, str(git.path)]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "alone\n"


NAMES = st.sampled_from(["a", "b", "d/b", "d/e/c", "n", "d/n", "x.o", "out/f", ".gitignore", "d/.gitignore"])
STEPS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.sampled_from(["1", "22", "*.o", "n", "!x.o"])),
    st.tuples(st.just("remove"), NAMES, st.just("")),
    st.tuples(st.just("add"), NAMES, st.just("")),
    st.tuples(st.just("commit"), st.just(""), st.just("")),
)


@examples(40, suppress=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=12))
def test_it_says_what_git_status_says(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("property")
    git = GitRepository(folder / "work")
    git.commit({"a": "1", "d/b": "2", "d/e/c": "3", ".gitignore": "*.o\nout/\n"})

    def run(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.quotePath=false"]
        return subprocess.run(["git", *who, "-C", str(git.path), *words], capture_output=True, text=True).stdout

    for what, name, text in [*steps, ("", "", "")]:
        place = git.path / name
        if what == "write":
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        elif what == "remove" and place.is_file():
            place.unlink()
        elif what == "add":
            run("add", "--force", "--", name)
        elif what == "commit":
            run("commit", "-q", "-m", "x", "--allow-empty")
        wanted = {line[3:] for line in run("status", "--porcelain", "--no-renames", "-uall").splitlines()}
        for _ in range(2):
            project = Looked(git.path, folder / "memory")
            assert {change.path for change in project.changes()} == wanted
        assert not project.asked


def test_a_place_that_is_no_repository_is_none(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("gitdir: elsewhere\n")
    assert find_place(str(tmp_path)) is None
