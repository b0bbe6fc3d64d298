"""How often a build has asked the backend for what, and for how long: a part of the report that `--log-debug` gives.

operations = Operations()
with measured(open_backend(…), operations) as backend: …
operations.statistics()        # {"image push": {"Count": 3, …}, …}
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pywerf.backend.contract import Backend
    from pywerf.build.project.results import BuiltImage

__all__ = ["Operations", "measured", "stage_cache"]

_NAMES = {
    ("builder", "build"): "image build",
    ("stages", "run"): "image build",
    ("images", "inspect"): "local image inspect",
    ("transfer", "pull"): "image pull",
    ("transfer", "push"): "image push",
    ("transfer", "save"): "image save/load",
    ("transfer", "load"): "image save/load",
}


class Operations:
    """Operations by their names, each with its begin and end in seconds. Any thread may add some."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._spans: dict[str, list[tuple[float, float]]] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """One operation; one that fails counts as well."""
        began = self._clock()
        try:
            yield
        finally:
            ended = self._clock()
            with self._lock:
                self._spans.setdefault(name, []).append((began, ended))

    def statistics(self) -> dict[str, dict[str, float]]:
        """Of each operation: how often, seconds in all, seconds in which at least one went on, mean and longest."""
        with self._lock:
            return {name: _statistics(spans) for name, spans in sorted(self._spans.items())}


def _statistics(spans: Sequence[tuple[float, float]]) -> dict[str, float]:
    lengths = [ended - began for began, ended in spans]
    wall = 0.0
    last = float("-inf")
    for began, ended in sorted(spans):
        wall += max(0.0, ended - max(began, last))
        last = max(last, ended)
    return {
        "Count": len(spans),
        "TotalTimeSeconds": round(sum(lengths), 3),
        "WallTimeSeconds": round(wall, 3),
        "AvgTimeSeconds": round(sum(lengths) / len(lengths), 3),
        "MaxTimeSeconds": round(max(lengths), 3),
    }


@contextmanager
def measured(backend: AbstractContextManager[Backend], operations: Operations) -> Iterator[Backend]:
    """The backend, whose operations are measured while it is open."""
    with backend as opened:
        watched: Any = _Watched(opened, operations)
        yield watched


class _Watched:
    """A backend; its parts are handed out with their methods measured."""

    def __init__(self, backend: Backend, operations: Operations) -> None:
        self._backend = backend
        self._operations = operations

    def __getattr__(self, name: str) -> Any:
        part = getattr(self._backend, name)
        methods = {method: shown for (owner, method), shown in _NAMES.items() if owner == name}
        return _Part(part, methods, self._operations) if methods else part


class _Part:
    def __init__(self, part: Any, methods: Mapping[str, str], operations: Operations) -> None:
        self._part = part
        self._methods = methods
        self._operations = operations

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        shown = self._methods.get(name)
        if shown is None:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._operations.measure(shown):
                return found(*args, **kwargs)

        return call


def stage_cache(images: Sequence[BuiltImage]) -> dict[str, int]:
    """How many stages were found, and where, and how many were built."""
    counts: dict[str, int] = {}
    for image in images:
        for one in image.platforms:
            for stage in one.stages:
                if stage.rebuilt:
                    event = "built"
                elif stage.source == "secondary":
                    event = "copied from secondary"
                else:
                    event = "found in local" if stage.description.manifest is None else "found in repo"
                counts[event] = counts.get(event, 0) + 1
    return dict(sorted(counts.items()))
