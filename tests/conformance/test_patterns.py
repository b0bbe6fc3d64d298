"""The tables of ignore patterns of $PYWERF_CONFORMANCE, or of ../shared/conformance."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pywerf.errors import PatternError
from pywerf.source.dockerignore import read_patterns
from pywerf.source.patterns import matches_or_parent_matches

pytestmark = pytest.mark.conformance


def rows(name: str) -> list[dict[str, Any]]:
    named = os.environ.get("PYWERF_CONFORMANCE")
    root = Path(named) if named else Path(__file__).parents[3] / "shared" / "conformance"
    path = root / "tables" / name
    assert path.exists(), f"{path} is missing: set PYWERF_CONFORMANCE to the folder of the conformance data"
    found: list[dict[str, Any]] = json.loads(path.read_text())
    assert found
    return found


def test_patterns() -> None:
    wrong = []
    for row in rows("patterns.json"):
        try:
            result: object = matches_or_parent_matches(row["in"], row["patterns"])
        except PatternError:
            result = "error"
        if result != ("error" if row.get("fail") else row["out"]):
            wrong.append((row["name"], result))
    assert not wrong


def test_ignore_files() -> None:
    for row in rows("ignore.json"):
        assert [pattern for _, pattern in read_patterns(row["in"].encode())] == row["out"]
