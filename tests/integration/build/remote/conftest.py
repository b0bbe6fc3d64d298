"""A project whose build leaves traces, and machines (stores) that build it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from support.werf import Werf


class Machine:
    """A machine that builds: `werf` with a store of its own."""

    def __init__(self, werf: Werf) -> None:
        self.werf = werf

    def build(self, context: Path, *flags: str | Path, check: bool = True) -> Built:
        done = self.werf.build(context, "app:1", "--progress=plain", *flags, check=check)
        return Built(done.stdout, done.stderr, done.returncode)

    @property
    def blobs(self) -> set[str]:
        """The digests in the store."""
        return {path.name for path in (self.werf.root / "oci" / "blobs" / "sha256").iterdir()}

    def file(self, path: str) -> str:
        """A file of the image that was built last."""
        return self.werf.run("run", "app:1", "--", "cat", path).stdout


class Built:
    """What a build said. `steps` has the end of each instruction by its text: DONE, CACHED, ERROR, CANCELED."""

    def __init__(self, stdout: str, stderr: str, status: int) -> None:
        self.id = stdout.strip()
        self.said = stderr
        self.status = status
        names = dict(re.findall(r"^#(\d+) (\[[^\]]*\d+/\d+\] .*)$", stderr, re.M))
        ends = dict(re.findall(r"^#(\d+) (DONE|CACHED|ERROR|CANCELED)", stderr, re.M))
        self._numbers, self._ends = names, ends
        self.steps = {name.partition("] ")[2]: ends.get(number, "") for number, name in names.items()}

    def ends(self, part: str) -> list[str]:
        """The ends of all steps with this text in their name: of several platforms each."""
        return [self._ends.get(number, "") for number, name in self._numbers.items() if part in name]

    @property
    def ran(self) -> list[str]:
        """The instructions that were not cached."""
        return sorted(name for name, end in self.steps.items() if end != "CACHED")


@pytest.fixture
def machine_of(make_werf: Callable[[str], Werf]) -> Callable[[str], Machine]:
    """Makes machines by name."""
    return lambda name: Machine(make_werf(name))


@pytest.fixture
def project(tmp_path: Path, busybox: str) -> Path:
    """Two stages; every RUN notes the time, so that doing it again cannot stay unnoticed."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        f"FROM {busybox} AS build\n"
        "COPY input /input\n"
        "RUN cat /input > /result && date +%s%N >> /result\n"
        f"FROM {busybox}\n"
        "COPY --from=build /result /result\n"
        "RUN cat /result > /final && date +%s%N >> /final\n"
        "COPY last /last\n"
        'CMD ["cat", "/final"]\n'
    )
    (folder / "input").write_text("first\n")
    (folder / "last").write_text("last\n")
    return folder
