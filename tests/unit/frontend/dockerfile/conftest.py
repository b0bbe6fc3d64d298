"""For the Dockerfile tests: a converter; rows of a module (ROWS) and, where the corpus is at hand, of its tables."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pywerf.frontend.dockerfile.ast import Dockerfile
from pywerf.frontend.dockerfile.commands import Command, Stage
from pywerf.frontend.dockerfile.convert import Converter, Settings
from pywerf.frontend.dockerfile.instructions import parse_instructions
from pywerf.frontend.dockerfile.parser import parse
from pywerf.graph.image_plan import ImagePlan
from pywerf.oci.platform import Platform
from support.converting import Convert, FakeResolver

TABLES = {
    "parser_row": "parser",
    "shell_row": "shell",
    "json_row": "jsonargs",
    "instruction_row": "instr",
}


def corpus() -> Path | None:
    """The folder of the conformance corpus, if there is one."""
    beside = Path(__file__).resolve().parents[5] / "shared" / "conformance"
    path = Path(os.environ.get("PYWERF_CONFORMANCE") or beside)
    return path if path.is_dir() else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A fixture `…_row` gets the module's own rows (ROWS["…_row"]) and those of its table."""
    for fixture, table in TABLES.items():
        if fixture in metafunc.fixturenames:
            rows = list(metafunc.module.ROWS[fixture])
            folder = corpus()
            if folder is not None:
                rows += json.loads((folder / "tables" / f"{table}.json").read_text())
            metafunc.parametrize(fixture, rows, ids=[row["name"] for row in rows])


class Reader:
    """Short ways from text to values."""

    def file(self, text: str) -> Dockerfile:
        return parse(text)

    def stages(self, text: str) -> tuple[Stage, ...]:
        return parse_instructions(parse(text))[0]

    def command(self, line: str) -> Command:
        """The typed form of one instruction, in a stage of its own."""
        (stage,) = self.stages(f"FROM scratch\n{line}\n")
        (command,) = stage.commands
        return command


@pytest.fixture
def read() -> Reader:
    return Reader()


@pytest.fixture(scope="session")
def corpus_folder() -> Path | None:
    return corpus()


@pytest.fixture
def world() -> FakeResolver:
    """What is outside of a Dockerfile."""
    return FakeResolver()


@pytest.fixture
def convert(world: FakeResolver) -> Convert:
    """Converts a text, with settings by name."""

    def call(text: str, **settings: Any) -> ImagePlan:
        settings.setdefault("platform", Platform("linux", "amd64"))
        return Converter(parse(text, "Dockerfile"), Settings(**settings), world).convert()

    return call
