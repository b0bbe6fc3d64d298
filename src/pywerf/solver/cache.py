"""The build cache: looks a step up by its content before doing it, and remembers what was done.

A key is the digest of what was asked (the op) and of what it works on (contents, not names or times): a step
whose inputs come out the same is not run again, even when something before it was. Asking costs something: the
parent's layer must be hashed, files must be read. It is left out when no record could match: no record of the same
op at all, or none of the same shape. So a first build runs ahead of its own hashing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from pywerf.backend.base import OpExecutor
from pywerf.errors import BuildStopped
from pywerf.graph.op import ExecOp
from pywerf.graph.vertex import Vertex
from pywerf.util.events import Reporter, StepState
from pywerf.util.promise import Promise, run_in_thread

if TYPE_CHECKING:
    from pywerf.solver.turns import Turn, Turns
    from pywerf.store.cache import CacheRecord, CacheStore
    from pywerf.store.memo import Memo

__all__ = ["CachingExecutor", "Note", "Outcome", "RemoteResults", "cache_key"]

R = TypeVar("R")
Outcome = tuple[StepState, float, float]  # the times are seconds since the epoch: begin and end
Note = Literal["disabled", "expired", "lost"]

_LISTINGS = 64 << 20  # bytes that lists of files may take


def cache_key(op_digest: str, components: dict[str, str], salt: str) -> str:
    """The key (hexadecimal sha256) of an op on inputs with these components."""
    text = json.dumps([1, op_digest, salt, sorted(components.items())], ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class RemoteResults(Protocol[R]):
    """Results that are kept elsewhere, looked up after our own; and whoever wants to hear of ours.

    No method raises because of a cache that is broken or out of reach.
    """

    def may_have(self, definition: str, shape: str = "") -> bool:
        """Whether a record of this op, and of this shape if one is given, could be there."""

    def shortcut(self, vertex: Vertex, inputs: tuple[R | None, ...]) -> R | None:
        """A result that can be found without reading the files of inputs that are not here."""

    def find(
        self, vertex: Vertex, inputs: tuple[R | None, ...], key: str, keep: Callable[[R, float], object]
    ) -> R | None:
        """The result of a key, or None. `keep` puts it into our own cache, with the time when it was made.

        That is called, on whatever thread, when the result has turned out to be what it was said to be.
        """

    def learned(self, vertex: Vertex, inputs: tuple[R | None, ...], record: CacheRecord, result: R) -> None:
        """Called once for every step whose record is in our own cache, soon after it is; maybe on another thread."""


class CachingExecutor(Generic[R]):
    """The scheduler's work: one vertex, from the cache or by the engine, told to the reporter.

    `salt` is what all layers of this build depend on beside their steps (a clamped time, say). `remote` is asked
    for what is not here. Records older than `max_age` seconds count for nothing. `turns`, which are asked for when
    there is something to do, keep builds that want the same step at the same time from both doing it. `memo` keeps
    lists of the files that steps took, so that it can be told which of them was changed.

    `keys` has the cache key of each step that has one, `outcomes` what became of it and when, `notes` why no record
    was used where there was one or could be one; all of them by definition.
    """

    def __init__(
        self,
        engine: OpExecutor[R],
        cache: CacheStore,
        reporter: Reporter,
        *,
        salt: str,
        use: bool,
        keep: bool = True,
        remote: RemoteResults[R] | None = None,
        max_age: float | None = None,
        turns: Callable[[], Turns] | None = None,
        memo: Memo | None = None,
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._reporter = reporter
        self._salt = salt
        self._use = use
        self._keep = keep
        self._remote = remote
        self._max_age = max_age
        self._turns = turns
        self._memo = memo
        self.keys: dict[str, str] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.notes: dict[str, Note] = {}
        self.worked = False  # whether anything was done that could have been cached
        self._steps: dict[str, int] = {}
        self._pending: list[Promise[None]] = []
        self._hits: list[str] = []

    def number(self, vertex: Vertex, step: int) -> None:
        """Give a vertex the number that its events carry; one without a number is done in silence."""
        self._steps[vertex.definition] = step

    def __call__(self, vertex: Vertex, inputs: tuple[R | None, ...]) -> R:
        step = self._steps.get(vertex.definition, 0)
        if step:
            self._reporter.step_started(step, vertex.name, source=str(vertex.source or ""))
        began = time.time()
        try:
            result, cached = self._one(vertex, inputs, step)
        except BaseException as error:
            cancelled = isinstance(error, BuildStopped) or not isinstance(error, Exception)
            state: StepState = "cancelled" if cancelled else "failed"
            self.outcomes[vertex.definition] = (state, began, time.time())
            if step:
                self._reporter.step_finished(step, state, error=str(error))
            raise
        state = "cached" if cached else "done"
        self.outcomes[vertex.definition] = (state, began, time.time())
        if step:
            self._reporter.step_finished(step, state)
        return result

    def _one(self, vertex: Vertex, inputs: tuple[R | None, ...], step: int) -> tuple[R, bool]:
        engine = self._engine
        if not engine.is_cacheable(vertex):
            return engine.execute(vertex, inputs, step), False
        if not self._use or vertex.ignore_cache:
            self.notes[vertex.definition] = "disabled"
            return self._execute(vertex, inputs, step, None), False
        found = self._look_up(vertex, inputs, self._remote)
        if found is not None:
            return found, True
        turn = None
        if self._turns is not None:
            turn = self._turns().begin(vertex, engine.shape(vertex, inputs))
            try:
                found = self._after_others(vertex, inputs, turn)
            except BaseException:
                turn.end()
                raise
            if found is not None:
                turn.end()
                return found, True
        return self._execute(vertex, inputs, step, turn), False

    def _after_others(self, vertex: Vertex, inputs: tuple[R | None, ...], turn: Turn) -> R | None:
        """Now that it is our turn: the result, if somebody else has come by it meanwhile."""
        if turn.contended:
            turn.wait_for(cache_key(vertex.op_digest, self._engine.components(vertex, inputs), self._salt))
        return self._look_up(vertex, inputs, None)

    def _execute(self, vertex: Vertex, inputs: tuple[R | None, ...], step: int, turn: Turn | None) -> R:
        self.worked = True
        done: Promise[R] = Promise()
        # The key of a command is found out while it runs, that of files while they are copied.
        early = turn is not None and isinstance(vertex.op, ExecOp)
        if early:
            self._start_remembering(vertex, inputs, done, turn)
        try:
            result = self._engine.execute(vertex, inputs, step)
        except BaseException as error:
            done.fail(error)
            if turn is not None and not early:
                turn.end()
            raise
        done.resolve(result)
        if not early and (self._keep or turn is not None):
            self._start_remembering(vertex, inputs, done, turn)
        return result

    def _start_remembering(
        self, vertex: Vertex, inputs: tuple[R | None, ...], done: Promise[R], turn: Turn | None
    ) -> None:
        self._pending.append(
            run_in_thread(lambda: self._remember(vertex, inputs, done, turn), f"cache-{vertex.op_digest[:8]}")
        )

    def _look_up(self, vertex: Vertex, inputs: tuple[R | None, ...], remote: RemoteResults[R] | None) -> R | None:
        engine, cache = self._engine, self._cache
        definition = vertex.op_digest
        here = cache.has_definition(definition)
        there = remote is not None and remote.may_have(definition)
        if remote is not None and there:
            found = remote.shortcut(vertex, inputs)
            if found is not None:
                return found
        if not here and not there:
            return None
        if not engine.is_known(vertex, inputs) and (shape := engine.shape(vertex, inputs)):
            here = here and cache.has_shape(shape)
            there = there and remote is not None and remote.may_have(definition, shape)
            if not here and not there:
                return None
        key = cache_key(definition, engine.components(vertex, inputs), self._salt)
        record = cache.get(key) if here else None
        if record is not None and self._max_age is not None and record.created < time.time() - self._max_age:
            self.notes[vertex.definition] = "expired"
            return None
        if record is not None:
            found = engine.restore(vertex, inputs, record.result)
            if found is not None:
                self._hits.append(key)
                self.keys[vertex.definition] = key
                if self._remote is not None:
                    self._remote.learned(vertex, inputs, record, found)
                return found
            self.notes[vertex.definition] = "lost"
        if remote is None or not there:
            return None
        return remote.find(vertex, inputs, key, lambda result, made: self._record(vertex, inputs, result, made))

    def _remember(self, vertex: Vertex, inputs: tuple[R | None, ...], done: Promise[R], turn: Turn | None) -> None:
        try:
            if turn is not None:
                if not done.done:
                    turn.found(cache_key(vertex.op_digest, self._engine.components(vertex, inputs), self._salt))
                done.wait()
            if not done.failed and self._keep:
                self._put(vertex, inputs, done.result())
        finally:
            if turn is not None:
                turn.end()

    def _put(self, vertex: Vertex, inputs: tuple[R | None, ...], result: R) -> None:
        self._record(vertex, inputs, result, time.time())
        if self._memo is not None:
            for name, make in self._engine.listings(vertex, inputs):
                if not self._memo.has("files", name) and (listing := make()):
                    self._memo.put("files", name, listing)
                    self._memo.trim("files", keep_bytes=_LISTINGS)

    def _record(self, vertex: Vertex, inputs: tuple[R | None, ...], result: R, made: float) -> None:
        from pywerf.solver.facts import facts_of
        from pywerf.store.cache import CacheRecord

        description = self._engine.describe(vertex, result)
        components = self._engine.components(vertex, inputs)
        key = cache_key(vertex.op_digest, components, self._salt)
        self.keys[vertex.definition] = key
        record = CacheRecord(
            key=key,
            definition=vertex.op_digest,
            shape=self._engine.shape(vertex, inputs),
            components=json.dumps({**facts_of(vertex, self._salt), **components}).encode(),
            result=description,
            created=made,
            last_used=time.time(),
            size=0,
        )
        self._cache.put(record)
        if self._remote is not None:
            self._remote.learned(vertex, inputs, record, result)

    def settle(self) -> None:
        """After a step has failed: wait until those that were finished are remembered, so that the next try finds them.

        Raises nothing: what cannot be remembered is done again then.
        """
        for pending in self._pending:
            pending.wait()
        self._pending.clear()

    def finish(self) -> None:
        """Wait until everything is remembered; raises the first error of that."""
        for pending in self._pending:
            pending.result()
        self._pending.clear()
        if self._hits:
            self._cache.touch(self._hits)
            self._hits.clear()
