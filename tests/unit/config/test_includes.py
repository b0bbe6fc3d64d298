"""werf-includes.yaml and its lock: what is read, and what is wrong with it."""

from __future__ import annotations

import pytest

from pywerf.config.includes import (
    Include,
    Locked,
    lock_text,
    locked_commits,
    parse_includes,
    parse_lock,
)
from pywerf.errors import ConfigError

ONE, TWO = "1" * 40, "2" * 40

TEXT = f"""
includes:
- git: https://git.example.org/common.git
  branch: main
  add: /werf/templates
  to: .werf
  includePaths: ["*.tmpl", sub]
  excludePaths: [sub/old]
  basicAuth: {{username: me, password: {{env: TOKEN}}}}
- git: git@git.example.org:x.git
  tag: v1
- {{git: "file:///srv/x", commit: {ONE}}}
"""


def test_entries() -> None:
    first, second, third = parse_includes(TEXT)
    assert (first.git, first.ref) == ("https://git.example.org/common.git", "refs/heads/main")
    assert (first.add, first.to, first.line) == ("werf/templates", ".werf", 3)
    assert first.basic_auth is not None
    assert first.basic_auth.env == "TOKEN"
    passes = first.filter()
    assert [passes(path) for path in ("a.tmpl", "a.yaml", "sub/x/y", "sub/old/y", "subs")] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert (second.ref, second.add, second.to) == ("refs/tags/v1", "", "")
    assert second.filter()("anything")
    assert third.ref == ONE


def test_nothing_to_include() -> None:
    assert parse_includes("") == ()
    assert parse_includes("includes: []") == ()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{branch: x}", "git is required"),
        ("{git: g}", "one of branch, tag and commit is required"),
        ("{git: g, branch: a, tag: b}", "branch and tag exclude each other"),
        ("{git: g, commit: abc}", "abc is no full commit"),
        ("{git: g, branch: a, brunch: b}", r"unknown key includes\[0\].brunch \(did you mean branch\?\)"),
        ("{git: g, branch: a, add: ../x}", r"\.\. is not allowed"),
        ("{git: g, branch: a, includePaths: [/x]}", "relative"),
        ("{git: 'https://me:pw@h/x', branch: a}", "a password in the URL"),
        ("{git: 'git@h:x', branch: a, basicAuth: {username: u, password: {value: p}}}", "is for http and https"),
        ("{git: 'https://h', branch: a, basicAuth: {username: u}}", "basicAuth.password: is required"),
    ],
)
def test_mistakes(entry: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_includes(f"includes:\n- {entry}\n")
    assert "werf-includes.yaml:2" in str(caught.value)


def test_two_documents_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match="one document is expected"):
        parse_includes("includes: []\n---\nincludes: []\n")


def test_a_lock_file_is_written_and_read() -> None:
    includes = parse_includes(TEXT)
    text = lock_text(includes, [ONE, TWO, ONE])
    locked = parse_lock(text)
    assert locked == (
        Locked("https://git.example.org/common.git", ONE, branch="main"),
        Locked("git@git.example.org:x.git", TWO, tag="v1"),
        Locked("file:///srv/x", ONE),
    )
    assert locked_commits(includes, locked) == (ONE, TWO, ONE)


def test_one_place_for_two_entries_of_one_branch() -> None:
    includes = (Include("g", branch="b", add="x"), Include("g", branch="b", add="y"))
    locked = parse_lock(lock_text(includes, [ONE, ONE]))
    assert len(locked) == 1
    assert locked_commits(includes, locked) == (ONE, ONE)


@pytest.mark.parametrize(
    ("include", "locked"),
    [
        (Include("g", branch="b"), []),
        (Include("g", branch="b"), [Locked("g", ONE, branch="other")]),
        (Include("g", tag="b"), [Locked("g", ONE, branch="b")]),
        (Include("g", commit=ONE), [Locked("g", TWO)]),
        (Include("g", branch="b"), [Locked("g", ONE, branch="b"), Locked("h", ONE, branch="b")]),
    ],
)
def test_a_lock_file_that_does_not_match(include: Include, locked: list[Locked]) -> None:
    with pytest.raises(ConfigError) as caught:
        locked_commits([include], locked)
    assert "werf includes update" in (caught.value.hint or "")


def test_a_lock_file_without_a_commit() -> None:
    with pytest.raises(ConfigError, match="commit is required"):
        parse_lock("includes:\n- {git: g, branch: b}\n")
