"""The order and the number of executions, with work that only counts; threads meet at barriers, nothing sleeps."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.graph.op import ExecOp
from pywerf.graph.vertex import Vertex
from pywerf.solver.scheduler import solve
from support.examples import examples

PATIENCE = 20.0  # seconds until a barrier gives up: only a failing test waits that long


def step(name: str, *inputs: Vertex | None) -> Vertex:
    return Vertex(ExecOp(argv=(name,)), inputs, name=name)


class Work:
    """Counts what is done, in which order and by whom; the result is the name with the inputs' in brackets."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.threads: set[str] = set()
        self.during: dict[str, Callable[[], object]] = {}

    def __call__(self, vertex: Vertex, inputs: tuple[str | None, ...]) -> str:
        self.threads.add(threading.current_thread().name)
        self.during.get(vertex.name, lambda: None)()
        self.order.append(vertex.name)
        return vertex.name + (f"({','.join(str(item) for item in inputs)})" if inputs else "")


class Cancel:
    def __init__(self) -> None:
        self.calls = 0
        self.happened = threading.Event()

    def __call__(self) -> None:
        self.calls += 1
        self.happened.set()


def never() -> None:
    raise AssertionError("nothing was to be cancelled")


def fail(error: BaseException) -> Callable[[], None]:
    def raising() -> None:
        raise error

    return raising


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def cancel() -> Cancel:
    return Cancel()


def test_nothing_to_do(work: Work) -> None:
    assert solve([], work, jobs=4, cancel=never) == []
    assert solve([None, None], work, jobs=4, cancel=never) == [None, None]
    assert work.order == []


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_inputs_come_before_what_works_on_them(work: Work, jobs: int) -> None:
    top = step("top", step("middle", step("bottom"), None))
    assert solve([top], work, jobs=jobs, cancel=never) == ["top(middle(bottom,None))"]
    assert work.order == ["bottom", "middle", "top"]


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_diamond_is_done_once(work: Work, jobs: int) -> None:
    bottom = step("bottom")
    top = step("top", step("left", bottom), step("right", bottom), bottom)
    assert solve([top], work, jobs=jobs, cancel=never) == ["top(left(bottom),right(bottom),bottom)"]
    assert Counter(work.order) == dict.fromkeys(("bottom", "left", "right", "top"), 1)


def test_equal_vertices_are_done_once(work: Work) -> None:
    one, two = (step("same", step("below")) for _ in range(2))
    assert one is not two
    assert solve([one, None, two, one], work, jobs=4, cancel=never) == [
        "same(below)",
        None,
        "same(below)",
        "same(below)",
    ]
    assert sorted(work.order) == ["below", "same"]


def test_the_same_input_twice(work: Work) -> None:
    below = step("below")
    assert solve([step("top", below, below)], work, jobs=2, cancel=never) == ["top(below,below)"]


def test_only_what_targets_need_is_done(work: Work) -> None:
    shared = step("shared")
    step("unused", shared)
    solve([step("target", shared)], work, jobs=2, cancel=never)
    assert sorted(work.order) == ["shared", "target"]


def test_a_chain_stays_on_the_calling_thread(work: Work) -> None:
    vertex = step("0")
    for number in range(1, 50):
        vertex = step(str(number), vertex)
    solve([vertex], work, jobs=8, cancel=never)
    assert work.threads == {threading.current_thread().name}


def test_one_job_is_one_thread(work: Work) -> None:
    solve([step(str(number)) for number in range(20)], work, jobs=1, cancel=never)
    assert work.threads == {threading.current_thread().name}


@pytest.mark.parametrize("jobs", [2, 3, 5])
def test_independent_steps_run_at_once(work: Work, jobs: int) -> None:
    meeting = threading.Barrier(jobs)  # passes only when all of them run at the same time
    names = [str(number) for number in range(jobs)]
    work.during = {name: lambda: meeting.wait(PATIENCE) for name in names}
    solve([step("top", *map(step, names))], work, jobs=jobs, cancel=never)
    assert len(work.threads) == jobs


def test_no_more_at_once_than_allowed(work: Work) -> None:
    lock, now, most = threading.Lock(), 0, 0
    pairs = threading.Barrier(2)

    def during() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        pairs.wait(PATIENCE)
        with lock:
            now -= 1

    names = [str(number) for number in range(8)]
    work.during = dict.fromkeys(names, during)
    solve(list(map(step, names)), work, jobs=2, cancel=never)
    assert most == 2


def test_steps_that_become_ready_while_all_are_busy_find_threads(work: Work) -> None:
    """`long` is busy to the very end; what the quick one makes possible must not wait for it."""
    meeting = threading.Barrier(3)
    work.during = {name: lambda: meeting.wait(PATIENCE) for name in ("long", "left", "right")}
    quick = step("quick")
    solve([step("long"), step("left", quick), step("right", quick)], work, jobs=3, cancel=never)
    assert sorted(work.order) == ["left", "long", "quick", "right"]


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_first_error_is_raised_and_nothing_is_begun_after_it(work: Work, cancel: Cancel, jobs: int) -> None:
    error = ValueError("bad")
    work.during["bad"] = fail(error)
    with pytest.raises(ValueError, match="bad") as caught:
        solve([step("after", step("bad", step("first")))], work, jobs=jobs, cancel=cancel)
    assert caught.value is error
    assert work.order == ["first"]
    assert cancel.calls == 1


def test_what_runs_is_cancelled_and_its_error_is_not_the_one(work: Work, cancel: Cancel) -> None:
    running = threading.Event()

    def long() -> None:
        running.set()
        assert cancel.happened.wait(PATIENCE)
        raise OSError("killed")

    def bad() -> None:
        assert running.wait(PATIENCE)
        raise ValueError("the reason")

    work.during = {"long": long, "bad": bad}
    with pytest.raises(ValueError, match="the reason"):
        solve([step("long"), step("bad"), step("waiting", step("long"))], work, jobs=2, cancel=cancel)
    assert work.order == []
    assert cancel.calls == 1


def test_what_runs_may_come_to_its_end(work: Work, cancel: Cancel) -> None:
    running = threading.Event()

    def long() -> None:
        running.set()
        assert cancel.happened.wait(PATIENCE)

    def bad() -> None:
        assert running.wait(PATIENCE)
        raise ValueError("the reason")

    work.during = {"long": long, "bad": bad}
    with pytest.raises(ValueError, match="the reason"):
        solve([step("long"), step("bad")], work, jobs=2, cancel=cancel)
    assert work.order == ["long"], "the helper was waited for"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_a_signal_stops_the_helpers_as_well(work: Work, cancel: Cancel, error: BaseException) -> None:
    """Raised in the calling thread, as a signal's exception is, while a helper is at work."""
    main = threading.current_thread()
    both = threading.Barrier(2)

    def during() -> None:
        both.wait(PATIENCE)
        if threading.current_thread() is main:
            raise error
        assert cancel.happened.wait(PATIENCE)

    work.during = {"a": during, "b": during}
    with pytest.raises(type(error)) as caught:
        solve([step("a"), step("b"), step("after", step("a"), step("b"))], work, jobs=2, cancel=cancel)
    assert caught.value is error
    assert cancel.calls == 1
    assert "after" not in work.order
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("solver-")]


GRAPHS = st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=25)


@examples(40)
@given(GRAPHS, st.integers(1, 4))
def test_any_graph(graph: list[list[int]], jobs: int) -> None:
    """Each list holds the inputs of a vertex, as steps back from it."""
    vertices: list[Vertex] = []
    for number, back in enumerate(graph):
        vertices.append(step(str(number), *[vertices[number - 1 - item] for item in back if item < number]))
    done: list[str] = []
    lock = threading.Lock()

    def work(vertex: Vertex, inputs: tuple[str | None, ...]) -> str:
        assert inputs == tuple(item.name for item in vertex.inputs if item is not None)
        with lock:
            done.append(vertex.name)
        return vertex.name

    assert solve(vertices, work, jobs=jobs, cancel=never) == [vertex.name for vertex in vertices]
    assert sorted(done) == sorted(vertex.name for vertex in vertices)
    for vertex in vertices:
        for item in vertex.inputs:
            assert item is not None
            assert done.index(item.name) < done.index(vertex.name)
