"""When the solver asks a remote cache, and what it tells it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pywerf.graph.op import ExecOp
from pywerf.graph.vertex import Vertex
from pywerf.solver.cache import CachingExecutor
from pywerf.store.cache import CacheRecord
from pywerf.store.store import Store


class Engine:
    """Results are texts. Counts what costs."""

    def __init__(self) -> None:
        self.executed: list[str] = []
        self.read: list[str] = []
        self.shape_is = ""

    def is_cacheable(self, vertex: Vertex) -> bool:
        return True

    def is_known(self, vertex: Vertex, inputs: tuple[str | None, ...]) -> bool:
        return False

    def shape(self, vertex: Vertex, inputs: tuple[str | None, ...]) -> str:
        return self.shape_is

    def components(self, vertex: Vertex, inputs: tuple[str | None, ...]) -> dict[str, str]:
        self.read.append(vertex.name)
        return {"parent": str(inputs)}

    def execute(self, vertex: Vertex, inputs: tuple[str | None, ...], step: int) -> str:
        self.executed.append(vertex.name)
        return f"own {vertex.name}"

    def describe(self, vertex: Vertex, result: str) -> bytes:
        return json.dumps(result).encode()

    def restore(self, vertex: Vertex, inputs: tuple[str | None, ...], description: bytes) -> str | None:
        return str(json.loads(description))

    def listings(self, vertex: Vertex, inputs: tuple[str | None, ...]) -> list[tuple[str, Callable[[], bytes]]]:
        return []

    def cancel(self) -> None:
        raise AssertionError("the cache cancels nothing")


class Remote:
    """A cache that has what the test says."""

    def __init__(self) -> None:
        self.has = True
        self.shapes: set[str] = set()
        self.shortcuts: dict[str, str] = {}
        self.found = ""
        self.asked: list[str] = []
        self.keeps: list[Callable[[str, float], object]] = []
        self.records: list[tuple[CacheRecord, str]] = []

    def may_have(self, definition: str, shape: str = "") -> bool:
        return self.has and (not shape or shape in self.shapes)

    def shortcut(self, vertex: Vertex, inputs: tuple[str | None, ...]) -> str | None:
        return self.shortcuts.get(vertex.name)

    def find(self, vertex: Vertex, inputs: Any, key: str, keep: Callable[[str, float], object]) -> str | None:
        self.asked.append(key)
        self.keeps.append(keep)
        return self.found or None

    def learned(self, vertex: Vertex, inputs: Any, record: CacheRecord, result: str) -> None:
        self.records.append((record, result))


class Silent:
    """A Reporter that says nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **kwargs: None


class Case:
    """One executor with its parts."""

    def __init__(self, store: Store) -> None:
        self.store, self.engine, self.remote = store, Engine(), Remote()

    def build(self, name: str = "step", **options: Any) -> str:
        executor: CachingExecutor[str] = CachingExecutor(
            self.engine,
            self.store.cache,
            Silent(),  # type: ignore[arg-type]
            salt="",
            remote=self.remote,
            **{"use": True, **options},
        )
        result = executor(Vertex(ExecOp(argv=(name,)), name=name), ())
        executor.finish()
        return result


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with Store.open(str(tmp_path / "store")) as store:
        yield Case(store)


def test_what_is_there_is_not_done(case: Case) -> None:
    case.remote.found = "theirs"
    assert case.build() == "theirs"
    assert case.engine.executed == []
    assert case.store.cache.list() == [], "nothing is kept before it is verified"
    case.remote.keeps[0]("theirs", 1234.0)
    (record,) = case.store.cache.list()
    assert (record.key, record.created) == (case.remote.asked[0], 1234.0)
    case.remote.has = False
    assert case.build() == "theirs"


def test_what_is_not_there_is_told(case: Case) -> None:
    assert case.build() == "own step"
    (record,) = case.store.cache.list()
    assert case.remote.records == [(record, "own step")]
    assert case.remote.asked == [record.key]
    case.build()
    assert case.engine.executed == ["step"]
    assert case.remote.asked == [record.key], "our own cache comes first"
    assert case.remote.records == [(record, "own step")] * 2


def test_nothing_is_read_for_a_cache_that_cannot_have_it(case: Case) -> None:
    case.remote.has = False
    case.build("one")
    assert case.engine.read == ["one"]  # for the record alone
    assert case.remote.asked == []
    case.remote.has, case.engine.shape_is = True, "other shape"
    case.build("two")
    assert case.remote.asked == []
    case.remote.shapes.add("other shape")
    case.build("three")
    assert len(case.remote.asked) == 1


def test_a_shortcut_reads_nothing(case: Case) -> None:
    case.remote.shortcuts["step"] = "theirs"
    assert case.build() == "theirs"
    assert case.engine.read == []
    assert case.remote.asked == []


@pytest.mark.parametrize("use", [True, False])
def test_no_cache(case: Case, use: bool) -> None:
    case.remote.found = case.remote.shortcuts["step"] = "theirs"
    assert case.build(use=use) == ("theirs" if use else "own step")
    assert len(case.remote.records) == (0 if use else 1), "what is done is told in any case"
