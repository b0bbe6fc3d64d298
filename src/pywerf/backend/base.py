"""What the solver asks of an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from pywerf.graph.vertex import Vertex

__all__ = ["OpExecutor"]

R = TypeVar("R")


class OpExecutor(Protocol[R]):
    """Executes vertices. Results are opaque to the solver; None stands for the empty file system.

    Every method may be called from several threads at once, for different vertices.
    """

    def is_cacheable(self, vertex: Vertex) -> bool:
        """Whether results of this vertex are kept in the cache (sources are not: they are only named)."""

    def shape(self, vertex: Vertex, inputs: tuple[R | None, ...]) -> str:
        """A cheap digest of what the cache key will be made of: other shape, other key. Empty: none is cheap."""

    def is_known(self, vertex: Vertex, inputs: tuple[R | None, ...]) -> bool:
        """Whether `components` reads nothing, for all that it needs is remembered: then no shape is needed before."""

    def components(self, vertex: Vertex, inputs: tuple[R | None, ...]) -> dict[str, str]:
        """What the result depends on beside the op: name -> digest or value. May read and hash content."""

    def execute(self, vertex: Vertex, inputs: tuple[R | None, ...], step: int) -> R:
        """Do it. Output goes to the reporter under `step`. The result's details may still be in the making."""

    def describe(self, vertex: Vertex, result: R) -> bytes:
        """What `restore` needs to find the result again; waits until it is whole and stored."""

    def restore(self, vertex: Vertex, inputs: tuple[R | None, ...], description: bytes) -> R | None:
        """The stored result, or None when it is no longer there."""

    def listings(self, vertex: Vertex, inputs: tuple[R | None, ...]) -> list[tuple[str, Callable[[], bytes]]]:
        """For each component that is the digest of files: it, and what makes the list of those files (b"": none)."""

    def cancel(self) -> None:
        """Stop what is running, soon; `execute` raises then. Idempotent."""
