"""What is written down of each build: its steps, what became of them, their cache keys. The last builds are kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from pywerf.oci.document import json_decoder
from pywerf.util.secret_names import hide_passwords

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pywerf.graph.vertex import Vertex
    from pywerf.solver.cache import CachingExecutor
    from pywerf.store.store import Store

__all__ = ["KIND", "LoggedBuild", "LoggedStep", "builds", "new_id", "put", "steps_of"]

KIND = "build"
_KEPT = 50


class LoggedStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step. `state` is done, cached, failed or cancelled; `key` its cache key, empty where it has none.

    `op` is the digest of what was asked; `note` why no record was used: `disabled`, `expired`, `lost`. `began` is in
    seconds since the epoch.
    """

    name: str
    state: str
    began: float
    seconds: float
    source: str = ""
    key: str = ""
    op: str = ""
    note: str = ""


class LoggedBuild(msgspec.Struct, frozen=True, omit_defaults=True):
    """One build. `image` is the id of what was built, empty when it failed (`error`). Ids grow with time."""

    id: str
    began: float
    seconds: float
    dockerfile: str = ""
    context: str = ""
    target: str = ""
    image: str = ""
    images: tuple[str, ...] = ()  # of several platforms: those of the index
    names: tuple[str, ...] = ()
    error: str = ""
    steps: tuple[LoggedStep, ...] = ()

    @property
    def project(self) -> tuple[str, str]:
        """What makes two builds builds of the same thing."""
        return (self.context, self.dockerfile)


def new_id(signature: str) -> str:
    """An id for a build that begins now. Equal signatures: the builds are the same in all that is written down."""
    return f"{time.time_ns():020d}-{signature}"


def steps_of(vertices: Sequence[Vertex], executor: CachingExecutor[object]) -> tuple[LoggedStep, ...]:
    """The steps that were begun, in the order in which they were."""
    found = []
    for vertex in vertices:
        outcome = executor.outcomes.get(vertex.definition)
        if outcome is not None:
            state, began, ended = outcome
            found.append(
                LoggedStep(
                    hide_passwords(vertex.name),
                    state,
                    began,
                    ended - began,
                    str(vertex.source or ""),
                    executor.keys.get(vertex.definition, ""),
                    vertex.op_digest,
                    executor.notes.get(vertex.definition, ""),
                )
            )
    found.sort(key=lambda step: step.began)
    return tuple(found)


def put(store: Store, build: LoggedBuild) -> None:
    """Write a build down; the oldest one goes."""
    store.memo.put(KIND, build.id, msgspec.json.encode(build))
    store.memo.trim(KIND, keep=_KEPT)


def builds(store: Store) -> Iterator[LoggedBuild]:
    """The builds that are written down, the last one first."""
    for id in store.memo.keys(KIND):
        data = store.memo.get(KIND, id)
        if data is not None:
            try:
                yield json_decoder(LoggedBuild).decode(data)
            except msgspec.DecodeError:
                continue  # another version's: only a memory
