from __future__ import annotations

import pytest

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import dump, parse, to_text
from pywerf.frontend.dockerfile.ast import Heredoc, Node
from pywerf.frontend.dockerfile.lexer import json_array
from pywerf.frontend.dockerfile.parser import MAX_LINE

ROWS = {
    "parser_row": [
        {"name": "plain", "in": "FROM a\n", "out": '(from "a")'},
        {"name": "no line end", "in": "FROM a", "out": '(from "a")'},
        {"name": "carriage returns", "in": "FROM a \\\r\n AS b\r\nRUN x\r\n", "out": '(from "a" "AS" "b")\n(run "x")'},
        {"name": "byte order mark", "in": "\ufeffFROM a\n", "out": '(from "a")'},
        {"name": "case", "in": 'from a\nRun ["x"]\n', "out": '(from "a")\n(run "x")'},
        {"name": "doubled escape ends", "in": "RUN a \\\\\nRUN b\n", "out": '(run "a \\\\\\\\")\n(run "b")'},
        {"name": "escape alone", "in": "RUN a\\\n\\\nb\n", "out": '(run "ab")'},
        {"name": "escape first", "in": "\\\nRUN a\n", "out": '(run "a")'},
        {"name": "continued at the end", "in": "RUN a \\", "out": '(run "a")'},
        {"name": "comment in continuation", "in": "RUN a \\\n  # no\n  b\n", "out": '(run "a   b")'},
        {"name": "indented comment", "in": "FROM a\n   # no\nRUN b\n", "out": '(from "a")\n(run "b")'},
        {"name": "hash inside", "in": "RUN a # b\n", "out": '(run "a # b")'},
        {"name": "backtick", "in": "# escape=`\nRUN a `\n b\\\n", "out": '(run "a  b\\\\")'},
        {"name": "late directive", "in": "#\n# escape=`\nRUN a \\\nb\n", "out": '(run "a b")'},
        {"name": "unknown", "in": "FOO bar baz\n", "out": '(foo "")'},
        {"name": "tabs", "in": "COPY\ta\tb\n", "out": '(copy "a" "b")'},
        {"name": "no-break space", "in": "COPY a\u00a0b c\n", "out": '(copy "a\\u00a0b" "c")'},
        {
            "name": "flag quotes",
            "in": "COPY --from=\"a b\" --x='y' c d\n",
            "out": '(copy ["--from=a b" "--x=y"] "c" "d")',
        },
        {"name": "flag escape", "in": "COPY --x=a\\ b c d\n", "out": '(copy ["--x=a b"] "c" "d")'},
        {"name": "non-ascii flag", "in": "COPY --x=é à d\n", "out": '(copy ["--x=é"] "à" "d")'},
        {
            "name": "healthcheck",
            "in": 'HEALTHCHECK --retries=1 CMD ["a"]\n',
            "out": '(healthcheck ["--retries=1"] "CMD" "a")',
        },
        {"name": "healthcheck alone", "in": "HEALTHCHECK\n", "out": "(healthcheck)"},
        {"name": "onbuild", "in": "ONBUILD COPY --from=x a b\n", "out": '(onbuild (copy ["--from=x"] "a" "b"))'},
        {"name": "onbuild alone", "in": "ONBUILD\n", "out": "(onbuild)"},
        {
            "name": "label quotes",
            "in": 'LABEL "a b"="c d" e=f\n',
            "out": '(label "\\"a b\\"" "\\"c d\\"" "=" "e" "f" "=")',
        },
        {"name": "env escape end", "in": "ENV a=b\\\\ c=d\n", "out": '(env "a" "b\\\\\\\\" "=" "c" "d" "=")'},
        {"name": "open quote", "in": "ARG a='b c\n", "out": '(arg "a=\'b c")'},
        {"name": "json blank", "in": "CMD [ ]\n", "out": "(cmd)"},
        {"name": "json surrogates", "in": 'CMD ["\\ud83d\\ude00 \\ud800"]\n', "out": '(cmd "😀 \ufffd")'},
        {"name": "json trailing", "in": 'CMD ["a"] b\n', "out": '(cmd "[\\"a\\"] b")'},
        {"name": "json numbers", "in": "CMD [1]\n", "fail": True},
        {"name": "label word", "in": "LABEL a=b c\n", "fail": True},
        {"name": "label alone", "in": "LABEL a\n", "fail": True},
        {"name": "empty", "in": "", "fail": True},
        {"name": "blank", "in": " \n\n", "fail": True},
    ],
    "json_row": [
        {"name": "empty", "in": "[]", "out": []},
        {"name": "blank", "in": '  ["a b", "\\u00e9"]  ', "out": ["a b", "é"]},
        {"name": "null", "in": '["a", null]', "fail": True},
    ],
}


def test_parser_rows(parser_row: dict) -> None:
    if parser_row.get("fail"):
        with pytest.raises(DockerfileError):
            parse(parser_row["in"])
        return
    tree = parse(parser_row["in"])
    assert dump(tree) == parser_row["out"].rstrip("\n")
    assert to_text(tree) == parser_row["in"]
    assert parse(to_text(tree)) == tree


def test_json_rows(json_row: dict) -> None:
    if json_row.get("fail"):
        with pytest.raises(DockerfileError, match="must be comprised of strings only"):
            json_array(json_row["in"])
    else:
        assert json_array(json_row["in"]) == tuple(json_row["out"])


@pytest.mark.parametrize("text", ["a", "['a']", '["a"', '["a",]', "[NaN]", '["a\x01"]', "[" * 20000, '["\udcff" x]'])
def test_what_is_no_json_is_left_to_the_shell(text: str) -> None:
    assert json_array(text) is None


def test_bytes_that_are_not_utf8_are_kept() -> None:
    tree = parse(b'RUN \xff\nCMD ["\xff"]\n')
    assert tree.nodes[0].args == ("\udcff",)
    assert tree.nodes[1].args == ("\ufffd",)
    assert to_text(tree).encode("utf-8", "surrogateescape") == b'RUN \xff\nCMD ["\xff"]\n'


def test_places_comments_and_raw_text() -> None:
    text = "# escape=\\\n\n# far\n\n# near\n#  nearer\nFROM a\n\nRUN b \\\n\n  c\n# end\n"
    tree = parse(text)
    first, second = tree.nodes
    assert (first.first, first.last, second.first, second.last) == (7, 7, 9, 11)
    assert first.comments == ("near", "nearer")
    assert first.leading == "# escape=\\\n\n# far\n\n# near\n#  nearer\n"
    assert second.leading == "\n"
    assert second.raw == "RUN b \\\n\n  c\n"
    assert second.original == "RUN b   c"
    assert tree.trailing == "# end\n"
    assert [(warning.first, warning.last) for warning in tree.warnings] == [(9, 11)]


@pytest.mark.parametrize(
    ("above", "comments"),
    [
        ("# a\n", ("a",)),
        ("# a\n#\n", ()),
        ("# a\n\n", ()),
        ("# syntax=docker/dockerfile:1\n", ()),
        ("# syntax=docker/dockerfile:1\n# a\n", ("a",)),
        ("#!/bin/sh\n# syntax=x\n# a\n", ("a",)),
    ],
)
def test_only_the_comments_directly_above_belong_to_an_instruction(above: str, comments: tuple[str, ...]) -> None:
    assert parse(f"{above}FROM a\n").nodes[0].comments == comments


def test_directives() -> None:
    tree = parse("#\tSyntax = docker/dockerfile:1 \n# check=skip=all\n# EsCaPe=`\nFROM a\n")
    assert [(d.name, d.value, d.line) for d in tree.directives] == [
        ("syntax", "docker/dockerfile:1", 1),
        ("check", "skip=all", 2),
        ("escape", "`", 3),
    ]
    assert tree.escape == "`"
    assert tree.directive("check") is tree.directives[1]
    assert parse("# foo=bar\n# escape=`\nFROM a\n").directives == ()
    behind_shebang = parse("#!/usr/bin/env docker\n# syntax=x\n# escape=`\nFROM a\n")
    assert [d.name for d in behind_shebang.directives] == ["syntax"]
    assert behind_shebang.escape == "\\"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("# escape=`\n# escape=\\\nFROM a\n", "only one escape parser directive can be used", 2),
        ("# escape=x\nFROM a\n", "invalid escape token 'x' does not match ` or \\", 1),
        ("FROM a\n\nENV b\n", "ENV must have two arguments", 3),
        ("FROM a\nRUN <<EOF\nb\n", "unterminated heredoc", 2),
        ("FROM a\nCMD [1]\n", "when using JSON array syntax, arrays must be comprised of strings only", 2),
        ("# a\n\n", "file with no instructions", 2),
        (
            "FROM a\n" + "RUN " + "x" * MAX_LINE + "\n",
            f"dockerfile line greater than max allowed size of {MAX_LINE}",
            2,
        ),
    ],
)
def test_errors_say_where(text: str, message: str, line: int) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(text, "D")
    assert caught.value.message == message
    assert caught.value.source is not None
    assert (caught.value.source.file, caught.value.source.first) == ("D", line)
    assert caught.value.source.lines[0][:40] == text.split("\n")[line - 1][:40]


def test_the_longest_line_is_taken() -> None:
    assert parse("RUN " + "x" * (MAX_LINE - 4)).nodes[0].last == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN <<EOF\na\nb\nEOF\n", [Heredoc("EOF", content="a\nb\n")]),
        ("RUN <<EOF\r\na\r\nEOF\r\n", [Heredoc("EOF", content="a\r\n")]),
        ("RUN <<-EOF\n\ta\n\tEOF\n", [Heredoc("EOF", chomp=True, content="\ta\n")]),
        ("COPY <<'E F' /x\n$a\nE F\n", [Heredoc("E F", expand=False, content="$a\n")]),
        ('ADD <<E"O"F /x\nEOF\n', [Heredoc("EOF", expand=False)]),
        ("RUN 3<<A cat <<B\n1\nA\n2\nB\n", [Heredoc("A", fd=3, content="1\n"), Heredoc("B", content="2\n")]),
        ("ONBUILD RUN <<EOF\na\nEOF\n", [Heredoc("EOF", content="a\n")]),
        ("RUN a \\\n <<EOF\n# no comment \\\nEOF", [Heredoc("EOF", content="# no comment \\\n")]),
        ("RUN <<$A\nb\n$A\n", [Heredoc("$A", content="b\n")]),
        ("RUN echo $((1<<2))\n", []),
        ("RUN cat <<<word\n", []),
        ("RUN a << EOF\n", []),
        ('RUN ["a", "<<EOF"]\n', []),
        ("RUN echo '<<EOF\n", []),
        ("ENV a=<<EOF\n", []),
        ("LABEL <<EOF=x\n", []),
    ],
)
def test_heredocs(text: str, expected: list[Heredoc]) -> None:
    tree = parse(text + "\n" if not text.endswith("\n") else text)
    assert list(tree.nodes[0].heredocs) == expected
    assert len(tree.nodes) == 1


def test_chomped_text_has_no_leading_tabs() -> None:
    assert Heredoc("E", chomp=True, content="\t\ta\n\x0b\tb\n\n\tc").text == "a\n\x0b\tb\n\nc"
    assert Heredoc("E", content="\ta\n").text == "\ta\n"


@pytest.mark.parametrize(
    "line",
    [
        "FROM --platform=linux/amd64 a AS b",
        'ENV a="b c" d=e',
        "ENV a b c",
        'CMD ["a", "b \\"c"]',
        'HEALTHCHECK --interval=1s CMD ["a", "b"]',
        "HEALTHCHECK NONE",
        "ONBUILD COPY --from='x y' a b",
        "RUN --mount=type=cache,target=/x make all",
        "COPY --chown=1:2 a b c/",
    ],
)
def test_nodes_without_raw_text_are_written_from_their_fields(line: str) -> None:
    (node,) = parse(line).nodes
    made = Node(node.keyword, node.name, node.args, node.flags, node.json, child=node.child)
    tree = parse(line)
    again = parse(to_text(type(tree)(tree.filename, (made,))))
    assert dump(again) == dump(tree)


def test_a_made_heredoc_is_written_too() -> None:
    made = Node("RUN", "RUN", ("<<EOF",), heredocs=(Heredoc("EOF", content="a\n"),))
    tree = parse("FROM x")
    text = to_text(type(tree)(tree.filename, (*tree.nodes, made)))
    assert text == "FROM x\nRUN <<EOF\na\nEOF\n"
