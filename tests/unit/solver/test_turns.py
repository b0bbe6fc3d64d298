"""Turns at steps: who waits for whom, and that nobody waits for ever."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pywerf.errors import BuildStopped
from pywerf.graph.op import ExecOp
from pywerf.graph.vertex import Vertex
from pywerf.report.quiet import QuietReporter
from pywerf.solver.turns import Turns
from pywerf.store.step_locks import StepLocks
from pywerf.util.promise import run_in_thread


class Listener(QuietReporter):
    """Keeps the messages."""

    def __init__(self) -> None:
        import io

        super().__init__(io.StringIO())
        self.messages: list[str] = []
        self.told = threading.Event()

    def message(self, level: object, text: str) -> None:
        self.messages.append(text)
        self.told.set()


def vertex(command: str = "make") -> Vertex:
    return Vertex(ExecOp((command,)), (None,), name=f"[2/2] RUN {command}")


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def turns(tmp_path: Path, listener: Listener) -> Turns:
    return Turns(StepLocks(str(tmp_path)), listener)


def test_the_first_one_goes_ahead(turns: Turns) -> None:
    turn = turns.begin(vertex(), "")
    assert not turn.contended
    turn.end()
    assert not turns.begin(vertex(), "").contended


def test_others_wait_until_the_key_is_known_and_see_who_is_there(turns: Turns) -> None:
    first = turns.begin(vertex(), "")
    second = run_in_thread(lambda: turns.begin(vertex(), ""), "second")
    assert not second.done
    first.found("k1")
    other = second.result()
    assert other.contended
    other.wait_for("k2")  # another key: nobody to wait for
    third = turns.begin(vertex(), "")
    assert third.contended
    waiting = run_in_thread(lambda: third.wait_for("k1"), "third")
    assert not waiting.done
    first.end()
    waiting.result()
    other.end()
    third.end()
    assert not turns.begin(vertex(), "").contended


def test_shapes_are_gates_of_their_own(turns: Turns) -> None:
    turn = turns.begin(vertex(), "shape 1")
    other = turns.begin(vertex(), "shape 2")
    assert not other.contended
    turn.end()
    other.end()


def test_a_key_that_is_locked_already_keeps_nobody(turns: Turns) -> None:
    holder = turns.begin(vertex("a"), "")
    holder.found("k")
    turn = turns.begin(vertex("b"), "")
    turn.found("k")
    turn.end()
    holder.end()


def test_waiting_ends_when_the_build_does(turns: Turns) -> None:
    turn = turns.begin(vertex(), "")
    waiting = run_in_thread(lambda: turns.begin(vertex(), ""), "waiting")
    turns.cancel()
    turns.cancel()
    with pytest.raises(BuildStopped):
        waiting.result()
    turn.end()


def test_waiting_is_told(turns: Turns, listener: Listener) -> None:
    turn = turns.begin(vertex(), "")
    waiting = run_in_thread(lambda: turns.begin(vertex(), ""), "waiting")
    assert listener.told.wait(30)
    assert "[2/2] RUN make" in listener.messages[0]
    turn.end()
    waiting.result().end()
