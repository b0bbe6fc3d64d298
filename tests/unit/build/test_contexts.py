"""Names of contexts, and Dockerfiles in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pywerf.build.contexts import Contexts, context_name, parse_named
from pywerf.errors import ContextError, UsageError
from pywerf.graph.op import ContextOp
from pywerf.store.store import Store


@pytest.mark.parametrize(
    "written",
    ["alpine", "alpine:latest", "library/alpine", "docker.io/library/alpine:latest", "docker.io/alpine", "Alpine"],
)
def test_names_of_one_image_are_one_name(written: str) -> None:
    assert context_name(written) == "alpine"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("alpine:3.20", "alpine:3.20"),
        ("ghcr.io/a/b", "ghcr.io/a/b"),
        ("a/b:latest", "a/b"),
        ("my stage", "my stage"),
        ("_odd", "_odd"),
    ],
)
def test_other_names(written: str, name: str) -> None:
    assert context_name(written) == name


def test_flags() -> None:
    assert parse_named((("Docker.io/library/x:latest", "dir"), ("y", "z"))) == {"x": "dir", "y": "z"}
    with pytest.raises(UsageError):
        parse_named((("x", ""),))


Open = Callable[..., Contexts]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    with Store.open(str(tmp_path / "store")) as store, ExitStack() as stack:
        yield lambda main, named=(), ignorefile="": Contexts(store, stack, str(main), parse_named(named), ignorefile)


def test_the_containerfile_comes_first(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM d")
    assert opened(tmp_path).dockerfiles(()) == (b"FROM d", "Dockerfile")
    (tmp_path / "Containerfile").write_text("FROM c")
    assert opened(tmp_path).dockerfiles(()) == (b"FROM c", "Containerfile")


def test_several_dockerfiles_are_joined(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("FROM 1\n")
    (tmp_path / "two").write_text("RUN 2\n")
    data, name = opened(tmp_path).dockerfiles(("one", str(tmp_path / "two")))
    assert (data, name) == (b"FROM 1\n\nRUN 2\n", "one")


def test_no_dockerfile(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="no Containerfile or Dockerfile"):
        opened(tmp_path).dockerfiles(())
    with pytest.raises(ContextError, match="no such Dockerfile"):
        opened(tmp_path).dockerfiles(("missing",))


def test_contexts_leave_out_what_their_ignore_files_say(opened: Open, tmp_path: Path) -> None:
    for name in ("main", "named"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "kept").touch()
        (folder / "left-out").touch()
        (folder / ".dockerignore").write_text("left-*\n")
    contexts = opened(tmp_path / "main", (("lib", str(tmp_path / "named")),))
    for op in (ContextOp(""), ContextOp("lib")):
        assert [node.name for node in contexts.open(op).tree.scandir("")] == [".dockerignore", "kept"]
    assert contexts.open(ContextOp("lib")) is contexts.open(ContextOp("lib"))


def test_without_a_context_there_are_no_files(opened: Open) -> None:
    assert opened("").open(ContextOp("")).tree.scandir("") == []


def test_ignored_paths_are_known_where_a_path_alone_tells(opened: Open, tmp_path: Path) -> None:
    assert opened(tmp_path).ignored_paths("") is None
    (tmp_path / ".dockerignore").write_text("*.md\n")
    ignored = opened(tmp_path).ignored_paths("")
    assert ignored is not None
    assert ignored("a.md")
    assert not ignored("a.txt")
    (tmp_path / ".dockerignore").write_text("*\n!a\n")
    assert opened(tmp_path).ignored_paths("") is None


def test_folders_have_no_time_of_their_own(opened: Open, tmp_path: Path) -> None:
    assert opened(tmp_path).modified(ContextOp("")) is None
