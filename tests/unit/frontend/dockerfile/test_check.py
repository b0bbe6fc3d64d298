from __future__ import annotations

import json

import pytest

from pywerf.errors import DockerfileError, SourceExcerpt
from pywerf.frontend.dockerfile import parse
from pywerf.frontend.dockerfile.analysis import Subject
from pywerf.frontend.dockerfile.check import call, print_source


def test_check_without_warnings() -> None:
    result = call("check", parse("FROM scratch\n"))
    assert (result.text, result.exit_code) == ("Check complete, no warnings found.\n", 0)


def test_check_with_one_warning() -> None:
    result = call("check", parse("FROM scratch\nWORKDIR /a\nCMD a\n"))
    assert result.exit_code == 1
    assert result.text == (
        "Check complete, 1 warning has been found!\n"
        "\n"
        "WARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\n"
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals\n"
        "Dockerfile:3\n"
        "--------------------\n"
        "   1 |     FROM scratch\n"
        "   2 |     WORKDIR /a\n"
        "   3 | >>> CMD a\n"
        "   4 |     \n"
        "--------------------\n"
    )


def test_check_with_an_error() -> None:
    result = call("check", parse("FROM scratch AS B\nFOOBAR"))
    assert result.text.endswith(
        "\nERROR: dockerfile parse error on line 2: unknown instruction: FOOBAR\n"
        "Dockerfile:2\n"
        "--------------------\n"
        "   1 |     FROM scratch AS B\n"
        "   2 | >>> FOOBAR\n"
        "--------------------\n"
    )
    assert result.text.startswith("Check complete, 1 warning has been found!\n")
    violated = call("check", parse("# check=error=true\nFROM scratch AS B\n"))
    assert "ERROR: lint violation found for rules: StageNameCasing\n" in violated.text


def test_check_as_json() -> None:
    result = call("check,format=json", parse("FROM scratch AS B\nFOOBAR\n"))
    document = json.loads(result.text)
    assert document["warnings"] == [
        {
            "ruleName": "StageNameCasing",
            "description": "Stage names should be lowercase",
            "url": "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/",
            "detail": "Stage name 'B' should be lowercase",
            "location": {"ranges": [{"start": {"line": 1}, "end": {"line": 1}}]},
        }
    ]
    assert document["sources"] == [
        {"filename": "Dockerfile", "data": "RlJPTSBzY3JhdGNoIEFTIEIKRk9PQkFSCg==", "language": "Dockerfile"}
    ]
    assert document["buildError"] == {
        "message": "dockerfile parse error on line 2: unknown instruction: FOOBAR",
        "location": {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]},
    }
    assert json.loads(call("check,format=json", parse("FROM scratch\n")).text)["warnings"] is None


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [(1, 1, range(1, 4)), (3, 3, range(1, 6)), (9, 9, range(7, 10)), (4, 6, range(3, 8)), (1, 9, range(1, 10))],
)
def test_lines_around(first: int, last: int, shown: range) -> None:
    lines = tuple(f"line {i}" for i in range(1, 10))
    text = print_source(SourceExcerpt("D", first, last, lines[first - 1 : last]), lines)
    assert [int(line[:4]) for line in text.split("\n")[2:-2]] == list(shown)
    assert text.count(">>>") == last - first + 1


OUTLINE = """\
# VERSION the version
ARG VERSION=1
ARG UNUSED=2
ARG TAG=v$VERSION
# base what all have
FROM img:$TAG AS base
RUN --mount=type=secret,id=token,required --mount=type=ssh true

# app the application
FROM base AS app
ARG NAME=x
RUN --mount=type=secret,target=/run/other true
FROM scratch
"""


def test_outline() -> None:
    text = call("outline", parse(OUTLINE), Subject(target="app", build_args={"NAME": "y"})).text
    assert [line.rstrip() for line in text.split("\n")] == [
        "TARGET:      app",
        "DESCRIPTION: the application",
        "",
        "BUILD ARG   VALUE   DESCRIPTION",
        "VERSION     1       the version",
        "TAG         v1",
        "NAME        y",
        "",
        "SECRET   REQUIRED",
        "token    true",
        "other",
        "",
        "SSH       REQUIRED",
        "default",
        "",
        "",
    ]
    assert call("outline", parse(OUTLINE)).text == ""
    with pytest.raises(DockerfileError, match="could not be found"):
        call("outline", parse(OUTLINE), Subject(target="nope"))


def test_outline_as_json() -> None:
    document = json.loads(call("outline,format=json", parse(OUTLINE), Subject(target="base")).text)
    assert document["name"] == "base"
    assert document["args"][0] == {
        "name": "VERSION",
        "description": "the version",
        "value": "1",
        "location": {"ranges": [{"start": {"line": 2}, "end": {"line": 2}}]},
    }
    assert document["secrets"][0]["required"] is True
    assert [item["name"] for item in document["ssh"]] == ["default"]


def test_targets() -> None:
    text = call("targets", parse(OUTLINE)).text
    assert [line.rstrip() for line in text.split("\n")] == [
        "TARGET      DESCRIPTION",
        "base        what all have",
        "app         the application",
        "(default)",
        "",
    ]
    document = json.loads(call("targets,format=json", parse(OUTLINE)).text)
    assert document["targets"][2] == {
        "default": True,
        "base": "scratch",
        "location": {"ranges": [{"start": {"line": 13}, "end": {"line": 13}}]},
    }


def test_unknown_methods() -> None:
    with pytest.raises(DockerfileError, match="unknown call method 'foo'"):
        call("foo", parse("FROM a\n"))
