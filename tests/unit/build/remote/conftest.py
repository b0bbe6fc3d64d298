"""Sessions with stores of their own, and a reporter that takes notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pywerf.build.options import EngineOptions, RegistryOptions
from pywerf.build.session import Session
from pywerf.util.events import Level, StepState


class Notes:
    """A Reporter that keeps the messages and the ends of steps."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.steps: dict[int, str] = {}
        self.ends: dict[str, str] = {}

    def step_started(self, step: int, name: str, *, source: str = "") -> None:
        self.steps[step] = name

    def step_output(self, step: int, data: bytes, *, stderr: bool = False) -> None:
        pass

    def step_progress(self, step: int, what: str, current: int, total: int) -> None:
        pass

    def step_finished(self, step: int, state: StepState, *, error: str = "") -> None:
        self.ends[self.steps[step]] = state

    def message(self, level: Level, text: str) -> None:
        self.messages.append((level, text))

    def close(self) -> None:
        pass

    @property
    def warnings(self) -> list[str]:
        """The texts of warnings."""
        return [text for level, text in self.messages if level == "warning"]


@pytest.fixture
def notes() -> Notes:
    """The reporter of all sessions of the test."""
    return Notes()


@pytest.fixture
def make_session(tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Session]]:
    """Makes sessions by name, each with a store of its own; nothing of the user's registries is seen."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", "/dev/null")
    made: list[Session] = []

    def make(name: str = "store") -> Session:
        options = EngineOptions(root=str(tmp_path / name), storage_driver="vfs", registry=RegistryOptions(retries=0))
        made.append(Session.open(options, notes))
        return made[-1]

    yield make
    for session in made:
        session.__exit__(None, None, None)


@pytest.fixture
def session(make_session: Callable[[str], Session]) -> Session:
    """A session with an empty store."""
    return make_session("store")
