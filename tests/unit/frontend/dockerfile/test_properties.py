"""What holds for any text."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pywerf.errors import DockerfileError
from pywerf.frontend.dockerfile import parse, parse_instructions, to_text
from pywerf.frontend.dockerfile.analysis import Subject
from pywerf.frontend.dockerfile.ast import dump
from pywerf.frontend.dockerfile.check import call
from pywerf.frontend.dockerfile.expand import Expander
from pywerf.frontend.dockerfile.gotext import SPACES
from pywerf.frontend.dockerfile.instructions import INSTRUCTIONS
from pywerf.frontend.dockerfile.lexer import words
from support.examples import examples

PIECES = [
    *(name + " " for name in INSTRUCTIONS),
    *(
        "foo ",
        "--from=x ",
        "--mount=type=cache,target=/a ",
        "AS ",
        "a=b ",
        "$v ",
        "${v:-w} ",
        "${v#*/}",
        "<<EOF ",
        "<<-'E' ",
    ),
    *("\n", "\\\n", "`\n", "\r\n", "\nEOF\n", "\n\tE\n", "# c\n", "# escape=`\n", "#check=skip=all\n", "\n\n"),
    *(
        '["a", "b"]',
        "[1]",
        '"',
        "'",
        "\\",
        "`",
        "80/tcp ",
        "scratch ",
        "x ",
        "\t",
        "\u00a0",
        "\x1c",
        "é",
        "\udcff",
        "\ufeff",
    ),
]
dockerfiles = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)
any_text = st.one_of(dockerfiles, st.text(max_size=60), st.binary(max_size=60))


def check_error(error: DockerfileError, text: str | bytes) -> None:
    """An error has words and a place in the file."""
    assert error.message
    assert error.source is not None
    count = len((text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text).split("\n"))
    assert 1 <= error.source.first <= error.source.last <= count
    assert len(error.source.lines) <= error.source.last - error.source.first + 1


@examples(300)
@given(any_text)
def test_any_text_is_a_tree_or_an_error_with_a_place(text: str | bytes) -> None:
    try:
        tree = parse(text)
    except DockerfileError as error:
        check_error(error, text)
        return
    printed = to_text(tree)
    assert printed == (text if isinstance(text, str) else text.decode("utf-8", "surrogateescape"))
    assert parse(printed) == tree
    assert "".join(node.leading + node.raw for node in tree.nodes) + tree.trailing == printed
    dump(tree)
    try:
        parse_instructions(tree)
    except DockerfileError as error:
        check_error(error, text)


LINES = [
    'ENV a=b c="d e"',
    "ENV a b c",
    'LABEL "a b"=c',
    "RUN --mount=type=cache,target=/a echo $x",
    'RUN ["a", "b\\nc"]',
    "RUN <<EOF cat\n$x\nEOF",
    "RUN a <<1 <<2\n1\n2",
    "COPY --chown=1 a 'b c' d/",
    'COPY ["a b", "c"]',
    'COPY <<A <<-"B" /x/\na\nA\n\tb\n\tB',
    "HEALTHCHECK --interval=1s CMD a b",
    'HEALTHCHECK CMD ["a"]',
    "HEALTHCHECK NONE",
    'ONBUILD RUN ["x"]',
    "ONBUILD COPY <<E /a\nq\nE",
    "ONBUILD ENV a=b c=d",
    'SHELL ["/bin/sh"]',
    'VOLUME ["/a"]',
    "EXPOSE 80 90",
    "CMD",
    "CMD a  \\\n# c\n\n  b",
    "ARG a=b c",
    "MAINTAINER x <y>",
    'env a="b\\\n c" d=e',
]


@examples(300)
@given(st.lists(st.sampled_from(LINES) | st.sampled_from(PIECES), max_size=8))
def test_a_tree_written_from_its_fields_means_the_same(lines: list[str]) -> None:
    """Without the raw text: what can be told by the printed file alone."""
    try:
        tree = parse("\n".join(["FROM scratch", *lines, ""]))
        parse_instructions(tree)
    except DockerfileError:
        return
    nodes = tuple(replace(node, raw="", leading="") for node in tree.nodes)
    printed = to_text(replace(tree, nodes=nodes, trailing=""))
    assert dump(parse(printed)) == dump(tree)
    assert printed == to_text(replace(parse(printed), nodes=nodes, trailing=""))


@examples(150)
@given(dockerfiles)
def test_calls_end_well_or_with_an_error(text: str) -> None:
    try:
        tree = parse("FROM scratch\n" + text)
    except DockerfileError:
        return
    for method in ("check", "check,format=json", "outline", "targets"):
        with contextlib.suppress(DockerfileError):
            assert call(method, tree, Subject(build_args={"v": "1"})).exit_code in (0, 1)


shell_text = st.text(alphabet="ab$${}{}:-+?#%/\\'\"` *_1@é", max_size=40)


@examples(500)
@given(shell_text, st.sampled_from(["\\", "`"]), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_expansion_never_crashes(
    text: str, escape: str, raw_quotes: bool, raw_escapes: bool, skip_quotes: bool, skip_unset: bool
) -> None:
    expander = Expander(
        {"a": "1", "b": ""},
        escape,
        raw_quotes=raw_quotes,
        raw_escapes=raw_escapes,
        skip_quotes=skip_quotes,
        skip_unset=skip_unset,
    )
    try:
        word = expander.word(text)
    except DockerfileError:
        with pytest.raises(DockerfileError, match="failed to process "):
            expander.words(text)
        return
    found = expander.words(text)
    # Splitting loses blanks alone.
    blanks = re.compile(f"[{re.escape(SPACES)}]")
    assert blanks.sub("", "".join(found)) == blanks.sub("", word)
    assert expander.matched <= {"a", "b"}


@given(st.text(alphabet="abc /.:=-", max_size=30))
def test_text_without_special_characters_stays(text: str) -> None:
    assert Expander({}).word(text) == text
    assert Expander({}).words(text) == text.split()


def words_one_by_one(rest: str, escape: str) -> list[str]:
    """What `words` has to give, one character after the other."""
    out: list[str] = []
    word, quoted, started = "", "", False
    position = 0
    while position < len(rest):
        char = rest[position]
        if not quoted and char in SPACES:
            if word or started:
                out.append(word)
            word, started = "", False
        elif char == escape and quoted != "'":
            if position + 1 < len(rest):
                word += char + rest[position + 1]
                position += 1
        else:
            if not quoted and char in "'\"":
                quoted, started = char, True
            elif char == quoted:
                quoted = ""
            word += char
        position += 1
    if word:
        out.append(word)
    return out


@examples(500)
@given(st.text(alphabet="ab= \t'\"\\`é\u00a0", max_size=20), st.sampled_from(["\\", "`"]))
def test_words_of_pairs(text: str, escape: str) -> None:
    assert words(text.strip(SPACES), escape) == words_one_by_one(text.strip(SPACES), escape)
