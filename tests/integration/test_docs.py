"""Runs what the documentation shows: every ```console block of README.md, docs/ and examples/.

In a block, a line that starts with `$ ` is a command (`\\` at its end continues it). It runs with sh in a folder with
a fresh copy of the examples; `registry.example.com` is a registry of the tests. The lines below it are looked for in
its output, in order; numbers and digests stand for any other, `...` for anything. A comment on the line before a
block changes that:

- `<!-- fails: 2 -->`: its last command ends with this status
- `<!-- not run: REASON -->`: the block only illustrates
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from support import machine
from support.werf import Werf

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")])
HOST = "registry.example.com"


class Command(msgspec.Struct, frozen=True):
    """One command of a page: the line it stands on, its text, the lines shown below it, its expected status."""

    line: int
    text: str
    shown: tuple[str, ...]
    status: int


def commands(page: Path) -> list[Command]:
    """The commands of a page, in order."""
    found: list[Command] = []
    lines = page.read_text().splitlines()
    number = 0
    while number < len(lines):
        if lines[number].strip() != "```console":
            number += 1
            continue
        note = lines[number - 1].strip() if number else ""
        block: list[tuple[int, str, list[str]]] = []
        number += 1
        while lines[number].strip() != "```":
            line = lines[number]
            if line.startswith("$ "):
                text = line[2:]
                while text.endswith("\\"):
                    number += 1
                    text += "\n" + lines[number]
                block.append((number + 1, text, []))
            elif block:
                block[-1][2].append(line)
            else:
                pytest.fail(f"{page}:{number + 1}: output without a command", pytrace=False)
            number += 1
        if note.startswith("<!-- not run:"):
            continue
        fails = re.fullmatch(r"<!-- fails: (\d+) -->", note)
        for place, (line, text, shown) in enumerate(block):
            last = place == len(block) - 1
            found.append(Command(line, text, tuple(shown), int(fails[1]) if fails and last else 0))
    return found


def normal(line: str) -> str:
    """A line without what changes between runs: digests, numbers, times, lengths of blanks."""
    line = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line)
    line = re.sub(r"\b(sha256:)?[0-9a-f]{7,}\b", "H", line)
    line = re.sub(r"\d+(\.\d+)?", "0", line)
    line = re.sub(r"0 ?([kKMG]i?)?B\b", "0 B", line)
    return " ".join(line.split())


def missing(shown: tuple[str, ...], output: str) -> str:
    """The first shown line that is not in the output, after the ones before it; empty when all are."""
    real = [normal(line) for line in output.splitlines()]
    place = 0
    for line in shown:
        wanted = normal(line)
        if not wanted or wanted == "...":
            continue
        pattern = ".*".join(re.escape(part.strip()) for part in wanted.split("..."))
        while place < len(real) and not re.fullmatch(pattern, real[place]):
            place += 1
        if place == len(real):
            return line
        place += 1
    return ""


def test_the_comparison_itself() -> None:
    output = "#1 [1/2] FROM busybox\n#2 DONE 0.25s\nsha256:0123456789abcdef  1.5MB\n"
    assert missing(("#1 [1/2] FROM busybox", "sha256:ffffffffff 20 MB"), output) == ""
    assert missing(("...", "#2 DONE ..."), output) == ""
    assert missing(("#2 DONE 1s", "#1 [1/2] FROM busybox"), output) == "#1 [1/2] FROM busybox"


def test_pages_show_commands() -> None:
    assert len([command for page in PAGES for command in commands(page)]) >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_page(page: Path, hub_werf: Werf, registry: str, tmp_path: Path) -> None:
    shown = commands(page)
    if not shown:
        return  # a page of text
    work = tmp_path / "work"
    work.mkdir()
    shutil.copytree(ROOT / "examples", work / "examples", symlinks=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "werf").write_text(f'#!/bin/sh\nexec {" ".join(hub_werf.command)} "$@"\n')
    (programs / "werf").chmod(0o755)
    env = {**hub_werf.env, "PATH": f"{programs}:{os.environ['PATH']}:{machine.SYSTEM_PATH}"}
    for command in shown:
        done = subprocess.run(
            ["sh", "-c", command.text.replace(HOST, registry)],
            cwd=work,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        output = done.stdout.decode(errors="replace").replace(registry, HOST)
        place = f"{page.relative_to(ROOT)}:{command.line}: {command.text}"
        assert done.returncode == command.status, f"{place}: status {done.returncode}\n{output}"
        lost = missing(command.shown, output)
        assert not lost, f"{place}: not in the output: {lost}\n{output}"
