"""Sets of templates: definitions that see each other, include and tpl, YAML."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pywerf.config.template import Func, parse_template
from pywerf.config.template.templates import TemplateSet
from pywerf.config.template.values import FunctionError, Struct
from pywerf.config.template.werf_functions import dump, from_yaml, required, to_yaml
from pywerf.errors import TemplateError
from support.examples import examples


def templates(**texts: str) -> TemplateSet:
    found = TemplateSet({"fromYaml": Func("fromYaml", from_yaml, ("string",))})
    for name, text in texts.items():
        found.add(name, text)
    return found


def test_definitions_are_seen_everywhere_and_the_later_one_counts() -> None:
    found = templates(a='{{ define "x" }}old{{ end }}', b='{{ define "x" }}new{{ end }}', main='{{ template "x" }}')
    assert found.execute("main", None) == "new"


def test_an_empty_definition_replaces_nothing() -> None:
    found = templates(a='{{ define "x" }}old{{ end }}', b='{{ define "x" }} {{ end }}', main='{{ template "x" }}')
    assert found.execute("main", None) == "old"


def test_two_definitions_in_one_text_are_an_error() -> None:
    with pytest.raises(TemplateError, match='t:2: template: multiple definition of template "x"'):
        templates(t='{{ define "x" }}1{{ end }}\n{{ define "x" }}2{{ end }}')


def test_include_is_a_function_whose_result_is_piped_on() -> None:
    found = templates(part="{{ .a }}!", main='{{ include "part" . | printf "%q" }}')
    assert found.execute("main", {"a": "x"}) == '"x!"'


def test_a_text_is_a_template_that_sees_definitions_and_leaves_none() -> None:
    found = templates(
        part="P", main='{{ tpl "{{ define `y` }}Y{{ end }}{{ include `y` . }}{{ include `part` . }}" . }}'
    )
    assert found.execute("main", None) == "YP"
    found.add("other", '{{ include "y" . }}')
    with pytest.raises(TemplateError, match='no template "y" is defined'):
        found.execute("other", None)


def test_an_error_names_the_template_that_it_is_in() -> None:
    found = templates(part='line\n  {{ template "nope" }}', main='{{ template "part" . }}')
    with pytest.raises(
        TemplateError,
        match=r'template: part:2:14: executing "part" at <{{template "nope"}}>: template "nope" not defined',
    ):
        found.execute("main", None)


@pytest.mark.parametrize("call", ['include "main" .', 'tpl "{{ include `main` . }}" .'])
def test_templates_without_end_are_an_error(call: str) -> None:
    with pytest.raises(TemplateError, match="in each other"):
        templates(main="{{ " + call + " }}").execute("main", None)


_PIECES = st.sampled_from(
    (
        "{{", "}}", "{{-", "-}}", "if", "else", "end", "range", "with", "define", "template", "block", "break",
        "continue", "include", "tpl", ".", "$", "$x", ":=", "=", "|", ",", "(", ")", '"a"', "`b`", "'c'", "1",
        "-2", "1.5", "0x1f", "nil", "true", ".a", ".a.b", "$.a", "and", "or", "not", "eq", "lt", "index",
        "slice", "printf", "print", "len", "call", "html", "/*", "*/",
    )
)  # fmt: skip


@examples(300)
@given(st.lists(_PIECES, max_size=25).map(" ".join) | st.text("{}.$|()\"`'=:,-+ /*axie01\n", max_size=40))
def test_any_text_is_a_template_or_an_error_of_its_own(text: str) -> None:
    try:
        found = TemplateSet()
        found.add("t", text)
        found.execute("t", {"a": {"b": [1, "x", None]}})
    except TemplateError:
        pass


@examples(200)
@given(st.lists(_PIECES, max_size=12).map(lambda words: "{{ " + " ".join(words) + " }}"))
def test_any_action_runs_or_is_an_error_of_its_own(text: str) -> None:
    try:
        parse_template(text).execute({"a": {"b": [1, "x", None]}})
    except TemplateError:
        pass


# YAML


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1, {"x": "y"}]}, 'a:\n- 1\n- x: "y"\nb: 1'),
        ([], "[]"),
        ({}, "{}"),
        (None, "null"),
        ("true", '"true"'),
        ("1.0", '"1.0"'),
        ("a: b", '"a: b"'),
        ("-x", "-x"),
        ("- x", '"- x"'),
        ("plain text", "plain text"),
        ("two\nlines\n", "|\n  two\n  lines"),
        ({"t": "two\nlines"}, "t: |-\n  two\n  lines"),
        ({"m": {"k": [True, 1.5]}}, "m:\n  k:\n  - true\n  - 1.5"),
        ([["a"]], "- - a"),
        (1.0, "1"),
    ],
)
def test_values_as_yaml(value: Any, text: str) -> None:
    assert to_yaml(value) == text


def test_what_yaml_cannot_hold_is_an_empty_text() -> None:
    assert to_yaml({"f": Func("f", lambda: 1)}) == ""
    assert to_yaml([1j]) == ""


_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")), max_size=12) | st.text(
    "ab: -#'\"\n\t|>{}[]&*!%@`~ny01", max_size=12
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1000, 1000) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_TEXTS, _VALUES, max_size=4))
@example({"": "0\n"})
@example({"a": ["0\n\n"]})
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    assert from_yaml(to_yaml(value) + "\n") == value


@given(st.text("ab: -#'\"\n|>{}[]&*!%@`~<0.\t", max_size=30))
def test_any_text_is_yaml_or_an_error_of_the_function(text: str) -> None:
    try:
        from_yaml(text)
    except FunctionError:
        pass


def test_dates_stay_texts_and_aliases_count_each_time() -> None:
    assert from_yaml("d: 2020-01-01") == {"d": "2020-01-01"}
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(8)
    )
    with pytest.raises(FunctionError, match="too large"):
        from_yaml(bomb)


def test_values_that_are_required() -> None:
    assert required("m", 0) == 0
    assert required("m", False) is False
    for nothing in (None, ""):
        with pytest.raises(FunctionError, match="m"):
            required("m", nothing)


def test_a_dump_tells_types() -> None:
    shown = dump({"a": [1, "x"], "s": Struct("git.Commit", {"Hash": "ab"}), "n": None})
    assert shown == (
        'map[string]interface {} {\n  "a": []interface {} [\n    int 1,\n    string "x"\n  ],\n  "n": nil,\n'
        '  "s": git.Commit {\n    Hash: string "ab"\n  }\n}'
    )
