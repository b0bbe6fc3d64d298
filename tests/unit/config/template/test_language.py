"""The template language beyond Go's own table: scopes, trimming, definitions, messages, limits."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pywerf.config.template import Func, Struct, parse_template
from pywerf.errors import TemplateError


def render(text: str, data: Any = None, **options: Any) -> str:
    return parse_template(text, "t").execute(data, **options)


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("a  {{- 1 -}}  b", "a1b"),
        ("a\n{{- /* gone */ -}}\nb", "ab"),
        ("a {{/* gone */}} b", "a  b"),
        ("{{-1}}", "-1"),
        ("{{- -1 -}}", "-1"),
        ("{{\n1\n}}", "1"),
        ("x{{ 1 }}\n{{- 2 }} {{ 3 -}}\ny", "x12 3y"),
        ("no actions } }} {", "no actions } }} {"),
    ],
)
def test_text_and_trimming(text: str, out: str) -> None:
    assert render(text) == out


@pytest.mark.parametrize(
    ("text", "out"),
    [
        ("{{$x := 1}}{{if true}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21"),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
        ("{{$x := 0}}{{range .l}}{{$x = .}}{{end}}{{$x}}", "3"),
        ("{{range $i, $e := .l}}{{$i}}:{{$e}} {{end}}", "0:1 1:2 2:3 "),
        ("{{range $k, $v := .m}}{{$k}}={{$v}};{{end}}", "a=1;b=2;"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{range $i, $e := .l}}{{if eq $e 2}}{{continue}}{{end}}{{$e}}{{end}}", "13"),
        ("{{range .l}}{{if eq . 2}}{{break}}{{end}}{{.}}{{end}}", "1"),
        ("{{range .none}}x{{else}}none{{end}}", "none"),
        ("{{range .l}}{{range $.l}}{{break}}{{end}}{{.}}{{end}}", "123"),
        ("{{with .m}}{{.a}}{{$.l}}{{end}}", "1[1 2 3]"),
        ("{{with .none}}x{{else with .m}}{{.b}}{{else}}z{{end}}", "2"),
        ("{{if .none}}x{{else if .m}}y{{else}}z{{end}}", "y"),
        ("{{define `t2`}}<{{.}}>{{end}}{{template `t2` .l}}{{template `t2`}}", "<[1 2 3]><<no value>>"),
        ("{{block `b` .m}}{{.a}}{{end}}", "1"),
        ("{{define `x`}}{{$}}{{end}}{{$y := 1}}{{template `x` 5}}", "5"),
        ("{{(index .l 1) | printf `%03d`}}", "002"),
        ("{{.m.a | printf `%d-%s` 7 | print}}", "7-%!s(int=1)"),
        ("{{and .none .l}}|{{or .none 0 `x`}}|{{and 1 2}}", "<no value>|x|2"),
        ("{{or true (index .l 9)}}", "true"),
        ("{{not .none}}{{len .m}}{{len `äb`}}", "true23"),
        ("{{slice `abcdef` 1 3}}{{index `abc` 1}}", "bc98"),
        ("{{eq 1 2 3 1}}{{ne 1 2}}{{lt 1 2}}{{le 2 2}}{{gt 3 2}}{{ge 2 3}}", "truetruetruetruetruefalse"),
        ("{{eq .none nil}}{{eq `a` `a`}}{{lt `a` `b`}}{{eq 1.5 1.5}}", "truetruetruetrue"),
        ("{{print 1 2 `a` 3 4 nil}}", "1 2a3 4 <nil>"),
        ("{{println `a` 1}}", "a 1\n"),
        ("{{urlquery `a b&c/ä`}}", "a+b%26c%2F%C3%A4"),
        ("{{js `<a href='x'>&=\"\n`}}", r"\u003Ca href\u003D\'x\'\u003E\u0026\u003D\"\u000A"),
        ("{{html nil}}", "&lt;no value&gt;"),
        ("{{eq .n .l}} {{ne .n .n}}", "false false"),
        ("{{range $x := .none}}{{else}}{{$x}}{{end}}", "<no value>"),
        ("{{1_000}} {{0x1F}} {{0b11}} {{'a'}} {{1e3}} {{-2}} {{.5}}", "1000 31 3 97 1000 -2 0.5"),
        (r'{{"tab\tquote\" A\x41\101é"}}', 'tab\tquote" AAA\u00e9'),
        ("{{.f}} {{.big}} {{.n}} {{.b}}", "1e+21 1e-07 <no value> false"),
        ("{{.x.y.z}}", "<no value>"),
    ],
)
def test_language(text: str, out: str) -> None:
    data = {"l": [1, 2, 3], "m": {"b": 2, "a": 1}, "f": 1e21, "big": 1e-7, "n": None, "b": False}
    assert render(text, data) == out


@pytest.mark.parametrize(
    ("pattern", "values", "out"),
    [
        ("%d|%5d|%-5d|%05d|%+d|% d", "1 2 3 4 5 6", "1|    2|3    |00004|+5| 6"),
        ("%x %X %#x %o %#o %O %b %c %U %q", "255 255 255 8 8 8 5 65 65 65", "ff FF 0xff 10 010 0o10 101 A U+0041 'A'"),
        (
            "%s|%10s|%-10s|%.2s|%q|%x",
            '`abc` `abc` `abc` `abc` `a"b` `abc`',
            'abc|       abc|abc       |ab|"a\\"b"|616263',
        ),
        ("%v %+v %T %T", ".s .s .s .l", "{1 x} {A:1 B:x} demo []interface {}"),
        ("%#v %#v %#v", ".l .m `q`", '[]interface {}{1, 2} map[string]interface {}{"a":1} "q"'),
        (
            "%f %.1f %e %g %6.2f|%-8.1f|",
            "1.5 2.25 1500.0 0.1 3.14159 2.0",
            "1.500000 2.2 1.500000e+03 0.1   3.14|2.0     |",
        ),
        ("%t %v %%", "true false", "true false %"),
        ("%d %d", "1", "1 %!d(MISSING)"),
        ("%d", "1 `x`", "1%!(EXTRA string=x)"),
        ("%d %s %z", "`x` 1 2", "%!d(string=x) %!s(int=1) %!z(int=2)"),
        ("%[2]d %[1]d", "1 2", "2 1"),
        ("%*d|%-*d|%.*f", "4 1 4 1 1 2.55", "   1|1   |2.5"),
        ("%d %v %5d", ".l .l .l", "[1 2] [1 2] [    1     2]"),
        ("%!", "", "%!!(MISSING)"),
        ("%[3]d|%[1]d", "1 2", "%!d(BADINDEX)|1"),
        ("%.d|%.3d|%x", "5 7 `é`", "5|007|c3a9"),
        ("%v", "nil", "<nil>"),
        ("100%", "", "100%!(NOVERB)"),
    ],
)
def test_printf(pattern: str, values: str, out: str) -> None:
    data = {"s": Struct("demo", {"A": 1, "B": "x"}), "l": [1, 2], "m": {"a": 1}}
    assert render("{{printf `" + pattern + "` " + values + "}}", data) == out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{", "t:1: unclosed action"),
        ("\n\n{{.x", "t:3: unclosed action"),
        ("{{/* x", "t:1: unclosed comment"),
        ("{{/* x */ y}}", "comment ends before closing delimiter"),
        ("{{}}", "missing value for command"),
        ("{{if}}x{{end}}", "missing value for if"),
        ("{{if true}}", "unexpected EOF"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{else}}", "unexpected {{else}}"),
        ("{{if true}}{{else}}{{else}}{{end}}", "expected end; found {{else}}"),
        ("{{range .}}{{else if true}}{{end}}", "in else"),
        ("{{break}}", "{{break}} outside {{range}}"),
        ("{{range .}}{{define `x`}}{{break}}{{end}}{{end}}", "unexpected <define> in command"),
        ("{{define `x`}}{{break}}{{end}}", "outside {{range}}"),
        ("{{$x}}", 'undefined variable "$x"'),
        ("{{if true}}{{$x := 1}}{{end}}{{$x}}", 'undefined variable "$x"'),
        ("{{nope}}", 'function "nope" not defined'),
        ("{{1 | 2}}", "non executable command in pipeline stage 2"),
        ("{{1 |}}", "missing value for command"),
        ("{{(1}}", "unclosed left paren"),
        ("{{1)}}", "unexpected right paren"),
        ('{{"a}}', "unterminated quoted string"),
        ("{{`a}}", "unterminated raw quoted string"),
        ("{{'ab'}}", "malformed character constant"),
        (r'{{"\q"}}', "invalid syntax"),
        ("{{1x}}", 'bad number syntax: "1x"'),
        ("{{0x}}", "bad number syntax"),
        ("{{1__0}}", "bad number syntax"),
        ("{{99999999999999999999}}", "overflows int"),
        ("{{.x^}}", "bad character U+005E '^'"),
        ("{{#}}", 'unexpected "#" in command'),
        ("{{template x}}", "in template clause"),
        ("{{`a`.b}}", "unexpected . after term"),
        ("{{range $a, $b, $c := .}}{{end}}", "too many declarations in range"),
        ("{{with if}}", "unexpected <if> in with"),
        ("{{" + "(" * 500 + "1" + ")" * 500 + "}}", "levels in each other"),
        ("{{if 1}}" * 500 + "{{end}}" * 500, "levels in each other"),
        ("{{if 1}}" + "{{else if 1}}" * 500 + "{{end}}", "levels in each other"),
    ],
)
def test_what_does_not_parse(text: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template(text, "t")
    assert said in str(caught.value)
    assert str(caught.value).startswith("template: t:")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{.s.C}}", 't:1:4: executing "t" at <.s.C>: can\'t evaluate field C in type demo'),
        ("\n {{.l.x}}", "t:2:5:"),
        ("{{.l.x}}", "can't evaluate field x in type []interface {}"),
        ("{{.n.x}}", "nil pointer evaluating interface {}.x"),
        ("{{.s.A 1}}", "cannot be invoked as function"),
        ("{{.l 1}}", "l is not a method but has arguments"),
        ("{{nil}}", "nil is not a command"),
        ("{{template `x`}}", 'template "x" not defined'),
        ("{{define `x`}}{{template `x`}}{{end}}{{template `x`}}", "templates in each other"),
        ("{{range true}}{{end}}", "range can't iterate over true"),
        ("{{range `abc`}}{{end}}", "range can't iterate over abc"),
        ("{{index .l 5}}", "error calling index: index out of range: 5"),
        ("{{index .l `a`}}", "cannot index slice/array with type string"),
        ("{{len 3}}", "len of type int"),
        ("{{eq 1}}", "missing argument for comparison"),
        ("{{eq 1 1.0}}", "incompatible types for comparison"),
        ("{{eq .l .l}}", "non-comparable type [1]: []interface {}"),
        ("{{lt true false}}", "invalid type for comparison"),
        ("{{not}}", "wrong number of args for not: want 1 got 0"),
        ("{{and}}", "wrong number of args for and"),
        ("{{printf 1}}", "wrong type for value; expected string; got int"),
        ("{{printf nil}}", "cannot assign nil to string"),
        ("{{printf .none}}", "invalid value; expected string"),
        ("{{call 1}}", "non-function"),
        ("{{call}}", "wrong number of args for call"),
        ("{{printf `%2000000d` 1}}", "too large"),
        ("{{.function}}", "can't print function"),
        ("{{range 1000000000}}{{print `0123456789012345678901234567890123456789`}}{{end}}", "the output is larger"),
    ],
)
def test_what_does_not_run(text: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pywerf.config.template.execute.MAX_OUTPUT", 10_000)
    data = {"l": [1], "n": None, "s": Struct("demo", {"A": 1}), "function": Func("f", lambda: 1)}
    with pytest.raises(TemplateError) as caught:
        render(text, data)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # what Go's own text/template says, word by word
        ("{{$x = 1}}", 't:1:7: executing "t" at <1>: undefined variable: $x'),
        ("{{range $x = .l}}{{end}}", 't:1:13: executing "t" at <.l>: undefined variable: $x'),
        (
            "{{eq (.l)  .s }}",
            't:1:2: executing "t" at <eq (.l) .s>: error calling eq: incompatible types for comparison',
        ),
        (
            '{{with "é"}}{{index $ 1}}{{end}}',
            't:1:15: executing "t" at <index $ 1>: error calling index: value has type int; should be string',
        ),
        ('{{template "nope" .s}}', 't:1:11: executing "t" at <{{template "nope" .s}}>: template "nope" not defined'),
        ("{{range $v := .s}}{{end}}", 't:1:14: executing "t" at <.s>: range can\'t iterate over abc'),
        ("{{call (not 1).c}}", 't:1:12: executing "t" at <1>: can\'t evaluate field c in type bool'),
        ("{{.s | (len .l)}}", 't:1:2: executing "t" at <.s>: can\'t give argument to non-function len .l'),
        ("{{index nil}}", 't:1:2: executing "t" at <index nil>: error calling index: index of untyped nil'),
        ("{{end x}}", 't:1: unexpected "x" in end'),
        ("{{.s.}}", "t:1: unexpected <.> in operand"),
        ('{{if slice .big}}{{{$y}}{{$nope}}{{"', 't:1: unexpected "{" in command'),
        ('{{$nope}}{{"', 't:1: undefined variable "$nope"'),
        ('{{define "a"}}1{{end}}{{define "a"}}2{{end}}', 't:1: template: multiple definition of template "a"'),
    ],
)
def test_errors_are_told_as_go_tells_them(text: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_template(text, "t").execute({"l": [1, 2], "s": "abc"})
    assert caught.value.message == f"template: {said}"


@pytest.mark.parametrize(
    ("pattern", "value", "out"),
    [
        ("%-5d|", True, "%!d(bool=true )|"),
        ("%8.3f", 31, "%!f(int=     031)"),
        ("%08.3f", "x", "%!f(string=0000000x)"),
        ("%#o", "A", "%!o(string=A)"),
        ("%5d", [1, "two", 3.5, None, True], "[    1 %!d(string=  two) %!d(float64=  3.5) <nil> %!d(bool= true)]"),
        ("%w", {"c": "deep"}, "%!w(map[string]interface {}=map[c:deep])"),
        ("%!", "<nil>", "%!!(string=<nil>)"),
        ("%q", -3, "'\ufffd'"),
        ("%+q", "é☺", r'"\u00e9\u263a"'),
        ("%+q", -3, r"'\ufffd'"),
        ("%#o", 0, "0"),
        ("%x", 1.5, "0x1.8p+00"),
        ("%.3x", 1.1, "0x1.19ap+00"),
        ("%X", 0.1, "0X1.999999999999AP-04"),
        ("%b", 1.5, "6755399441055744p-52"),
    ],
)
def test_verbs_that_do_not_fit_and_rare_ones(pattern: str, value: Any, out: str) -> None:
    assert render("{{printf .p .v}}", {"p": pattern, "v": value}) == out


def test_missing_keys_can_be_errors() -> None:
    assert render("{{.a.b}}", {}) == "<no value>"
    with pytest.raises(TemplateError, match='map has no entry for key "a"'):
        render("{{.a}}", {}, missing_key="error")
    assert render("{{.a}}", {"a": 1}, missing_key="error") == "1"


@pytest.mark.parametrize("name", ["__class__", "__dict__", "fields", "call", "keys", "real", "format", "upper"])
@pytest.mark.parametrize("value", ["text", 7, [1], Struct("demo", {"A": 1}), Func("f", lambda: 1), object()])
def test_nothing_of_python_is_in_reach(name: str, value: Any) -> None:
    with pytest.raises(TemplateError, match="can't evaluate field"):
        render("{{.v." + name + "}}", {"v": value})


def test_dictionaries_have_keys_only() -> None:
    assert render("{{.__class__}} {{.keys}} {{.items}}", {"items": 1}) == "<no value> <no value> 1"


def test_deep_templates_leave_pythons_stack_alone() -> None:
    limit = sys.getrecursionlimit()
    text = (
        "{{define `x`}}{{if .}}"
        + "{{with 1}}" * 40
        + "{{template `x` 1}}"
        + "{{end}}" * 40
        + "{{end}}{{end}}{{template `x` 1}}"
    )
    with pytest.raises(TemplateError):
        render(text)
    assert sys.getrecursionlimit() == limit


@given(st.text(alphabet="{}()|.$ab1\"`'-+:=, \nifendwithrange/*", max_size=40))
def test_any_text_runs_or_is_refused(text: str) -> None:
    try:
        render(text, {"a": [1], "b": {"a": 1}})
    except TemplateError:
        pass


@given(
    st.text(alphabet="%#+- 0123456789.*[]vdsxqfgeTcbU", max_size=12), st.lists(st.integers() | st.text() | st.floats())
)
def test_any_printf_runs_or_is_refused(pattern: str, values: list[Any]) -> None:
    functions = {"value": Func("value", lambda n: values[n], ("int",))}
    text = "{{printf .p " + " ".join(f"(value {n})" for n in range(len(values))) + "}}"
    try:
        out = parse_template(text, "t", functions).execute({"p": pattern})
    except TemplateError as error:
        out = str(error)
    assert isinstance(out, str)
