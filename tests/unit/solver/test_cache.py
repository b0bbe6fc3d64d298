"""Which look-ups happen when: an engine that takes notes, on a real store."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywerf.errors import BuildStopped
from pywerf.graph.op import ContextOp, ExecOp
from pywerf.graph.source_range import SourceRange
from pywerf.graph.vertex import Vertex
from pywerf.solver.cache import CachingExecutor, cache_key
from pywerf.store.store import Store


class Engine:
    """Results are texts: the name of the step and what it worked on. What it was asked for is noted."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.shapes: dict[str, str] = {}
        self.contents: dict[str, str] = {}
        self.known: set[str] = set()
        self.gone: set[str] = set()
        self.error: BaseException | None = None
        self.remembering: Callable[[], object] = lambda: None

    def note(self, call: str, vertex: Vertex) -> None:
        if not threading.current_thread().name.startswith("cache-"):  # what is remembered in the background
            self.calls.append(f"{call} {vertex.name}")

    def is_cacheable(self, vertex: Vertex) -> bool:
        return isinstance(vertex.op, ExecOp)

    def is_known(self, vertex: Vertex, inputs: tuple[str | None, ...]) -> bool:
        return vertex.name in self.known

    def shape(self, vertex: Vertex, inputs: tuple[str | None, ...]) -> str:
        self.note("shape", vertex)
        return self.shapes.get(vertex.name, "")

    def components(self, vertex: Vertex, inputs: tuple[str | None, ...]) -> dict[str, str]:
        self.note("components", vertex)
        return {"parent": str(inputs), "files": self.contents.get(vertex.name, "")}

    def execute(self, vertex: Vertex, inputs: tuple[str | None, ...], step: int) -> str:
        self.note("execute", vertex)
        if self.error is not None:
            raise self.error
        return f"{vertex.name}{inputs}{self.contents.get(vertex.name, '')}"

    def describe(self, vertex: Vertex, result: str) -> bytes:
        self.remembering()
        return json.dumps(result).encode()

    def restore(self, vertex: Vertex, inputs: tuple[str | None, ...], description: bytes) -> str | None:
        self.note("restore", vertex)
        result: str = json.loads(description)
        return None if result in self.gone else result

    def listings(self, vertex: Vertex, inputs: tuple[str | None, ...]) -> list[tuple[str, Callable[[], bytes]]]:
        return []

    def cancel(self) -> None:
        raise AssertionError("the cache cancels nothing")


class Reporter:
    """Notes the events of steps."""

    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        self.events.append(("started", step, name, source))

    def step_output(self, step: int, data: bytes, *, stderr: bool = False) -> None:
        self.events.append(("output", step))

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        self.events.append(("progress", step))

    def step_finished(self, step: int, state: str, *, error: str = "") -> None:
        self.events.append(("finished", step, state, error))

    def message(self, level: str, text: str) -> None:
        self.events.append((level, text))

    def close(self) -> None:
        self.events.append(("closed",))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as store:
        yield store


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def reporter() -> Reporter:
    return Reporter()


@pytest.fixture
def executor(store: Store, engine: Engine, reporter: Reporter) -> Callable[..., CachingExecutor[str]]:
    """Makes the executor of a build; the engine's notes begin anew."""

    def make(*, salt: str = "", use: bool = True, keep: bool = True) -> CachingExecutor[str]:
        engine.calls.clear()
        return CachingExecutor(engine, store.cache, reporter, salt=salt, use=use, keep=keep)

    return make


def run(name: str, *inputs: Vertex, ignore_cache: bool = False, command: str = "") -> Vertex:
    return Vertex(
        ExecOp(argv=(command or name,)),
        inputs,
        name=name,
        source=SourceRange("Dockerfile", 2, 2),
        ignore_cache=ignore_cache,
    )


def test_a_first_build_computes_no_key(executor: Callable[..., CachingExecutor[str]], engine: Engine) -> None:
    """Nothing like it was ever asked: the step runs ahead of the hashing of what it stands on."""
    build = executor()
    assert build(run("a"), ("below",)) == "a('below',)"
    assert engine.calls == ["execute a"]
    build.finish()


def test_the_second_build_finds_it(executor: Callable[..., CachingExecutor[str]], engine: Engine, store: Store) -> None:
    first = executor()
    result = first(run("a"), ("below",))
    first.finish()
    (record,) = store.cache.list()
    assert record.definition == run("a").op_digest
    assert json.loads(record.components)["parent"] == "('below',)"

    second = executor()
    assert second(run("a"), ("below",)) == result
    assert engine.calls == ["shape a", "components a", "restore a"]
    second.finish()


def test_a_cached_build_writes_nothing(executor: Callable[..., CachingExecutor[str]], store: Store) -> None:
    first = executor()
    first(run("a"), ("below",))
    first.finish()
    with Store.open(store.root) as other:
        version = other.database.rows("PRAGMA data_version")
        second = executor()
        second(run("a"), ("below",))
        second.finish()
        assert other.database.rows("PRAGMA data_version") == version, "a write by another connection shows here"


@pytest.mark.parametrize(
    ("inputs", "salt", "command", "contents"),
    [
        (("other",), "", "a", ""),
        (("below", None), "", "a", ""),
        (("below",), "clamp 5", "a", ""),
        (("below",), "", "b", ""),
        (("below",), "", "a", "changed"),
    ],
)
def test_whatever_is_different_is_done_again(
    executor: Callable[..., CachingExecutor[str]],
    engine: Engine,
    inputs: tuple[str | None, ...],
    salt: str,
    command: str,
    contents: str,
) -> None:
    first = executor()
    first(run("step", command="a"), ("below",))
    first.finish()
    engine.contents["step"] = contents
    second = executor(salt=salt)
    second(run("step", command=command), inputs)
    assert "execute step" in engine.calls
    second.finish()


def test_equal_contents_are_enough(executor: Callable[..., CachingExecutor[str]], engine: Engine) -> None:
    """What a step stands on may have been made by other steps: its content counts."""
    first = executor()
    first(run("a", run("one way")), ("same content",))
    first.finish()
    second = executor()
    second(run("a", run("another way")), ("same content",))
    assert engine.calls == ["shape a", "components a", "restore a"]
    second.finish()


def test_another_shape_spares_the_reading(executor: Callable[..., CachingExecutor[str]], engine: Engine) -> None:
    engine.shapes["a"] = "three files"
    first = executor()
    first(run("a"), ())
    first.finish()
    engine.shapes["a"] = "four files"
    second = executor()
    second(run("a"), ())
    assert engine.calls == ["shape a", "execute a"]
    second.finish()
    third = executor()
    third(run("a"), ())
    assert engine.calls == ["shape a", "components a", "restore a"]
    third.finish()


def test_contents_that_are_known_need_no_shape(executor: Callable[..., CachingExecutor[str]], engine: Engine) -> None:
    engine.shapes["a"] = "three files"
    first = executor()
    first(run("a"), ())
    first.finish()
    engine.known.add("a")
    second = executor()
    second(run("a"), ())
    assert engine.calls == ["components a", "restore a"]
    second.finish()


def test_a_result_that_is_gone_is_made_again(executor: Callable[..., CachingExecutor[str]], engine: Engine) -> None:
    first = executor()
    engine.gone.add(first(run("a"), ()))
    first.finish()
    second = executor()
    second(run("a"), ())
    assert engine.calls == ["shape a", "components a", "restore a", "execute a"]
    second.finish()


def test_no_cache_looks_nothing_up_but_keeps(
    executor: Callable[..., CachingExecutor[str]], engine: Engine, store: Store
) -> None:
    first = executor()
    first(run("a"), ())
    first.finish()
    engine.contents["a"] = "newer"
    engine.shapes["a"] = "any"
    second = executor(use=False)
    second(run("a"), ())
    assert engine.calls == ["execute a"]
    second.finish()
    assert len(store.cache.list()) == 2
    third = executor()
    third(run("a", ignore_cache=True), ())
    assert engine.calls == ["execute a"]
    third.finish()


def test_nothing_is_kept_when_nothing_is_to_be_kept(
    executor: Callable[..., CachingExecutor[str]], store: Store
) -> None:
    build = executor(keep=False)
    build(run("a"), ())
    build.finish()
    assert store.cache.list() == []


def test_sources_are_not_cached(executor: Callable[..., CachingExecutor[str]], engine: Engine, store: Store) -> None:
    for _ in range(2):
        build = executor()
        build(Vertex(ContextOp(""), name="context"), ())
        build.finish()
        assert engine.calls == ["execute context"]
    assert store.cache.list() == []


def test_the_reporter_is_told(
    executor: Callable[..., CachingExecutor[str]], reporter: Reporter, engine: Engine
) -> None:
    for state in ("done", "cached"):
        build = executor()
        vertex = run("a")
        build.number(vertex, 7)
        build(vertex, ())
        build.finish()
        assert reporter.events == [("started", 7, "a", "Dockerfile:2"), ("finished", 7, state, "")]
        reporter.events.clear()
    executor()(run("silent"), ())
    assert reporter.events == []


@pytest.mark.parametrize(
    ("error", "state"),
    [(ValueError("it broke"), "failed"), (BuildStopped(), "cancelled"), (KeyboardInterrupt(), "cancelled")],
)
def test_steps_that_fail(
    executor: Callable[..., CachingExecutor[str]],
    reporter: Reporter,
    engine: Engine,
    store: Store,
    error: BaseException,
    state: str,
) -> None:
    build = executor()
    vertex = run("a")
    build.number(vertex, 1)
    engine.error = error
    with pytest.raises(type(error)) as caught:
        build(vertex, ())
    assert caught.value is error
    assert reporter.events[-1] == ("finished", 1, state, str(error))
    build.settle()
    assert store.cache.list() == []


def test_finished_steps_are_kept_when_a_later_one_fails(
    executor: Callable[..., CachingExecutor[str]], engine: Engine, store: Store
) -> None:
    build = executor()
    hashed = threading.Event()
    engine.remembering = hashed.wait  # the layer is still being hashed when the next step fails
    build(run("good"), ())
    engine.error = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        build(run("bad"), ())
    assert store.cache.list() == []
    hashed.set()
    build.settle()
    engine.error = None
    again = executor()
    again(run("good"), ())
    assert engine.calls == ["shape good", "components good", "restore good"]
    again.finish()


def test_an_error_of_remembering_is_raised_at_the_end_and_never_by_settle(
    executor: Callable[..., CachingExecutor[str]], engine: Engine
) -> None:
    def broken() -> None:
        raise OSError("no room")

    engine.remembering = broken
    build = executor()
    build(run("a"), ())
    with pytest.raises(OSError, match="no room"):
        build.finish()
    other = executor()
    other(run("b"), ())
    other.settle()


def test_keys_depend_on_everything_and_on_no_order() -> None:
    key = cache_key("op", {"a": "1", "b": "2"}, "salt")
    assert key == cache_key("op", {"b": "2", "a": "1"}, "salt")
    others = [
        cache_key("op2", {"a": "1", "b": "2"}, "salt"),
        cache_key("op", {"a": "1", "b": "3"}, "salt"),
        cache_key("op", {"a": "1", "c": "2"}, "salt"),
        cache_key("op", {"a": "1"}, "salt"),
        cache_key("op", {"a": "1", "b": "2"}, ""),
    ]
    assert len({key, *others}) == 6
    assert cache_key("op", {"\udcff": "ü"}, "") != cache_key("op", {"?": "ü"}, "")
