"""Completion in the shells themselves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support import machine
from support.werf import Werf

pytestmark = pytest.mark.integration

BASH = """\
eval "$(werf completion --shell bash)"
COMP_WORDS=(%s) COMP_CWORD=%d
_werf_completion werf
printf '%%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def env(werf: Werf, tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has `werf`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "werf").write_text(f'#!/bin/sh\nexec {" ".join(werf.command)} "$@"\n')
    (programs / "werf").chmod(0o755)
    return {**werf.env, "PATH": f"{programs}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("words", "number", "found"),
    [
        ("werf cr log", 2, {"login", "logout"}),
        ("werf completion --shell ''", 3, {"bash", "zsh", "fish", "powershell"}),
        ("werf build --final", 2, {"--final-images-only", "--final-repo"}),
    ],
)
def test_bash(env: dict[str, str], words: str, number: int, found: set[str]) -> None:
    done = machine.run(machine.require("bash"), "-c", BASH % (words, number), env=env)
    assert set(done.stdout.split()) == found


def test_fish(env: dict[str, str]) -> None:
    script = "werf completion fish | source; complete --do-complete 'werf cr log'"
    done = machine.run(machine.require("fish"), "-c", script, env=env)
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"login", "logout"}


def test_zsh_reads_its_script(env: dict[str, str]) -> None:
    script = 'autoload -Uz compinit; compinit -u; eval "$(werf completion zsh)"; print $_comps[werf]'
    done = machine.run(machine.require("zsh"), "-f", "-c", script, env=env)
    assert done.stdout == "_werf_completion\n"
