"""Why a step was not cached: the words for every kind of difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pywerf.solver.explain import Change, FileEntry, differences, instruction_of, summary
from pywerf.solver.facts import SECRET


def nothing(component: str) -> Mapping[str, FileEntry] | None:
    return None


def run(**op: Any) -> dict[str, Any]:
    parts = {"name": "[2/2] RUN make", "on": "[1/2] COPY a /a", "parent": "sha256:1", "op": {"command": "make", **op}}
    return parts


def say(old: Mapping[str, Any], new: Mapping[str, Any], files: Any = nothing) -> str:
    return summary(differences(old, new, files))


def test_equal_components() -> None:
    assert differences(run(), run(), nothing) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"VERSION": "1.2"}, {"VERSION": "1.3"}, "ARG VERSION 1.2 -> 1.3"),
        ({}, {"VERSION": "1.3"}, "ARG VERSION=1.3 is new"),
        ({"VERSION": "1.2"}, {}, "ARG VERSION is gone"),
        ({"VERSION": ""}, {"VERSION": "1"}, 'ARG VERSION "" -> 1'),
        ({"MODE": "a"}, {"MODE": "b"}, "ENV MODE a -> b"),
        ({"TOKEN": f"{SECRET}1"}, {"TOKEN": f"{SECRET}2"}, "ENV TOKEN changed"),
        ({"TOKEN": f"{SECRET}1"}, {}, "ENV TOKEN changed"),
    ],
)
def test_variables(old: dict[str, str], new: dict[str, str], said: str) -> None:
    assert say(run(env=old, args=["VERSION"]), run(env=new, args=["VERSION"])) == said


def test_the_text_of_an_instruction() -> None:
    old, new = run(), {**run(command="make all"), "name": "[2/2] RUN make all"}
    assert say(old, new) == "the instruction was RUN make"
    assert differences(old, new, nothing) == [Change("instruction", "RUN make all", "RUN make", "RUN make all")]


def test_what_the_variables_of_a_text_stand_for() -> None:
    old = {"name": "[2/2] COPY app-$V /", "op": {"sources": ["app-1"], "destination": "/"}}
    new = {"name": "[2/2] COPY app-$V /", "op": {"sources": ["app-2"], "destination": "/"}}
    assert say(old, new) == "the instruction was app-1 /"


def test_options() -> None:
    assert say(run(USER="root", network="host"), run(USER="app", network="none")) == (
        "USER root -> app, network host -> none"
    )
    assert say(run(mounts=["type=tmpfs,target=/t"]), run()) == "mounts is gone"
    assert say(run(), {**run(), "salt": "clamp 0"}) == "--timestamp=0 is new"
    assert say(run(inline={"EOF": "sha256:1"}), run(inline={"EOF": "sha256:2"})) == "the text of EOF changed"


def test_the_step_below() -> None:
    assert say(run(), {**run(), "parent": "sha256:2"}) == "it follows COPY a /a, which changed"
    other = {**run(), "parent": "sha256:2", "on": "[internal] load debian:12"}
    assert say(run(), other) == "it follows debian:12 instead of COPY a /a"


def entry(content: str, mode: int = 0o644, owner: str = "0:0", kind: str = "file") -> FileEntry:
    return FileEntry(kind, mode, owner, content)


LISTS = {
    "one": {
        "same": entry("sha256:0"),
        "src/app.py": entry("sha256:1"),
        "gone": entry("sha256:2"),
        "script": entry("sha256:3"),
        "owned": entry("sha256:4"),
        "link": entry("target", kind="symlink"),
    },
    "two": {
        "same": entry("sha256:0"),
        "src/app.py": entry("sha256:9"),
        "new": entry("sha256:2"),
        "script": entry("sha256:3", 0o755),
        "owned": entry("sha256:4", owner="1:1"),
        "link": entry("other", kind="symlink"),
    },
}


def test_files() -> None:
    old, new = ({"name": "COPY . /", "files": name} for name in ("one", "two"))
    changes = differences(old, new, LISTS.get)
    assert [str(change) for change in changes] == [
        "gone is gone",
        "link changed",
        "new is new",
        "owned: owner 0:0 -> 1:1",
        "script: mode 644 -> 755",
        "src/app.py changed",
    ]
    assert changes[5] == Change("file", "src/app.py", "sha256:1", "sha256:9")
    assert summary(changes) == "gone is gone, link changed, new is new and 3 more"


def test_files_without_a_list() -> None:
    old, new = {"name": "", "files": "one"}, {"name": "", "files": "three", "mount /src": "x"}
    assert say(old, new, LISTS.get) == "files changed, /src changed"


def test_records_of_other_versions() -> None:
    assert say({"name": "RUN", "parent": "1"}, {**run(), "parent": "1"}) == ""
    assert say({}, run()) != ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("[2/5] RUN make", "RUN make"),
        ("[build 2/5] RUN [ -e x ] && y", "RUN [ -e x ] && y"),
        ("[internal] load alpine:3", "alpine:3"),
        ("RUN [a] b", "RUN [a] b"),
        ("", ""),
    ],
)
def test_instructions(name: str, text: str) -> None:
    assert instruction_of(name) == text
