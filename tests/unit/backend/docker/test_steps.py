"""From what builders call a step to its lines, and from their words to our errors."""

from __future__ import annotations

import pytest

from pywerf.backend.contract import DockerfileBuild
from pywerf.backend.docker.errors import explain
from pywerf.backend.docker.steps import at_line, classic_step, failure, image_step, vertex_step
from pywerf.build.dockerfile_build import dockerfile_steps
from pywerf.errors import BuildError, ContainerFailed, ImageNotFound, RegistryUnauthorized
from pywerf.frontend.dockerfile.parser import parse

STEPS = dockerfile_steps(
    parse(b"ARG X\nFROM a AS Build\nENV A=1\nRUN one\nWORKDIR /w\nFROM scratch\nCOPY --from=build x /\nRUN \\\n  two\n")
)
ONE = dockerfile_steps(parse(b"FROM a\nRUN one\nENV A=1\nCOPY x /\n"))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("[build 1/3] FROM docker.io/library/a@sha256:00", 2),
        ("[build 2/3] RUN one", 4),
        ("[build 3/3] WORKDIR /w", 5),
        ("[stage-1 1/2] COPY --from=build x /", 7),  # FROM scratch is not counted
        ("[stage-1 2/2] RUN   two", 8),
        ("[linux/arm64 build 2/3] RUN one", 4),
        ("[build  2/10] RUN trigger", 2),  # triggers of the base come first, at the line of FROM
        ("[build  9/10] RUN one", 4),
        ("[internal] load build context", 0),
        ("[other 1/2] RUN x", 0),
        ("exporting to image", 0),
    ],
)
def test_vertexes(name: str, line: int) -> None:
    step = vertex_step(STEPS, name)
    assert (step.source.first if step else 0) == line


def test_one_stage_has_no_name() -> None:
    step = vertex_step(ONE, "[3/3] COPY x /")
    assert vertex_step(ONE, "[stage-0 3/3] COPY x /") == step  # so 20.10 calls it when there is a cache mount
    assert step is not None
    assert step.source.first == 4


def test_the_classic_builder_counts_everything() -> None:
    assert [step.source.first for n in range(1, 9) if (step := classic_step(STEPS, n))] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert classic_step(STEPS, 9) is None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("The command '/bin/sh -c one' returned a non-zero code: 3", 3),
        ("executor failed running [/bin/sh -c one]: exit code: 127", 127),
        ('process "/bin/sh -c one" did not complete successfully: exit code: 2', 2),
    ],
)
def test_a_command_that_fails(message: str, code: int) -> None:
    error = failure(message, "[2/3] RUN one", ONE[1])
    assert isinstance(error, ContainerFailed)
    assert (error.status, str(error)) == (code, f"Dockerfile:2: [2/3] RUN one: exit code {code}")
    assert error.source is not None
    assert error.source.lines == ("RUN one",)


def test_other_failures_keep_their_words() -> None:
    error = failure("COPY failed: no source files were specified", "[3/3] COPY x /", ONE[3])
    assert type(error) is BuildError
    assert str(error) == "Dockerfile:4: [3/3] COPY x /: COPY failed: no source files were specified"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("pull access denied for x, repository does not exist or may require 'docker login': denied: x", None),
        ("No such image: x:latest", ImageNotFound),
        ("unauthorized: authentication required", RegistryUnauthorized),
        ("write /x: no space left on device", BuildError),
    ],
)
def test_hints(message: str, kind: type[Exception] | None) -> None:
    error = failure(message, "[1/3] FROM x", ONE[0])
    assert isinstance(error, kind or RegistryUnauthorized)
    assert error.hint


@pytest.mark.parametrize(
    ("image", "line"),
    [
        ("docker.io/library/busybox:latest", 3),
        ("r.io/team/busybox:1", 2),
        ("docker.io/library/busybox:10", 4),
        ("r.io/tools:2", 6),
        ("docker.io/library/helper:latest", 7),
        ("r.io/other:1", 0),
    ],
)
def test_who_wants_an_image(image: str, line: int) -> None:
    text = (
        "ARG R\nFROM --platform=linux/arm64 ${R}/team/busybox:1\nFROM busybox\nFROM busybox:10 AS b\n"
        "FROM scratch\nCOPY --from=$R/tools:2 /x /\nRUN --mount=type=bind,from=helper,target=/h true\n"
    )
    step = image_step(dockerfile_steps(parse(text.encode())), image)
    assert (step.source.first if step else 0) == line


@pytest.mark.parametrize(
    ("message", "line", "hint"),
    [
        ("secret a: not found", 2, "the step wants --secret id=a,src=FILE"),  # as 26.1 says it
        ("x: secret b not found: not found", 3, "the step wants --secret id=b,src=FILE"),  # as 20.10 says it
        ("NotFound: ssh agent default was not given: --ssh default", 4, "the step wants --ssh default"),
        ("ssh agent k was not given: --ssh k", 0, "the step wants --ssh k"),
    ],
)
def test_a_mount_that_was_not_given(message: str, line: int, hint: str) -> None:
    text = (
        b"FROM a\nRUN --mount=type=secret,target=/r/a one\nRUN --mount=type=secret,id=b,dst=/a two\n"
        b"RUN --mount=type=cache,target=/c --mount=type=ssh x\n"
    )
    error = at_line(explain(message), DockerfileBuild(text, steps=dockerfile_steps(parse(text))))
    assert (error.source.first if error.source else 0, error.hint) == (line, hint)
