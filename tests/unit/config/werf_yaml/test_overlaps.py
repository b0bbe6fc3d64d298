"""Overlapping destinations in a Stapel image: conflicts, and paths that are left out silently."""

from __future__ import annotations

import pytest

from pywerf.config.werf_yaml.model import StapelImage
from pywerf.config.werf_yaml.project import parse_config
from pywerf.errors import ConfigError

HEAD = "project: p\nconfigVersion: 1\n---\nimage: a\ndockerfile: D\n---\nimage: s\nfrom: debian:bookworm\n"


def _image(git: str, imports: str) -> StapelImage:
    text = f"{HEAD}git: [{git}]\nimport: [{imports}]\n"
    found = parse_config(text).image("s")
    assert isinstance(found, StapelImage)
    return found


@pytest.mark.parametrize(
    ("git", "imports"),
    [
        ("{to: /app}", "{from: a, add: /x, to: /app, before: install}"),
        ("{to: /app, includePaths: [b]}", "{from: a, add: /x, to: /app/b, before: install}"),
        ("{to: /app, includePaths: [b]}, {to: /, includePaths: [app/b]}", ""),
        ("{to: /}, {to: /}", ""),
    ],
)
def test_two_that_bring_the_same(git: str, imports: str) -> None:
    with pytest.raises(ConfigError, match=r"conflict between imports: image s\.git\[0\] \(line 9\) brings /"):
        _image(git, imports)


@pytest.mark.parametrize(
    ("git", "imports", "excluded"),
    [
        ("{to: /app}", "{from: a, add: /x, to: /app/lib, before: install}", ("lib",)),
        ("{to: /app}", "{from: a, add: /x, to: /app, includePaths: [b, c/d], before: install}", ("b", "c/d")),
        ("{to: /}", "{from: a, add: /x, to: /app, before: install}", ("app",)),
        # what lies around something that A brings, or that it leaves out anyway, changes nothing
        ("{to: /app, includePaths: [b/c]}", "{from: a, add: /x, to: /app/b, before: install}", ()),
        ("{to: /app, excludePaths: [b/c]}", "{from: a, add: /x, to: /app/b, before: install}", ("b/c",)),
        ("{to: /app}", "{from: a, add: /x, to: /application, before: install}", ()),
        ("{to: /app}", "{from: a, add: /x, to: /, includePaths: [bin], before: install}", ()),
    ],
)
def test_what_another_brings_is_left_out(git: str, imports: str, excluded: tuple[str, ...]) -> None:
    assert _image(git, imports).git[0].exclude_paths == excluded


def test_the_order_does_not_matter() -> None:
    image = _image("{to: /app/lib}", "{from: a, add: /x, to: /app, before: install}")
    assert image.imports[0].exclude_paths == ("lib",)
    assert image.git[0].exclude_paths == ()
