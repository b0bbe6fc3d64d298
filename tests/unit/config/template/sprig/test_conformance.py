"""sprig's own cases. Those that need values of Go are built here, or listed with the reason why not."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pywerf.config.template import Func, Struct
from pywerf.config.template.sprig import SPRIG
from pywerf.config.template.sprig.dates import FUNCTIONS, GoTime
from pywerf.config.template.templates import TemplateSet
from pywerf.errors import TemplateError


def conformance_table(name: str) -> list[dict[str, Any]]:
    """The rows of a table, from PYWERF_CONFORMANCE or the folder beside the repository; [] without it."""
    default = Path(__file__).resolve().parents[6] / "shared" / "conformance"
    path = Path(os.environ.get("PYWERF_CONFORMANCE", default)) / "tables" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else []


LEFT_OUT = {
    "functions_test.go:TestShuffle": "it shuffles with a seed of Go's own generator",
    "semver_test.go:TestSemverCompareErr": "the row is about the values of the Go function: a template stops there",
}


def _ago(nanoseconds: int) -> GoTime:
    now = FUNCTIONS["now"].call()
    return GoTime(now.nanoseconds - nanoseconds, now.zone)


def _data(row: dict[str, Any]) -> Any:
    name, data = row["name"].rpartition(":")[2], row["data"]
    if name in ("TestHtmlDate", "TestDateInZone") and data == {"\0unknown": True}:
        return {"Time": FUNCTIONS["toDate"].call("2006-01-02T15:04:05Z", "2019-06-13T20:39:39Z")}
    if name == "TestAgo":
        return {"Time": _ago({"2m5s": 125, "2h34m17s": 9257, "-5s": -5}[row["out"]] * 10**9)}
    if name in ("TestKindOf", "TestTypeIs", "TestKindIs") and data == ["hello", "world"]:
        return Struct("*sprig.fixtureTO" if name == "TestTypeIs" else "sprig.fixtureTO", {"Name": "x", "Value": "y"})
    return data


POINTER = "a pointer: values here have none"


def _why_not(row: dict[str, Any]) -> str:
    if row["name"] == "reflect_test.go:TestKindOf" and row["out"] == "ptr":
        return POINTER
    if row["name"] == "reflect_test.go:TestKindIs" and row["data"] == ["hello", "world"]:
        return POINTER
    return LEFT_OUT.get(row["name"], "")


ROWS = [row for row in conformance_table("sprig") if not _why_not(row)]


@pytest.mark.parametrize("row", ROWS, ids=[f"{n}-{row['name'].rpartition(':')[2]}" for n, row in enumerate(ROWS)])
def test_row_gives_what_sprig_gives(row: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    templates = TemplateSet(SPRIG, {"env": Func("env", lambda name: "bar", ("string",))})

    def render() -> str:
        templates.add("row", row["in"])
        return templates.execute("row", _data(row))

    if row.get("fail"):
        with pytest.raises(TemplateError):
            render()
    else:
        assert render() == row["out"]
