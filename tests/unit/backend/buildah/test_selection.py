"""Which files a COPY takes."""

from __future__ import annotations

import pytest

from pywerf.backend.buildah.files import Files
from pywerf.backend.buildah.selection import content_of, select, shape_of
from pywerf.errors import BuildError
from pywerf.graph.op import CopyOp, Owner
from support.memory_tree import MemoryTree, directory, link

TREE = MemoryTree(
    {
        "a.txt": "a",
        "b.md": "b",
        "src/main.py": "1",
        "src/notes.md": "2",
        "src/deep/package.json": "3",
        "src/deep/deeper/x.md": "4",
        "lib/package.json": "5",
        "to-src": link("src"),
        "dangling": link("nowhere"),
        "empty": directory(),
    }
)


def _op(*sources: str, exclude: tuple[str, ...] = (), parents: bool = False, **fields: object) -> CopyOp:
    return CopyOp(sources=sources, dest="/", dest_is_dir=True, exclude=exclude, parents=parents, **fields)  # type: ignore[arg-type]


def _taken(op: CopyOp, tree: MemoryTree = TREE) -> list[str]:
    """Files as `source: path below it`, directories left out."""
    found = []
    for item in select(tree, op, "the build context"):
        if item.node.kind == "dir":
            found += [f"{item.written or '.'}: {path}" for path, node in item.entries(tree) if node.kind != "dir"]
        else:
            found.append(item.written)
    return found


def test_files_and_directories() -> None:
    assert _taken(_op("a.txt", "/src/deep/")) == ["a.txt", "src/deep: deeper/x.md", "src/deep: package.json"]


def test_nothing_leads_out_of_the_context() -> None:
    assert _taken(_op("../../a.txt")) == ["a.txt"]


def test_the_whole_context() -> None:
    (item,) = select(TREE, _op("."), "the build context")
    assert item.path == ""
    assert {path for path, _ in item.entries(TREE)} >= {"a.txt", "empty", "src/deep/deeper/x.md", "to-src"}


def test_links_as_sources_are_followed_and_keep_their_names() -> None:
    (item,) = select(TREE, _op("to-src/main.py"), "the build context")
    assert (item.path, item.name) == ("src/main.py", "main.py")
    assert _taken(_op("to-src")) == [
        "to-src: deep/deeper/x.md",
        "to-src: deep/package.json",
        "to-src: main.py",
        "to-src: notes.md",
    ]


@pytest.mark.parametrize("source", ["missing", "src/missing", "dangling", "a.txt/b"])
def test_a_missing_source_is_named(source: str) -> None:
    with pytest.raises(BuildError, match=f'"/{source}": not found in the build context') as caught:
        select(TREE, _op(source), "the build context")
    assert caught.value.hint is not None


@pytest.mark.parametrize("source", ["dangling", "d*ng", "to-src/../dangling"])
def test_a_link_to_nowhere_is_named(source: str) -> None:
    with pytest.raises(BuildError, match=r'"/dangling": not found in here$') as caught:
        select(TREE, _op(source), "here")
    assert caught.value.hint == "/dangling is a symlink, and what it leads to, /nowhere, is not there"


def test_wildcards() -> None:
    assert _taken(_op("*.*")) == ["a.txt", "b.md"]
    assert _taken(_op("src/*.py")) == ["src/main.py"]
    assert _taken(_op("*/package.json")) == ["lib/package.json"]
    assert _taken(_op("[ab].*")) == ["a.txt", "b.md"]


@pytest.mark.parametrize(
    ("source", "near"),
    [
        ("a.txd", "/a.txt"),
        ("SRC/main.py", "/src/main.py"),
        ("src/main.pi", "/src/main.py"),
        ("scr/deep/x", "/src/deep/x"),
        ("to-src/maim.py", "/to-src/main.py"),
        ("zzzzz", ""),
        ("a.txt/b", ""),
    ],
)
@pytest.mark.parametrize("parents", [False, True])
def test_a_source_that_is_nearly_there(source: str, near: str, parents: bool) -> None:
    with pytest.raises(BuildError, match=f'"/{source}": not found in here') as caught:
        select(TREE, _op(source, parents=parents), "here")
    assert caught.value.message.partition(" (")[2] == (f"did you mean {near}?)" if near else "")


def test_a_wildcard_may_match_nothing() -> None:
    assert _taken(_op("*.none", "a.txt")) == ["a.txt"]


def test_exclude_counts_from_the_source_on() -> None:
    assert _taken(_op("src", exclude=("**/*.md",))) == ["src: deep/package.json", "src: main.py"]
    assert _taken(_op("src", exclude=("deep",))) == ["src: main.py", "src: notes.md"]
    assert _taken(_op("*.*", exclude=("*.md",))) == ["a.txt"]


def test_exclude_with_an_exception_keeps_the_way_to_it() -> None:
    op = _op("src", exclude=("deep", "!deep/deeper"))
    (item,) = select(TREE, op, "the build context")
    assert [path for path, _ in item.entries(TREE)] == [
        "deep",
        "deep/deeper",
        "deep/deeper/x.md",
        "main.py",
        "notes.md",
    ]


def test_parents_keep_the_path() -> None:
    op = _op("src/deep/package.json", "lib", parents=True)
    (item,) = select(TREE, op, "the build context")
    assert [path for path, _ in item.entries(TREE)] == [
        "lib",
        "lib/package.json",
        "src",
        "src/deep",
        "src/deep/package.json",
    ]


def test_parents_with_any_number_of_directories() -> None:
    assert _taken(_op("**/package.json", parents=True)) == [".: lib/package.json", ".: src/deep/package.json"]


def test_parents_from_a_pivot_on() -> None:
    assert _taken(_op("./src/./deep/*.json", parents=True)) == ["src: deep/package.json"]
    assert _taken(_op("src/./", parents=True)) == [
        "src: deep/deeper/x.md",
        "src: deep/package.json",
        "src: main.py",
        "src: notes.md",
    ]


@pytest.mark.parametrize("source", ["src/none", "none/./x", "src/./none"])
def test_parents_of_what_is_missing(source: str) -> None:
    with pytest.raises(BuildError, match="not found"):
        select(TREE, _op(source, parents=True), "the build context")


def test_shape_and_content_tell_changes() -> None:
    op = _op("src")
    before = MemoryTree({"src/x": "one"})
    content, mode = MemoryTree({"src/x": "two"}), MemoryTree({"src/x": "one"}, modes={"src/x": 0o755})
    owned = MemoryTree({"src/x": "one"}, owner=(5, 5))

    def shape(tree: MemoryTree) -> str:
        return shape_of(select(tree, op, "here"), tree, op_digest="0")

    def digest(tree: MemoryTree, op: CopyOp = op) -> str:
        return str(content_of(select(tree, op, "here"), Files("here", tree), op))

    assert shape(before) == shape(content) == shape(owned)
    assert shape(before) != shape(mode)
    assert digest(before) == digest(owned)
    assert len({digest(before), digest(content), digest(mode)}) == 3
    keeps = _op("src", keep_owner=True)
    assert digest(before, keeps) != digest(owned, keeps)
    chowned = _op("src", keep_owner=True, owner=Owner("1"))
    assert digest(before, chowned) == digest(owned, chowned)
