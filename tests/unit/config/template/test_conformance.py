"""Rows of Go's own answers. What cannot be said in Python is listed with its reason."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pywerf.config.template import Func, Struct, parse_template
from pywerf.config.template.values import FunctionError, go_type
from pywerf.errors import TemplateError


def conformance_table(name: str) -> list[dict[str, Any]]:
    """The rows of a table, from PYWERF_CONFORMANCE or the folder beside the repository; [] without it."""
    default = Path(__file__).resolve().parents[5] / "shared" / "conformance"
    path = Path(os.environ.get("PYWERF_CONFORMANCE", default)) / "tables" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else []


def _fail(text: str) -> Any:
    raise FunctionError(text)


def go_values() -> dict[str, Any]:
    """`tVal` and its siblings: a struct with maps, slices, methods and functions."""
    methods = {
        "Method0": Func("Method0", lambda: "M0"),
        "Method1": Func("Method1", lambda a: a, ("int",)),
        "Method2": Func("Method2", lambda a, b: f"Method2: {a} {b}", ("int", "string")),
        "Method3": Func("Method3", lambda v: "Method3: " + ("<nil>" if v is None else str(v)), ("any",)),
        "GetU": Func("GetU", lambda: inner),
        "MAdd": Func("MAdd", lambda a, b: [a + item for item in b], ("int", "list")),
        "MyError": Func("MyError", lambda wrong: _fail("my error") if wrong else False, ("bool",)),
        "Copy": Func("Copy", lambda: value),
    }
    truth = Func("TrueFalse", lambda flag: "true" if flag else "", ("bool",))
    inner = Struct("*template.U", {"V": "v"}, {"TrueFalse": truth})
    simple = Struct("template.I", {}, {"Method0": methods["Method0"], "Method1": methods["Method1"]})
    fields: dict[str, Any] = {
        "True": True,
        "I": 17,
        "U16": 16,
        "X": "x",
        "S": "abc",
        "U": inner,
        "V0": Struct("template.V", {"j": 6666}, string=lambda: "<6666>"),
        "V1": Struct("*template.V", {"j": 7777}, string=lambda: "<7777>"),
        "W0": Struct("template.W", {"k": 888}, string=lambda: "[888]"),
        "SI": [3, 4, 5],
        "SICap": [0] * 5,
        "AI": [3, 4, 5],
        "SIEmpty": [],
        "SB": [True, False],
        "MSI": {"one": 1, "two": 2, "three": 3},
        "MSIone": {"one": 1},
        "MSIEmpty": {},
        "MXI": {"one": 1},
        "MI64S": {2: "i642", 3: "i643"},
        "MI8S": {2: "i82", 3: "i83"},
        "SMSI": [{"one": 1, "two": 2}, {"eleven": 11, "twelve": 12}],
        "Empty0": None,
        "Empty3": [7, 8],
        "Empty4": Struct("*template.U", {"V": "UinEmpty"}),
        "NonEmptyInterface": simple,
        "NonEmptyInterfacePtS": ["a", "b"],
        "PI": 23,
        "PS": "a string",
        "PSI": [21, 22, 23],
        "ComplexZero": 0j,
        "BinaryFunc": Func("BinaryFunc", lambda a, b: f"[{a}={b}]", ("string", "string")),
        "VariadicFunc": Func("VariadicFunc", lambda *s: f"<{'+'.join(s)}>", ("string",), variadic=True),
        "VariadicFuncInt": Func(
            "VariadicFuncInt", lambda n, *s: f"{n}=<{'+'.join(s)}>", ("int", "string"), variadic=True
        ),
        "NilOKFunc": Func("NilOKFunc", lambda v: v is None, ("any",)),
        "ErrFunc": Func("ErrFunc", lambda: "bla"),
    }
    value = Struct("*template.T", fields, methods)
    return {"tVal": value, "iVal": simple, "tSliceOfNil": [simple]}


@pytest.fixture
def functions() -> dict[str, Func]:
    """The functions that the rows call."""
    return {
        "add": Func("add", lambda *n: sum(n), ("int",), variadic=True),
        "typeOf": Func("typeOf", go_type, ("any",)),
        "zeroArgs": Func("zeroArgs", lambda: "zeroArgs"),
        "oneArg": Func("oneArg", lambda a: f"oneArg={a}", ("string",)),
        "twoArgs": Func("twoArgs", lambda a, b: f"twoArgs={a}{b}", ("string", "string")),
        "dddArg": Func("dddArg", lambda a, *b: f"{a}{b}", ("int", "string"), variadic=True),
        "mapOfThree": Func("mapOfThree", lambda: {"three": 3}),
        "returnInt": Func("returnInt", lambda: 7),
        "valueString": Func("valueString", lambda v: v, ("string",)),
        "stringer": Func("stringer", lambda s: str(s), ("any",)),
        "vfunc": Func("vfunc", lambda a, b: "vfunc", ("any", "any")),
    }


NIL_POINTER = "a typed nil pointer: Python has one None, without a type or methods"
TYPED_MAP = "the zero value of a typed map: a Python dictionary knows no type of its values"

LEFT_OUT = {
    "(*V)(nil).String()": NIL_POINTER,
    "NIL": NIL_POINTER,
    "if on typed nil interface value": NIL_POINTER,
    "map[``]": TYPED_MAP,
}

ROWS = [row for row in conformance_table("template") if row["name"] not in LEFT_OUT]


def _data(row: dict[str, Any]) -> Any:
    if "go_value" in row:
        return go_values()[row["go_value"]]
    if row["name"] == "dot struct":
        return Struct("struct", row["data"])
    return row["data"]


@pytest.mark.parametrize("row", ROWS, ids=[f"{n}-{row['name']}" for n, row in enumerate(ROWS)])
def test_row_gives_what_go_gives(row: dict[str, Any], functions: dict[str, Any]) -> None:
    def render() -> str:
        return parse_template(row["in"], "row", functions).execute(_data(row))

    if row.get("fail"):
        with pytest.raises(TemplateError):
            render()
    else:
        assert render() == row["out"]
