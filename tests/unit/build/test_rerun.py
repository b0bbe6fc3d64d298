"""Dockerfiles that show what is before a command, and what it leaves."""

from __future__ import annotations

import re

import pytest

from pywerf.backend.contract import DockerfileBuild
from pywerf.build.rerun import RerunCommand, find_command
from pywerf.errors import SourceExcerpt

TEXT = """\
# escape=\\
ARG GLOBAL=1
ARG UNSET
FROM base AS first
ARG OTHER=no
RUN one
FROM base
ARG GLOBAL
ARG UNSET
ARG GIVEN
ARG NEVER
ARG TARGETARCH
ARG OWN="a b"
ENV E=1
RUN --network=none --mount=type=bind,target=/src --mount=type=bind,from=first,source=/x,target=/y \\
    --mount=type=cache,target=/c --mount=type=tmpfs,target=/t --mount=type=secret,id=s two \\
    more
RUN three
"""


def command(text: str = TEXT, line: int = 15) -> RerunCommand:
    build = DockerfileBuild(
        text.encode(), tags=("t",), target="last", labels={"a": "b"}, build_args={"GIVEN": "x"}, no_cache=True
    )
    found = find_command(build, SourceExcerpt("Dockerfile", line, line, ("",)))
    assert found is not None
    return found


def test_before_a_command_is_the_file_up_to_it_with_its_mounts_and_args() -> None:
    build = command().before
    lines = build.dockerfile.decode().splitlines()
    assert lines[:14] == TEXT.splitlines()[:14]
    assert lines[14:] == [
        'COPY ["/", "/src"]',
        'COPY --from=first ["/x", "/y"]',
        'ENV GLOBAL="${GLOBAL}"',
        'ENV GIVEN="${GIVEN}"',
        'ENV TARGETARCH="${TARGETARCH}"',
        'ENV OWN="${OWN}"',
    ]
    assert (build.tags, build.target, build.labels, build.no_cache) == ((), "", {"a": "b"}, False)
    assert build.build_args == {"GIVEN": "x"}
    assert build.steps[-1].keyword == "ENV"


def test_after_a_command_it_is_run_by_a_shell_that_lets_it_fail() -> None:
    failed = command()
    text = failed.after(("/bin/bash", "-o", "pipefail", "-c")).dockerfile.decode()
    shell = next(line for line in text.splitlines() if line.startswith("SHELL"))
    assert shell.startswith('SHELL ["/bin/bash", "-c", "\\"$@\\"; status=$?;')
    assert re.search(r'"again-[0-9a-f]{12}", "/bin/bash", "-o", "pipefail", "-c"\]$', shell)
    assert "--mount=type=secret,id=s two \\\n    more\n" in text
    assert "three" not in text
    assert text != failed.after(("/bin/bash", "-o", "pipefail", "-c")).dockerfile.decode()  # no cache has it


@pytest.mark.parametrize(
    ("shell", "program"),
    [((), "/bin/sh"), (("/bin/dash", "-c"), "/bin/dash"), (("python3", "-c"), "/bin/sh"), (("cmd", "/S"), "/bin/sh")],
)
def test_what_calls_the_command_is_a_shell(shell: tuple[str, ...], program: str) -> None:
    text = command("FROM a\nRUN x\n", 2).after(shell).dockerfile.decode()
    assert text.splitlines()[1].startswith(f'SHELL ["{program}", "-c", ')


def test_the_exec_form_is_called_as_it_is() -> None:
    text = command('FROM a\nRUN --network=host ["x", "a b"]\n', 2).after(()).dockerfile.decode()
    last = text.splitlines()[-1]
    assert last.startswith('RUN --network=host ["/bin/sh", "-c", ')
    assert last.endswith(', "x", "a b"]')
    assert "SHELL" not in text


def test_here_documents_stay_whole() -> None:
    text = command("FROM a\nRUN <<EOF\none\ntwo\nEOF\nRUN x\n", 2).after(()).dockerfile.decode()
    assert text.endswith("RUN <<EOF\none\ntwo\nEOF\n")


def test_what_the_container_has_and_lacks() -> None:
    failed = command()
    assert failed.network == "none"
    assert failed.tmpfs == ("/t",)
    assert failed.missing == ("--mount=type=cache,target=/c", "--mount=type=secret,id=s")


def test_variables_in_mounts_are_not_guessed() -> None:
    failed = command("FROM a\nRUN --mount=from=$X,target=/y x\n", 2)
    assert failed.missing == ("--mount=from=$X,target=/y",)
    assert "COPY" not in failed.before.dockerfile.decode()


def test_other_instructions_are_no_commands() -> None:
    build = DockerfileBuild(b"FROM a\nCOPY b c\n")
    assert find_command(build, SourceExcerpt("Dockerfile", 2, 2, ("",))) is None
    assert find_command(build, SourceExcerpt("Dockerfile", 1, 1, ("",))) is None  # a trigger
    assert find_command(build, None) is None
