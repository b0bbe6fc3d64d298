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
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pywerf.backend.base import OpExecutor
from pywerf.errors import BuildStopped
from pywerf.graph.vertex import Vertex
from pywerf.util.events import Reporter
from pywerf.util.promise import Promise, run_in_thread

if TYPE_CHECKING:
    from pywerf.store.cache import CacheRecord, CacheStore

__all__ = ["CachingExecutor", "RemoteResults", "cache_key"]

R = TypeVar("R")


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

    def find(self, vertex: Vertex, inputs: tuple[R | None, ...], key: str) -> R | None:
        """The result of a key, or None."""

    def learned(self, vertex: Vertex, inputs: tuple[R | None, ...], record: CacheRecord, result: R) -> None:
        """Called once for every step whose record is in our own cache, soon after it is; maybe on another thread."""


class CachingExecutor(Generic[R]):
    """The scheduler's work: one vertex, from the cache or by the engine, told to the reporter.

    `salt` is what all layers of this build depend on beside their steps (a clamped time, say). `remote` is asked
    for what is not here.
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
    ) -> None:
        self._engine = engine
        self._cache = cache
        self._reporter = reporter
        self._salt = salt
        self._use = use
        self._keep = keep
        self._remote = remote
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
        try:
            result, cached = self._one(vertex, inputs, step)
        except BaseException as error:
            if step:
                cancelled = isinstance(error, BuildStopped) or not isinstance(error, Exception)
                self._reporter.step_finished(step, "cancelled" if cancelled else "failed", error=str(error))
            raise
        if step:
            self._reporter.step_finished(step, "cached" if cached else "done")
        return result

    def _one(self, vertex: Vertex, inputs: tuple[R | None, ...], step: int) -> tuple[R, bool]:
        engine = self._engine
        if not engine.is_cacheable(vertex):
            return engine.execute(vertex, inputs, step), False
        if self._use and not vertex.ignore_cache:
            found = self._look_up(vertex, inputs)
            if found is not None:
                return found, True
        result = engine.execute(vertex, inputs, step)
        if self._keep:
            self._pending.append(
                run_in_thread(lambda: self._remember(vertex, inputs, result), f"cache-{vertex.op_digest[:8]}")
            )
        return result, False

    def _look_up(self, vertex: Vertex, inputs: tuple[R | None, ...]) -> R | None:
        engine, cache, remote = self._engine, self._cache, self._remote
        definition = vertex.op_digest
        here = cache.has_definition(definition)
        there = remote is not None and remote.may_have(definition)
        if remote is not None and there:
            found = remote.shortcut(vertex, inputs)
            if found is not None:
                return found
        if not here and not there:
            return None
        shape = engine.shape(vertex, inputs)
        if shape:
            here = here and cache.has_shape(shape)
            there = there and remote is not None and remote.may_have(definition, shape)
            if not here and not there:
                return None
        key = cache_key(definition, engine.components(vertex, inputs), self._salt)
        record = cache.get(key) if here else None
        if record is not None:
            found = engine.restore(vertex, inputs, record.result)
            if found is not None:
                self._hits.append(key)
                if remote is not None:
                    remote.learned(vertex, inputs, record, found)
                return found
        return remote.find(vertex, inputs, key) if remote is not None and there else None

    def _remember(self, vertex: Vertex, inputs: tuple[R | None, ...], result: R) -> None:
        from pywerf.store.cache import CacheRecord

        description = self._engine.describe(vertex, result)
        components = self._engine.components(vertex, inputs)
        now = time.time()
        record = CacheRecord(
            key=cache_key(vertex.op_digest, components, self._salt),
            definition=vertex.op_digest,
            shape=self._engine.shape(vertex, inputs),
            components=json.dumps({"name": vertex.name, **components}).encode(),
            result=description,
            created=now,
            last_used=now,
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
