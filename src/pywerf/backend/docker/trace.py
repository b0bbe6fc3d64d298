"""Reads BuildKit's status messages (moby.buildkit.v1.StatusResponse) into steps."""

from __future__ import annotations

from collections.abc import Sequence

from pywerf.backend.contract import DockerfileStep
from pywerf.backend.docker.progress import Steps
from pywerf.backend.docker.protobuf import Message
from pywerf.backend.docker.steps import vertex_step

__all__ = ["Trace"]


class Trace:
    """`failed` is (name, instruction, error) of the step whose failure ended the build."""

    def __init__(self, dockerfile: Sequence[DockerfileStep], steps: Steps) -> None:
        self._dockerfile = dockerfile
        self._steps = steps
        self._names: dict[str, str] = {}
        self.failed: tuple[str, DockerfileStep | None, str] | None = None

    def take(self, data: bytes) -> None:
        """One StatusResponse: vertexes = 1, statuses = 2, logs = 3, warnings = 4."""
        status = Message(data)
        for vertex in status.messages(1):
            self._vertex(vertex)
        for item in status.messages(2):
            current, total = item.number(4), item.number(5)
            if current:
                # a transfer whose end is told, and whose size was not, has all of it
                self._steps.progress(
                    item.text(2), _short(item.text(1)), current, total or (current if 8 in item else 0)
                )
        for log in status.messages(3):
            self._steps.output(log.text(1), log.data(4), stderr=log.number(3) == 2)
        for warning in status.messages(4):
            self._steps.reporter.message("warning", warning.text(3))

    def _vertex(self, vertex: Message) -> None:
        """Vertex: digest = 1, name = 3, cached = 4, started = 5, completed = 6, error = 7."""
        key, name = vertex.text(1), vertex.text(3)
        if 5 not in vertex:
            return  # it is only planned
        step = vertex_step(self._dockerfile, name)
        self._steps.start(key, name, source="" if step is None else str(step.source))
        if 6 not in vertex:
            return
        error = vertex.text(7)
        if not error:
            self._steps.finish(key, "cached" if vertex.number(4) else "done")
        elif "context canceled" in error or "context cancelled" in error:
            self._steps.finish(key, "cancelled")
        else:
            self.failed = self.failed or (name, step, error)
            self._steps.finish(key, "failed", error=error)


def _short(id: str) -> str:
    """What a status is about: digests in their short form."""
    words = [word.removeprefix("sha256:")[:12] if word.startswith("sha256:") else word for word in id.split()]
    return " ".join(words).partition("@")[0]
